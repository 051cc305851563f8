"""transformers' Trainer for a recipe: batches in a seeded order, exact evaluations, averages, safe checkpoints."""

from __future__ import annotations

import errno
import logging
import math
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerState, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback

from ..device import default_device
from ..evaluation_mode import evaluation_mode
from ..files import folder_aside
from .averaging import WeightAverage
from .batches import Batches
from .checkpoint_names import CHECKPOINTS_FOLDER
from .checkpoints import (
    RUN_STATE,
    best_folder,
    checkpoints,
    put_weights,
    remove_interim,
    remove_old,
    remove_old_best,
    update_of,
)
from .checksums import write_checksums
from .clock import TrainingClock
from .losses import Losses
from .recipes.distributed_recipe import data_parallel_size
from .saved_tokenizer import remove_traces
from .schedules import Schedule
from .sharding import ShardedModel, whole_state, whole_tensor
from .write_errors import explained_write_errors

logger = logging.getLogger(__name__)

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
        self.losses = Losses()
        # Of the current update: its batches, their losses, and the norm of the gradient, before clipping.
        self.update_inputs: list[dict[str, Any]] = []
        self._update_losses: list[torch.Tensor] = []
        self.gradient_norm: torch.Tensor | None = None
        self._before: dict[str, Any] = {}
        # As the user gave it; another number of processes can change the number of accumulated batches.
        self.given_recipe = recipe
        # Whether a resumed run may have other training rows or another learning rate than its checkpoint.
        self.accept_changes = False
        self._folder = folder
        self._place: tuple[int, int] | None = None
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

    def validation_fingerprint(self) -> int | None:
        """A checksum of the validation rows; None if there are none."""
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
        self._before = {"tokens_seen": self.tokens_seen}
        self.update_inputs, self._update_losses, self.gradient_norm = [], [], None
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.tokens_seen += int(items) if items is not None else 0
        return batches, items

    # ---- One update, see `BadUpdates`

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Like Trainer; remembers the batch and its loss until the update, and the state before the first batch."""
        if not self.update_inputs:
            self._before |= {"loss": self._tr_loss.clone(), "random": _random_states()}
        self.update_inputs.append(inputs)
        loss = super().training_step(model, dict(inputs), num_items_in_batch)
        self._update_losses.append(loss)
        # A bad loss is not part of the mean that is logged.
        return loss.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def _get_grad_norm(self, model, grad_norm=None):
        norm = super()._get_grad_norm(model, grad_norm)
        if self.accelerator.scaler is None:  # a scaler itself skips updates with an infinite gradient
            self.gradient_norm = torch.as_tensor(norm, device=self.args.device)
        return norm

    def update_loss(self) -> torch.Tensor:
        """The loss of the current update in this process."""
        return torch.stack(self._update_losses).sum()

    def skip_update(self) -> None:
        """Makes the current update change nothing: an optimizer skips parameters without a gradient."""
        self.model.zero_grad(set_to_none=True)
        self._tr_loss.copy_(self._before["loss"])
        self.tokens_seen = self._before["tokens_seen"]
        self._globalstep_last_logged += 1  # the logged mean is that of the updates that were made

    def save_before_update(self) -> None:
        """Saves a checkpoint of the state before the current update, unless there is one or nothing was trained."""
        self._tr_loss.copy_(self._before["loss"])
        self.tokens_seen = self._before["tokens_seen"]
        saved = checkpoints(Path(self.args.output_dir))
        if self.state.global_step == 0 or (saved and update_of(saved[-1]) == self.state.global_step):
            return
        _set_random_states(self._before["random"])
        if self._lost_weights() is None:
            # No older checkpoint is removed: these weights may have gone wrong already.
            self._save_checkpoint(self.model, None, keep_all=True)

    # ---- Optimisation

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LambdaLR:
        """The recipe's schedule."""
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.schedule(num_training_steps))
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Like Trainer; if changes are accepted, rates and constants are those of the recipe, not of the checkpoint."""
        optimizer, scheduler = self.optimizer, self.lr_scheduler
        constants = [{name: group[name] for name in group if name != "params"} for group in optimizer.param_groups]
        rates = list(scheduler.base_lrs)
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or not self.accept_changes:
            return
        scheduler.base_lrs = rates
        factor = scheduler.lr_lambdas[0](scheduler.last_epoch)
        for group, own, rate in zip(optimizer.param_groups, constants, rates):
            group.update(own | {"lr": rate * factor})

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

    def _save_checkpoint(self, model, trial, *, keep_all: bool = False) -> None:
        """Writes a checkpoint aside, then renames it, so that an error never damages earlier checkpoints."""
        lost = self._lost_weights()
        if lost is not None:  # before they replace good ones
            raise ValueError(
                f"{lost} has values that are not finite after update {self.state.global_step}: no checkpoint is saved. "
                "Resume from the last checkpoint with a lower learning rate (--accept-changes), or start again with "
                "more warm-up or training.max_grad_norm=1."
            )
        name = f"checkpoint-{self.state.global_step}"
        folder = Path(self.args.output_dir)
        with self.clock.paused(), explained_write_errors(name, self._folder):
            self.check_place()
            with self._shared_aside(folder / name) as aside:
                self._checkpoint_run_dir = str(aside)
                remove_traces(self.processing_class)
                try:
                    super()._save_checkpoint(model, trial)
                finally:
                    self._checkpoint_run_dir = None
                state = self.run_state()
                self.barrier()
                if self.args.should_save:
                    for file in (aside / name).iterdir():
                        os.replace(file, aside / file.name)
                    (aside / name).rmdir()
                    torch.save(state, aside / RUN_STATE)
                    write_checksums(aside)
        with self.clock.paused(), explained_write_errors("the list of checkpoints", self._folder):
            if self.args.should_save and not keep_all:
                remove_interim(folder)
                remove_old(folder, self.recipe.checkpoint.save_total_limit)
            self.barrier()

    @contextmanager
    def _shared_aside(self, target: Path) -> Iterator[Path]:
        """`folder_aside`, made by the process that saves, for all processes to write into."""
        with folder_aside(target) if self.args.should_save else nullcontext() as aside:
            if self.args.world_size > 1:
                place = [None if aside is None else str(aside)]
                dist.broadcast_object_list(place, src=0)
                aside = Path(place[0])
            yield aside

    def save_best(self) -> None:
        """Saves the weights of the current evaluation as the best so far; all processes call it."""
        if self.sharded is None and not self.args.should_save:
            return
        folder = Path(self.args.output_dir)
        target = best_folder(folder, self.state.global_step)
        with self.clock.paused(), self.averaged_weights(), self.whole_model():
            if not self.args.should_save:
                return
            with explained_write_errors(target.name, self._folder):
                self.check_place()
                with folder_aside(target) as aside:
                    self.model.save_pretrained(aside)
                    remove_traces(self.processing_class)
                    self.processing_class.save_pretrained(aside)
                    write_checksums(aside)
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

    def mark_place(self) -> None:
        """Remembers the output folder; see `check_place`."""
        status = self._folder.stat()
        self._place = status.st_dev, status.st_ino

    def check_place(self) -> None:
        """Raises OSError if the output folder was removed, or its disk is gone: writing would begin another folder."""
        try:
            status = self._folder.stat()
            found = status.st_dev, status.st_ino
        except OSError:
            found = None
        if self._place is not None and found != self._place:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(self._folder))

    def _lost_weights(self) -> str | None:
        """The name of a parameter with a value that is not finite; None if there is none."""
        named = [(name, value) for name, value in self.model.named_parameters() if value.requires_grad]
        if not named:
            return None
        finite = torch.stack([whole_tensor(value.detach().isfinite().all()) for _, value in named]).tolist()
        return None if all(finite) else named[finite.index(False)][0]

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
            "validation_rows": self.validation_fingerprint(),
            "losses": self.losses.state_dict(),
            "recipe": self.given_recipe.to_dict(),
            "interim": self.save_steps is None or self.state.global_step % self.save_steps != 0,
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
        self._check_rows(state, checkpoint)
        self.clock.load_state_dict(state["clock"])
        self.tokens_seen = state["tokens_seen"]
        self.evaluations_without_gain = state["evaluations_without_gain"]
        best = self.state.best_global_step
        if best is not None and self.keeps_best and not best_folder(Path(self.args.output_dir), best).is_dir():
            logger.warning("The best weights so far were not saved: the best ones from here on are taken.")
            self.state.best_global_step = self.state.best_metric = None
        if "losses" in state:
            self.losses.load_state_dict(state["losses"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        return state

    def _check_rows(self, state: dict[str, Any], checkpoint: Path) -> None:
        """Raises ValueError if the rows differ from those of the checkpoint and the user has not accepted that."""
        found = {"rows": self.batches.fingerprint(), "validation_rows": self.validation_fingerprint()}
        words = {"rows": "training rows", "validation_rows": "validation rows"}
        changed = [words[name] for name, value in found.items() if name in state and state[name] != value]
        if changed and self.accept_changes:
            logger.warning("The %s differ from those of %s.", " and ".join(changed), checkpoint)
        elif changed:
            raise ValueError(
                f"The {' and '.join(changed)} differ from those of {checkpoint}: data.path or its files have changed. "
                "Restore them, start a new run from the weights of the checkpoint, or add --accept-changes to go on "
                "with other rows."
            )

    def barrier(self) -> None:
        """Waits for the other processes, if there are any."""
        if self.args.world_size > 1:
            dist.barrier()


def _random_states() -> dict[str, Any]:
    """The states of the generators of random numbers of this process."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])


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
