"""Runs that are killed at every file operation, for tests: what each kill leaves, and what the next run makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from matplotlib.figure import Figure

from hf_vanilla_transformer.training.checkpoints import update_of
from hf_vanilla_transformer.training.checksums import damaged_file
from hf_vanilla_transformer.training.clock import TrainingClock
from hf_vanilla_transformer.training.run_folder import RunFinished

from .. import faults

# Files that grow line by line, and the lock, which has no content.
_APPENDED = {"metrics.jsonl", ".lock"}


@pytest.fixture
def quick(monkeypatch):
    """Runs that copy no code, draw no pictures and collect no garbage, on a clock that stands still."""
    monkeypatch.setattr("accelerate.utils.memory.gc.collect", lambda: 0)
    for module in ("modeling_utils", "configuration_utils"):
        monkeypatch.setattr(f"transformers.{module}.custom_object_save", lambda *arguments, **keywords: [])
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **keywords: Path(path).write_bytes(b"picture"))
    monkeypatch.setattr(TrainingClock.__init__, "__defaults__", (lambda: 0.0,))


@dataclass
class KilledRun:
    """A command that trains, and the states in which kills leave its folder.

    Attributes:
        root: the folder that contains the output folder.
        run: the command.
        whole: what the unbroken run leaves.
        states: copies of `root`, one for each different state, in order.
    """

    root: Path
    run: Callable[[], Any]
    whole: dict[str, bytes] = field(default_factory=dict)
    states: list[Path] = field(default_factory=list)

    def run_once(self) -> None:
        """Makes the unbroken run."""
        self.root.mkdir()
        self.run()
        self.whole = contents(self.root)

    def record(self, store: Path) -> None:
        """Makes the unbroken run, and copies the folder before each file operation."""
        self.root.mkdir(exist_ok=True)
        store.mkdir()
        self.states = faults.states(self.root, self.run, store, appended=_APPENDED)
        self.whole = contents(self.root)

    def check_names(self, state: Path) -> None:
        """Asserts that every file with a finished name has its final content, and every checkpoint all its files."""
        for name, content in contents(state).items():
            if name in self.whole and not name.endswith(("metrics.jsonl", "trainable.json")):
                assert content == self.whole[name], f"{state}: {name} is not complete"
        for folder in (*state.glob("**/checkpoint-*"), *state.glob("**/best-*")):
            if ".partial" not in str(folder):
                assert damaged_file(folder, needed=["model.safetensors"]) is None, folder

    def clear(self) -> None:
        """Removes the output folder."""
        shutil.rmtree(self.root)
        self.root.mkdir()

    def restore(self, state: Path) -> None:
        """Makes the folder equal to a state."""
        shutil.rmtree(self.root)
        shutil.copytree(state, self.root)

    def restart(self, state: Path) -> None:
        """Restores a state, runs the command again, and compares the result with the unbroken run's.

        Raises:
            AssertionError: a file differs, is missing, or was left over.
        """
        self.restore(state)
        try:
            self.run()
        except RunFinished:
            assert any(self.root.rglob("results.json"))
        found = contents(self.root)
        assert found.keys() == self.whole.keys(), (state, found.keys() ^ self.whole.keys())
        differing = [name for name, content in found.items() if content != self.whole[name]]
        assert not differing, (state, differing)

    def one_of_each_start(self) -> list[Path]:
        """Of the states in which a run starts at the same place, the last; and the first with the newest checkpoint."""
        last = {_start(state): state for state in self.states}
        newest = max((start for start in last if start.ended == 0), key=lambda start: start.update)
        first = next(state for state in self.states if _start(state) == newest)
        return [first, *last.values()]


class _Start(NamedTuple):
    """Where a run starts in a state: how many runs in the folder have ended, and the newest update that was saved."""

    ended: int
    update: int


def _start(state: Path) -> _Start:
    runs = [path.parent for path in state.rglob("recipe.yaml") if path.parent.name != "model"]
    runs = [run for run in runs if ".partial" not in str(run)]
    saved = [update_of(path) for run in runs for path in run.glob("checkpoints/checkpoint-*")]
    ended = sum((run / "results.json").exists() for run in runs)
    return _Start(ended, max(saved, default=0) if ended < len(runs) else 0)


def contents(root: Path) -> dict[str, bytes]:
    """The files below `root` without measured speeds, and without locks and unfinished writes of a killed process."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not name.endswith(".lock") and ".partial" not in name:
            found[name] = _without_speeds(path)
        elif path.is_dir() and not any(path.iterdir()):
            found[name] = b"empty folder"
    return found


def leftovers(root: Path) -> list[str]:
    """What is left of unfinished writes."""
    return [str(path) for path in root.rglob("*") if ".partial" in path.name or path.name == ".lock"]


def _without_speeds(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name == "results.json":
        return json.dumps(_without_speed(json.loads(content))).encode()
    if path.name != "metrics.jsonl":
        return content
    lines = []
    for line in content.splitlines():
        try:
            lines.append(json.dumps(_without_speed(json.loads(line))))
        except json.JSONDecodeError:
            lines.append("cut off")
    return "\n".join(lines).encode()


def _without_speed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_speed(one) for key, one in value.items() if "per_second" not in key}
