"""From files to rows: every bad row is counted, none is read as something else."""
