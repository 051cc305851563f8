"""Side by side with peers: each module is a command (`python -m benchmarks.NAME`) that prints a table and writes JSON.

The method is in `docs/benchmarks.md`; `python -m benchmarks.report` renders its tables from the JSON files.
"""
