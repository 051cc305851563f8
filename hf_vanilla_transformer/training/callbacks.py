"""What happens around the updates of a run: progress, evaluation, averages, checkpoints, and reasons to stop."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from ..progress import duration
from .interruption import InterruptibleCallback

if TYPE_CHECKING:
    from .trainer import RecipeTrainer


class RunCallback(TrainerCallback):
    """A callback that knows the trainer of its run.

    Args:
        trainer: the trainer it is added to.
    """

    def __init__(self, trainer: RecipeTrainer) -> None:
        self.trainer = trainer
        self.recipe = trainer.recipe


class Schedule(RunCallback):
    """Says after which updates to average, to evaluate and to save."""

    def on_train_begin(self, args, state, control, **kwargs):
        """Starts the clock."""
        self.trainer.clock.start()

    def on_step_end(self, args, state, control, **kwargs):
        """Compares the number of updates with the recipe's."""
        step = state.global_step
        if self.trainer.average is not None and step % self.recipe.training.average_every == 0:
            self.trainer.average.update()
        every = self.recipe.evaluation.eval_steps
        last = step >= state.max_steps
        if every is not None and (step % every == 0 or last):
            control.should_evaluate = True
        if self.recipe.checkpoint.save_steps is not None and (step % self.recipe.checkpoint.save_steps == 0 or last):
            control.should_save = True


class StopConditions(RunCallback, InterruptibleCallback):
    """Ends a run when its minutes are over or it is interrupted, on all processes after the same update.

    The first Ctrl-C (or SIGTERM, which schedulers send) lets the update finish and saves a checkpoint; a second one
    ends the process at once.
    """

    def __init__(self, trainer: RecipeTrainer) -> None:
        RunCallback.__init__(self, trainer)
        InterruptibleCallback.__init__(self)
        self.out_of_time = False

    def on_train_end(self, args, state, control, **kwargs):
        """Gives the signals back."""
        self.release()

    def on_step_end(self, args, state, control, **kwargs):
        """Asks all processes whether one of them has to stop."""
        minutes = self.recipe.training.max_minutes
        out_of_time = minutes is not None and self.trainer.clock.training >= 60 * minutes
        self.interrupted, self.out_of_time = self._any(self.interrupted, out_of_time)
        if self.interrupted:
            control.should_save = True
            control.should_training_stop = True
        elif self.out_of_time:
            control.should_training_stop = True
            control.should_log = True
            control.should_evaluate = self.recipe.evaluation.eval_steps is not None
            control.should_save = control.should_save or self.recipe.checkpoint.save_steps is not None

    def _any(self, *flags: bool) -> list[bool]:
        if self.trainer.args.world_size == 1:
            return list(flags)
        votes = torch.tensor([int(flag) for flag in flags], device=self.trainer.args.device)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return [bool(vote) for vote in votes.tolist()]


class BestModel(RunCallback):
    """Keeps the best model so far, and ends the run when evaluations bring nothing better.

    Args:
        save: writes the model as it is (with averaged weights, if those were evaluated) to the folder of the best one.
    """

    def __init__(self, trainer: RecipeTrainer, save: Callable[[], None]) -> None:
        super().__init__(trainer)
        self.save = save
        self.stopped_early = False

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        """Compares with the best evaluation."""
        choice = self.recipe.evaluation
        value = metrics.get(f"eval_{choice.metric_for_best_model}")
        if value is None:
            raise ValueError(
                f"evaluation.metric_for_best_model={choice.metric_for_best_model!r} was not computed; there is "
                f"{sorted(metrics)}."
            )
        best = self.trainer.best
        better = best is None or (
            value < best["value"] if choice.metric_for_best_model == "loss" else value > best["value"]
        )
        if better:
            self.trainer.best = {
                "metric": choice.metric_for_best_model,
                "value": float(value),
                "step": state.global_step,
            }
            self.trainer.evaluations_without_gain = 0
            self.save()
            return
        self.trainer.evaluations_without_gain += 1
        if choice.patience is not None and self.trainer.evaluations_without_gain >= choice.patience:
            self.stopped_early = True
            control.should_training_stop = True


class Progress(RunCallback):
    """Prints one line a log: update, loss, rate, tokens per second, time left. Writes all of them to metrics.jsonl.

    Args:
        path: the file of JSON lines.
        stream: where the lines are printed.
    """

    def __init__(self, trainer: RecipeTrainer, path: Path, stream=None) -> None:
        super().__init__(trainer)
        self.path = path
        self.stream = stream or sys.stderr
        self._last = (0.0, 0, 0)

    def on_train_begin(self, args, state, control, **kwargs):
        """Tokens per second are counted from here."""
        self._last = (self.trainer.clock.training, self.trainer.tokens_seen, state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Prints and writes one line."""
        if not state.is_world_process_zero or logs is None or "train_runtime" in logs:
            return
        clock = self.trainer.clock
        record = {
            "step": state.global_step,
            "epoch": round(self.trainer.epochs_seen, 4),
            "tokens": self.trainer.tokens_seen,
            "training_seconds": round(clock.training, 2),
            "wall_seconds": round(clock.wall, 2),
            **{name: value for name, value in logs.items() if name != "epoch"},
        }
        if "loss" in logs:
            seconds, tokens, step = self._last
            self._last = (clock.training, self.trainer.tokens_seen, state.global_step)
            passed = max(clock.training - seconds, 1e-9)
            record["tokens_per_second"] = round((self.trainer.tokens_seen - tokens) / passed, 1)
            self._print_step(record, state, (state.global_step - step) / passed)
        elif "eval_loss" in logs or "eval_bleu" in logs:
            record |= {f"eval_{name}": signature for name, signature in self.trainer.signatures.items()}
            self._print_evaluation(record)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _print_step(self, record: dict[str, Any], state, steps_per_second: float) -> None:
        left = self._seconds_left(state, steps_per_second)
        end = f"/{state.max_steps:,}" if left is not None and state.max_steps < 10**9 else ""
        parts = [
            f"step {record['step']:,}{end}",
            f"epoch {record['epoch']:.2f}",
            f"loss {record['loss']:.4f}",
            f"lr {record['learning_rate']:.2e}",
            f"{record['tokens_per_second']:,.0f} tokens/s",
            f"{duration(record['training_seconds'])} passed",
        ]
        if left is not None:
            parts.append(f"{duration(left)} left")
        print("  ".join(parts), file=self.stream, flush=True)

    def _seconds_left(self, state, steps_per_second: float) -> float | None:
        ends = []
        if state.max_steps < 10**9 and steps_per_second > 0:
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


def _is_score(name: str, value: Any) -> bool:
    return name.startswith("eval_") and isinstance(value, float)
