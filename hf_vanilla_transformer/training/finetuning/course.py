"""The course of a fine-tuning, as lines on the screen and in metrics.jsonl, and its interruption."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ...progress import duration
from ..interruption import InterruptibleCallback


class Course(TrainerCallback):
    """Prints one line a log with the time that is left, and one an evaluation; writes all of them to metrics.jsonl.

    Args:
        path: the file of JSON lines; a resumed run goes on with it.
        stream: where the lines are printed.
    """

    def __init__(self, path: Path, stream: Any = None) -> None:
        self.path = Path(path)
        self.stream = stream or sys.stderr
        self._began = (0.0, 0)
        self._evaluating = 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        """The time that is left is reckoned from here."""
        self._began = (time.monotonic(), state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Prints and writes one line."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        seconds = time.monotonic() - self._began[0]
        record = {
            "step": state.global_step,
            "epoch": round(state.epoch or 0.0, 4),
            "training_seconds": round(seconds, 2),
            **{name: value for name, value in logs.items() if name != "epoch"},
        }
        if "loss" in logs:
            parts = [f"step {state.global_step:,}/{state.max_steps:,}", f"epoch {record['epoch']:.2f}"]
            parts += [f"loss {logs['loss']:.4f}", f"lr {logs['learning_rate']:.2e}", f"{duration(seconds)} passed"]
            done = state.global_step - self._began[1]
            if done:
                parts.append(f"{duration(seconds / done * (state.max_steps - state.global_step))} left")
            print("  ".join(parts), file=self.stream, flush=True)
        elif any(name.startswith("eval_") for name in logs):
            shown = [
                f"{name[5:]} {value:.4g}"
                for name, value in logs.items()
                if name.startswith("eval_") and name != "eval_runtime" and isinstance(value, (int, float))
            ]
            print(f"  validation at {state.global_step:,}: " + "  ".join(shown), file=self.stream, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class Interruption(InterruptibleCallback):
    """The first Ctrl-C (or SIGTERM, which schedulers send) lets the update finish and saves a checkpoint; a second one
    ends the process at once."""

    def on_step_end(self, args, state, control, **kwargs):
        """Asks for a checkpoint and the end."""
        if self.interrupted:
            control.should_save = True
            control.should_training_stop = True
