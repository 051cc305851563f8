"""The history of a run: losses and scores, as lines on the screen and in metrics.jsonl."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ..files import write_text
from ..progress import duration
from .callbacks import RunCallback
from .trainer import UNLIMITED_STEPS, RecipeTrainer
from .write_errors import explained_write_errors


class History(RunCallback):
    """Prints a line per log (update, loss, learning rate, speed, time left) and per evaluation; writes both to a file.

    Args:
        path: file of JSON lines; a resumed run appends to it.
        stream: to print to; None for standard error.
    """

    def __init__(self, trainer: RecipeTrainer, path: Path, stream: TextIO | None = None) -> None:
        super().__init__(trainer)
        self.path = path
        self.stream = stream or sys.stderr
        self._last = (0.0, 0, 0)

    def on_train_begin(self, args, state, control, **kwargs):
        """Starts the measurement of speed."""
        self._last = (self.trainer.clock.training, self.trainer.tokens_seen, state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Prints and writes one line."""
        if not state.is_world_process_zero or logs is None or "train_runtime" in logs:
            return
        trainer = self.trainer
        record = {
            "step": state.global_step,
            "epoch": round(trainer.epochs_seen, 4),
            **({"tokens": trainer.tokens_seen} if trainer.counts_tokens else {}),
            "training_seconds": round(trainer.clock.training, 2),
            "wall_seconds": round(trainer.clock.wall, 2),
            **{name: value for name, value in logs.items() if name != "epoch"},
        }
        if "loss" in logs:
            seconds, tokens, step = self._last
            self._last = (trainer.clock.training, trainer.tokens_seen, state.global_step)
            passed = max(trainer.clock.training - seconds, 1e-9)
            record["steps_per_second"] = round((state.global_step - step) / passed, 3)
            if trainer.counts_tokens:
                record["tokens_per_second"] = round((trainer.tokens_seen - tokens) / passed, 1)
            self._print_step(record, state)
        elif any(name.startswith("eval_") for name in logs):
            record |= {f"eval_{name}": signature for name, signature in trainer.signatures.items()}
            self._print_evaluation(record)
        with explained_write_errors(self.path.name, self.path.parent):
            trainer.check_place()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_json_line(record))
                file.flush()
                # A checkpoint must not survive a power failure that takes the records before it.
                os.fsync(file.fileno())

    def _print_step(self, record: dict[str, Any], state) -> None:
        left = self._seconds_left(state, record["steps_per_second"])
        end = f"/{state.max_steps:,}" if state.max_steps < UNLIMITED_STEPS else ""
        parts = [
            f"step {record['step']:,}{end}",
            f"epoch {record['epoch']:.2f}",
            f"loss {record['loss']:.4f}",
            f"lr {record['learning_rate']:.2e}",
            f"{record['steps_per_second']:.3g} steps/s",
        ]
        if "tokens_per_second" in record:
            parts.append(f"{record['tokens_per_second']:,.0f} tokens/s")
        parts.append(f"{duration(record['training_seconds'])} passed")
        if left is not None:
            parts.append(f"{duration(left)} left")
        print("  ".join(parts), file=self.stream, flush=True)

    def _seconds_left(self, state, steps_per_second: float) -> float | None:
        """Training time in seconds until the nearer limit, of updates or of minutes; None without a limit."""
        ends = []
        if state.max_steps < UNLIMITED_STEPS and steps_per_second > 0:
            ends.append((state.max_steps - state.global_step) / steps_per_second)
        minutes = self.recipe.training.max_minutes
        if minutes is not None:
            ends.append(max(0.0, 60 * minutes - self.trainer.clock.training))
        return min(ends, default=None)

    def _print_evaluation(self, record: dict[str, Any]) -> None:
        scores = [f"{name[5:]} {value:.4g}" for name, value in record.items() if _is_score(name, value)]
        signature = record.get("eval_bleu_signature")
        text = f"  evaluation at {record['step']:,}: " + "  ".join(scores) + (f"  [{signature}]" if signature else "")
        print(text, file=self.stream, flush=True)


def _json_line(record: dict[str, Any]) -> str:
    """A record as a line of JSON, which has no NaN and no infinity: such a score becomes null."""
    record = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }
    return json.dumps(record, allow_nan=False) + "\n"


def _is_score(name: str, value: Any) -> bool:
    return name.startswith("eval_") and isinstance(value, float)


def trim_history(path: Path, step: int) -> None:
    """Removes the records after `step`: a run that resumes there writes them again."""
    if path.is_file():
        write_text(path, "".join(f"{line}\n" for line, record in _lines(path) if record["step"] <= step))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl, oldest first; none if there is no file. A line cut off by a crash is left out.

    Scores that were not finite are left out.
    """
    if not path.is_file():
        return []
    return [{name: value for name, value in record.items() if value is not None} for _, record in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a history with their records, up to a line that is none."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            return
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            return
        yield line, record
