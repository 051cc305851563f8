"""Callbacks of a run: when it evaluates, saves and stops, and which weights are the best so far."""

from __future__ import annotations

import math
import signal
import threading
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from .lost_process import write_place
from .trainer import RecipeTrainer

# Scores for which lower is better.
_LOWER_IS_BETTER = ("loss", "mse", "mae", "perplexity")


# SIGHUP does not exist on Windows.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def higher_is_better(metric: str) -> bool:
    """Whether a higher value of a score is better."""
    return metric.removeprefix("eval_") not in _LOWER_IS_BETTER


class RunCallback(TrainerCallback):
    """A callback with access to the trainer of its run.

    Args:
        trainer: the trainer to which it is added.
    """

    def __init__(self, trainer: RecipeTrainer) -> None:
        self.trainer = trainer
        self.recipe = trainer.recipe


class RestoreRunState(RunCallback):
    """Restores the state that Trainer does not save itself, after Trainer has restored its own.

    Args:
        checkpoint: the checkpoint from which the run is resumed.
    """

    def __init__(self, trainer: RecipeTrainer, checkpoint: Path) -> None:
        super().__init__(trainer)
        self.checkpoint = checkpoint

    def on_train_begin(self, args, state, control, **kwargs):
        """Loads the state."""
        self.trainer.restore_training(self.checkpoint)


class Schedule(RunCallback):
    """Decides after which updates to average, evaluate and save. The last update is always followed by a checkpoint."""

    def on_train_begin(self, args, state, control, **kwargs):
        """Starts the clock."""
        self.trainer.clock.start()

    def on_step_end(self, args, state, control, **kwargs):
        """Averages, and requests an evaluation or a checkpoint, if the recipe asks for one after this update."""
        step = state.global_step
        # Trainer sees the entire training as one epoch; logs and other callbacks need passes over the data.
        state.epoch = self.trainer.epochs_seen
        if self.trainer.average is not None and step % self.recipe.training.average_every == 0:
            self.trainer.average.update()
        last = step >= state.max_steps
        eval_steps, save_steps = self.trainer.eval_steps, self.trainer.save_steps
        if eval_steps is not None and (step % eval_steps == 0 or last):
            control.should_evaluate = True
        if last or (save_steps is not None and step % save_steps == 0):
            control.should_save = True


class StopConditions(RunCallback):
    """Ends a run when its minutes are over or when it is interrupted, on all processes after the same update.

    After the first Ctrl-C, SIGTERM (which job schedulers send) or SIGHUP (a closed terminal), the run finishes its
    update and saves a checkpoint. A second one ends the process at once. A signal that the process ignores, as under
    nohup, stays ignored.
    """

    def __init__(self, trainer: RecipeTrainer) -> None:
        super().__init__(trainer)
        self.signal: int | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        """Handles the signals; Python allows that in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._interrupt)

    def on_step_end(self, args, state, control, **kwargs):
        """Stops all processes if one of them has to stop."""
        self.signal, out_of_time = self._largest(self.signal or 0, self.trainer.out_of_time)
        if self.signal or out_of_time:
            control.should_training_stop = True
            control.should_save = True
        if out_of_time and not self.signal:
            control.should_log = True
            control.should_evaluate = self.trainer.eval_steps is not None

    def agree(self) -> int | None:
        """The signal that interrupted any process: it may arrive after the last update, and at one process alone."""
        (number,) = self._largest(self.signal or 0)
        return number or None

    def _interrupt(self, number: int, frame: Any) -> None:
        self.signal = number
        # The next signal ends the process, even in a library that is not written in Python.
        for each, former in self._handlers.items():
            signal.signal(each, former if each == signal.SIGINT else signal.SIG_DFL)

    def release(self) -> None:
        """Restores the former signal handlers."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _largest(self, *votes: int) -> list[int]:
        if self.trainer.args.world_size == 1:
            return [int(vote) for vote in votes]
        gathered = torch.tensor([int(vote) for vote in votes], device=self.trainer.args.device)
        dist.all_reduce(gathered, op=dist.ReduceOp.MAX)
        return gathered.tolist()


class Whereabouts(RunCallback):
    """Tells the other processes after each update how far this one is, so that they can name it if it stops."""

    def on_train_begin(self, args, state, control, **kwargs):
        """Tells the update at the beginning."""
        if args.world_size > 1:
            write_place(state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        """Tells the update."""
        if args.world_size > 1:
            write_place(state.global_step)


class BestModel(RunCallback):
    """Saves the best weights so far, and ends the run after `evaluation.patience` evaluations without improvement."""

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        """Compares the evaluation with the best one so far."""
        metric = self.trainer.main_metric
        value = metrics.get(f"eval_{metric}")
        if value is None:
            raise ValueError(
                f"evaluation.metric_for_best_model={metric!r} was not computed; the scores are {sorted(metrics)}."
            )
        if _is_better(metric, float(value), state.best_metric):
            state.best_metric, state.best_global_step = float(value), state.global_step
            self.trainer.evaluations_without_gain = 0
            if self.trainer.keeps_best:
                self.trainer.save_best()
        else:
            self.trainer.evaluations_without_gain += 1
        if self.trainer.out_of_patience:
            control.should_training_stop = True
            control.should_save = True


def _is_better(metric: str, value: float, best: float | None) -> bool:
    if best is None or math.isnan(value):
        return not math.isnan(value)
    return value > best if higher_is_better(metric) else value < best
