"""The command line: `hf-vanilla COMMAND`, with one module for each command."""
