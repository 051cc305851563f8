"""The command line: `hf-vanilla COMMAND`, one module a command."""
