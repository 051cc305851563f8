"""transformers' Trainer for a recipe: batches in a seeded order, exact evaluations, averages, safe checkpoints."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerState, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback

from ..device import default_device
from ..evaluation_mode import evaluation_mode
from ..files import folder_aside, replace_folder
from .averaging import WeightAverage
from .batches import Batches
from .checkpoints import (
    CHECKPOINTS_FOLDER,
    RUN_STATE,
    best_folder,
    explained_write_errors,
    put_weights,
    remove_old,
    remove_old_best,
)
from .clock import TrainingClock
from .recipes.distributed_recipe import data_parallel_size
from .schedules import Schedule
from .sharding import ShardedModel, whole_state

# Number of updates for a training that minutes or patience end; Trainer requires a number.
UNLIMITED_STEPS = 10**9


def planned_updates(training: Any, updates_per_epoch: int | None) -> int:
    """Updates in the entire training, by the limits of steps and epochs.

    Args:
        training: section `training` of a recipe.
        updates_per_epoch: updates in one pass over the rows; None for a stream, whose length is not known.
    """
    limits = [] if training.max_steps is None else [training.max_steps]
    if training.num_train_epochs is not None and updates_per_epoch is not None:
        limits.append(math.ceil(training.num_train_epochs * updates_per_epoch))
    return min(limits, default=UNLIMITED_STEPS)


class RecipeTrainer(Trainer):
    """Trains by a recipe, with as much of Trainer as possible.

    Trainer counts epochs of equal length and draws their order from the random state of the process. Here the order of
    the rows depends on the seed and the epoch alone, so Trainer sees the entire training as one epoch of `Batches`; a
    resume skips used batches. Checkpoints are written aside and then renamed. Evaluations score the averaged weights if
    the recipe keeps an average. Time spent in either does not count as training time.

    Subclasses define the optimizer, the schedule and the scores.

    Args:
        recipe: a recipe with the sections `training`, `evaluation`, `checkpoint` and `output`.
        model: its parameters are trained.
        tokenizer: saved with every checkpoint.
        batches: called with the number of processes that train on different batches; returns the batches.
        folder: the output folder of the run.
        evaluates: whether there are rows to evaluate on.
        arguments: further arguments of TrainingArguments.
        callbacks: transformers' callbacks.
        options: further arguments of Trainer.
    """

    # Whether labels are tokens, so that their number measures the amount of text.
    counts_tokens = True

    def __init__(
        self,
        recipe: Any,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batches: Callable[[int], Batches],
        folder: Path,
        *,
        evaluates: bool,
        arguments: dict[str, Any] | None = None,
        callbacks: list | None = None,
        **options: Any,
    ) -> None:
        self.recipe = recipe
        self.evaluates = evaluates
        self.clock = TrainingClock()
        self.tokens_seen = 0
        self.evaluations_without_gain = 0
        self.signatures: dict[str, str] = {}
        self._checkpoint_run_dir: str | None = None
        training = recipe.training
        args = _training_arguments(recipe, folder / CHECKPOINTS_FOLDER, arguments or {})
        self.sharded: ShardedModel | None = None
        if recipe.distributed.sharded:
            self.sharded = ShardedModel(model, recipe.distributed, args.device)
            model = self.sharded.model
        self.average: WeightAverage | None = None
        if training.average != "none":
            self.average = WeightAverage(model, training.average, last=training.average_last, decay=training.ema_decay)
        # Before Trainer creates the output folder, so that a training that cannot start leaves no folder.
        self.batches = batches(data_parallel_size(recipe.distributed, args.world_size))
        args.max_steps = planned_updates(training, self.batches.updates_per_epoch)
        super().__init__(model=model, args=args, processing_class=tokenizer, callbacks=callbacks, **options)
        self.remove_callback(PrinterCallback)

    # ---- For subclasses

    def schedule(self, updates: int) -> Schedule:
        """The factor of the learning rates over the updates.

        Args:
            updates: all updates of the training.
        """
        raise NotImplementedError

    def scores(self) -> dict[str, Any]:
        """Scores of the model, in evaluation mode, on the validation rows; strings among them are signatures."""
        raise NotImplementedError

    @property
    def main_metric(self) -> str:
        """The score that decides which weights are the best."""
        return self.recipe.evaluation.metric_for_best_model

    @property
    def eval_steps(self) -> int | None:
        """Updates between two evaluations; None for no evaluations."""
        return self.recipe.evaluation.eval_steps if self.evaluates else None

    @property
    def save_steps(self) -> int | None:
        """Updates between two checkpoints; None for a checkpoint at the end or an interruption only."""
        return self.recipe.checkpoint.save_steps

    # ---- Processes

    def create_accelerator_and_postprocess(self) -> None:
        """Like Trainer, but accelerate is not told of tensor parallelism.

        It would only divide batches, which `Batches` does, and it refuses tensor parallelism on CPU.
        """
        if self.sharded is None:
            super().create_accelerator_and_postprocess()
            return
        size, self.sharded.model._tp_size = self.sharded.model._tp_size, None
        try:
            super().create_accelerator_and_postprocess()
        finally:
            self.sharded.model._tp_size = size

    # ---- Batches

    @property
    def epochs_seen(self) -> float:
        """Passes over the data so far."""
        return self.batches.epochs(self.state.global_step)

    def get_train_dataloader(self) -> DataLoader:
        """All batches of this process; Trainer skips those that a resumed run has used."""
        # The processes of one group of tensor parallelism have neighbouring ranks and the same batches.
        return self.batches.loader(self.args.max_steps, self.args.process_index // self.recipe.distributed.tp_size)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Like Trainer; also counts the labels of all processes."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.tokens_seen += int(items) if items is not None else 0
        return batches, items

    # ---- Optimisation

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LambdaLR:
        """The recipe's schedule."""
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.schedule(num_training_steps))
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # ---- Evaluation

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """The recipe's scores on the validation rows, of the averaged weights if the recipe keeps an average."""
        with self.clock.paused(), self.averaged_weights(), self.whole_model(), evaluation_mode(self.model):
            metrics = self.scores()
        # Reporters such as TensorBoard accept numbers only.
        self.signatures = {name: value for name, value in metrics.items() if isinstance(value, str)}
        metrics = {f"{metric_key_prefix}_{name}": metrics[name] for name in metrics if name not in self.signatures}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def averaged_weights(self):
        """A context in which the model has the averaged weights, if there are any yet."""
        return self.average.applied() if self.average is not None and self.average.count else nullcontext()

    @contextmanager
    def whole_model(self) -> Iterator[None]:
        """Within the context, `model` has all weights, also where they are divided among processes.

        All processes enter it. `model` can be evaluated and saved there, and not trained.
        """
        if self.sharded is None or self.model is self.sharded.whole:
            yield
            return
        try:
            with self.sharded.gathered(self.args.device) as self.model:
                yield
        finally:
            self.model = self.sharded.model

    def finish_sharding(self) -> None:
        """Makes `model` the whole model for good: it has its final weights or gets them next."""
        if self.sharded is not None:
            self.sharded.gather()
            self.model = self.sharded.whole.to(self.args.device)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Like Trainer; ends the run if the loss is not finite, because the weights are lost then."""
        self._refuse_nan(logs.get("loss", 0.0))
        super().log(logs, start_time)

    def _refuse_nan(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"The training loss is {loss} at update {self.state.global_step}: the weights are lost. Resume from "
                "the last checkpoint with other data, or start again with a lower learning rate, more warm-up or "
                "training.max_grad_norm=1."
            )

    # ---- The end

    @property
    def out_of_time(self) -> bool:
        """Whether `training.max_minutes` are over."""
        minutes = self.recipe.training.max_minutes
        return minutes is not None and self.clock.training >= 60 * minutes

    @property
    def out_of_patience(self) -> bool:
        """Whether `evaluation.patience` evaluations brought no improvement."""
        patience = self.recipe.evaluation.patience
        return patience is not None and self.evaluations_without_gain >= patience

    @property
    def keeps_best(self) -> bool:
        """Whether the final model is the best evaluated one, so that the best weights are saved."""
        return self.evaluates and self.recipe.evaluation.load_best_model_at_end

    # ---- Checkpoints

    def _get_output_dir(self, trial) -> str:
        return self._checkpoint_run_dir or super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial) -> None:
        """Writes a checkpoint aside, then renames it, so that an error never damages earlier checkpoints."""
        self._refuse_nan(float(self._tr_loss))  # before it replaces a good checkpoint
        name = f"checkpoint-{self.state.global_step}"
        folder = Path(self.args.output_dir)
        # All processes write into this folder, so its name is fixed.
        aside = folder / ".partial"
        with self.clock.paused():
            try:
                with explained_write_errors(name, folder):
                    if self.args.should_save:
                        shutil.rmtree(aside, ignore_errors=True)
                        aside.mkdir(parents=True)
                    self.barrier()
                    self._checkpoint_run_dir = str(aside)
                    super()._save_checkpoint(model, trial)
                    state = self.run_state()
                    if self.args.should_save:
                        torch.save(state, aside / name / RUN_STATE)
                    self.barrier()
                    if self.args.should_save:
                        replace_folder(aside / name, folder / name)
            finally:
                self._checkpoint_run_dir = None
                if self.args.should_save:
                    shutil.rmtree(aside, ignore_errors=True)
            if self.args.should_save:
                remove_old(folder, self.recipe.checkpoint.save_total_limit)
            self.barrier()

    def save_best(self) -> None:
        """Saves the weights of the current evaluation as the best so far; all processes call it."""
        if self.sharded is None and not self.args.should_save:
            return
        folder = Path(self.args.output_dir)
        target = best_folder(folder, self.state.global_step)
        with self.clock.paused(), self.averaged_weights(), self.whole_model():
            if not self.args.should_save:
                return
            with explained_write_errors(target.name, folder):
                with folder_aside(target) as aside:
                    self.model.save_pretrained(aside)
                    self.processing_class.save_pretrained(aside)
                remove_old_best(folder, self.state.global_step)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Like Trainer; a model that is divided among processes is saved whole."""
        with self.whole_model():
            super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.sharded is None:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = whole_state(self.optimizer.state_dict())
        if self.args.should_save:
            torch.save(state, Path(output_dir, OPTIMIZER_NAME))
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.sharded is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        put_weights(self.sharded.whole, Path(resume_from_checkpoint))
        self.sharded.scatter()

    def _issue_warnings_after_load(self, load_result) -> None:
        # Tied weights are stored once, so one of their names is missing in the file.
        missing = [key for key in load_result.missing_keys if key not in self.model.all_tied_weights_keys]
        if missing or load_result.unexpected_keys:
            super()._issue_warnings_after_load(load_result)

    def run_state(self) -> dict[str, Any]:
        """The state of the run that Trainer does not save."""
        return {
            "clock": self.clock.state_dict(),
            "tokens_seen": self.tokens_seen,
            "evaluations_without_gain": self.evaluations_without_gain,
            "loss_since_log": float(self._tr_loss),
            "logged_step": self._globalstep_last_logged,
            "average": None if self.average is None else whole_state(self.average.state_dict()),
            "batches": self.batches.state_dict(self.state.global_step),
            "batches_per_update": self.batches.batches_per_update,
            "rows": self.batches.fingerprint(),
        }

    def restore_training(self, checkpoint: Path) -> None:
        """Restores the state of a checkpoint after Trainer has set up the training."""
        state = self._restore(checkpoint)
        self._tr_loss.fill_(state["loss_since_log"])
        self._globalstep_last_logged = state["logged_step"]
        if state["batches"] is not None:
            self.batches.load_state_dict(state["batches"])

    def restore_if_ended(self, checkpoint: Path) -> bool:
        """Restores model and state if a checkpoint is the end of the training; returns False if updates are left."""
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        self._restore(checkpoint)
        if self.state.global_step < self.args.max_steps and not self.out_of_time and not self.out_of_patience:
            return False
        self._load_from_checkpoint(str(checkpoint))
        return True

    def _restore(self, checkpoint: Path) -> dict[str, Any]:
        device = self.args.device
        # With several processes on a CPU, the device is `cpu:0`, which torch.load does not accept.
        place = "cpu" if device.type == "cpu" else device
        state = torch.load(checkpoint / RUN_STATE, weights_only=True, map_location=place)
        if state["rows"] != self.batches.fingerprint():
            raise ValueError(
                f"The training rows differ from those of {checkpoint}: data.path or its files have changed. Restore "
                "them, or start a new run from the weights of the checkpoint."
            )
        self.clock.load_state_dict(state["clock"])
        self.tokens_seen = state["tokens_seen"]
        self.evaluations_without_gain = state["evaluations_without_gain"]
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        return state

    def barrier(self) -> None:
        """Waits for the other processes, if there are any."""
        if self.args.world_size > 1:
            dist.barrier()


def _training_arguments(recipe: Any, output: Path, more: dict[str, Any]) -> TrainingArguments:
    """Trainer's arguments. Callbacks decide when to evaluate, save and stop."""
    training = recipe.training
    # Passed only if set: later versions call it activation_checkpointing and warn about this name.
    checkpointing = {"gradient_checkpointing": True} if training.gradient_checkpointing else {}
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=training.max_steps or UNLIMITED_STEPS,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        max_grad_norm=training.max_grad_norm,
        seed=training.seed,
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_only_model=recipe.checkpoint.save_only_model,
        eval_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        report_to=recipe.output.report_to,
        ddp_timeout=round(60 * recipe.distributed.timeout_minutes),
        # Without it, several processes on a machine without an accelerator would not connect.
        use_cpu=default_device().type == "cpu",
        **checkpointing,
        **more,
    )
    # One process uses one GPU; `accelerate launch` starts more. DataParallel would split our batches by rows.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
