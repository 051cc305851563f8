"""A process of a benchmark that measures when it is its turn, and waits while the other sides have theirs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class TurnTaker:
    """A child process that prints one line of JSON when it is ready, and one more for each line that it reads.

    Args:
        module: name of the module that runs, such as `benchmarks.training_worker`.
        arguments: its command line.
        variables: its environment.
    """

    def __init__(self, module: str, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=dict(variables),
            cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip

    def result(self) -> dict[str, Any]:
        """Reads the next result that the process prints.

        Raises:
            RuntimeError: the process failed; the message has the end of its output.
        """
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.errors.seek(0)
            output = self.errors.read()[-3000:]
            raise RuntimeError(f"{' '.join(map(str, self.process.args))} failed with status {status}:\n{output}")
        return json.loads(line)

    def turn(self) -> dict[str, Any]:
        """Runs one measurement."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.result()

    def __enter__(self) -> TurnTaker:
        return self

    def __exit__(self, *failure: object) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait()
        self.errors.close()
