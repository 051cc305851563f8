"""From files to rows. Every bad row is counted."""
