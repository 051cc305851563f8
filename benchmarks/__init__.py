"""Benchmarks against peers. Each is a command (`python -m benchmarks NAME`) that prints a table and writes JSON.

`docs/benchmarks.md` describes the method; `python -m benchmarks.report` renders its tables from the JSON files.
"""
