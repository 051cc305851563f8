"""transformers' Trainer with what a recipe needs: batches filled by tokens, exact validation loss, safe checkpoints."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from ..data import TokenBatchSampler
from ..evaluation import load_metric
from ..evaluation_mode import evaluation_mode
from . import schedules
from .averaging import WeightAverage, checkpoints
from .batches import BatchStream, Rows, SeededCollator, stream_loader
from .clock import TrainingClock
from .optimizers import build_optimizer
from .recipes.text_sections import TrainingRecipe
from .recipes.training_recipe import Recipe
from .split_scores import total_loss
from .streaming import StreamedBatches, StreamedRows, streamed_loader

RUN_STATE = "run_state.pt"

# "No end" for a training that minutes or patience end; Trainer wants a number of updates.
UNLIMITED_STEPS = 10**9


def peak_learning_rate(recipe: TrainingRecipe, hidden_size: int) -> float:
    """The highest learning rate of the recipe's schedule."""
    if recipe.lr_scheduler_type == "noam":
        return recipe.learning_rate_scale * (hidden_size * max(recipe.warmup_steps, 1)) ** -0.5
    return recipe.learning_rate_scale * recipe.learning_rate


def token_sampler(recipe: Recipe, rows: Rows, processes: int) -> TokenBatchSampler:
    """The order of an epoch's batches for all processes; as many as fill whole updates."""
    training = recipe.training
    try:
        return TokenBatchSampler(
            rows.lengths(),
            training.tokens_per_batch,
            count="sum" if recipe.data.packing else "padded",
            seed=training.seed,
            num_replicas=processes * training.gradient_accumulation_steps,
            rank=None,
        )
    except ValueError as error:
        raise ValueError(
            f"training.tokens_per_batch={training.tokens_per_batch} does not suit the data on {processes} processes "
            f"with training.gradient_accumulation_steps={training.gradient_accumulation_steps}: {error}"
        ) from error


def planned_steps(recipe: Recipe, steps_per_epoch: int) -> int:
    """Updates in the whole training, as far as steps and epochs decide it."""
    training = recipe.training
    limits = [] if training.max_steps is None else [training.max_steps]
    if training.num_train_epochs is not None:
        limits.append(math.ceil(training.num_train_epochs * steps_per_epoch))
    return min(limits, default=UNLIMITED_STEPS)


class RecipeTrainer(Trainer):
    """Runs a recipe. Everything that plain Trainer does is left to it.

    Args:
        recipe: how to train.
        model: its parameters are trained.
        tokenizer: saved with every checkpoint.
        train_rows: tokenised training rows, in memory or as a stream.
        validation_rows: tokenised validation rows, or None.
        collator: makes a batch of rows.
        output: folder for checkpoints.
        reencode: gives new columns of the training rows for each epoch (BPE dropout), or None.
        score: scores beyond the loss, ``score(model) -> {"bleu": ...}``, or None. With several processes each calls it.
        sampler: makes the order of the batches of rows in memory: something like `TokenBatchSampler`.
        callbacks: transformers' callbacks.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_rows: Rows | StreamedRows,
        validation_rows: Rows | None,
        collator: Callable[[list], dict[str, torch.Tensor]],
        output: Path,
        *,
        reencode: Callable[[], dict[str, Any]] | None = None,
        score: Callable[[PreTrainedModel], dict[str, Any]] | None = None,
        sampler: Callable[[Recipe, Rows, int], TokenBatchSampler] = token_sampler,
        callbacks: list | None = None,
    ) -> None:
        self.recipe = recipe
        self.clock = TrainingClock()
        self.tokens_seen = 0
        self.best: dict[str, float] | None = None
        self.evaluations_without_gain = 0
        self.signatures: dict[str, str] = {}
        self.score = score
        self.collate = collator
        self.reencode = reencode
        self._checkpoint_run_dir: str | None = None
        training = recipe.training
        self.average: WeightAverage | None = None
        if training.average != "none":
            self.average = WeightAverage(model, training.average, last=training.average_last, decay=training.ema_decay)
        arguments = _arguments(recipe, output)
        # Before Trainer makes the output folder: what cannot be trained leaves none.
        self.sampler: TokenBatchSampler | None = None
        self.stream: StreamedBatches | None = None
        self.streamed_rows: StreamedRows | None = None
        if isinstance(train_rows, StreamedRows):
            self.streamed_rows = train_rows
            arguments.max_steps = training.max_steps or UNLIMITED_STEPS
        else:
            self.sampler = sampler(recipe, train_rows, arguments.world_size)
            arguments.max_steps = planned_steps(recipe, len(self.sampler) // _batches_per_step(arguments))
        super().__init__(
            model=model,
            args=arguments,
            # Trainer wants a data set with a length; a stream's batches come from the loader below alone.
            train_dataset=train_rows if self.streamed_rows is None else Rows({"input_ids": [()]}),
            eval_dataset=validation_rows,
            data_collator=collator,
            processing_class=tokenizer,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)

    # ---- Batches

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one pass over the data."""
        return len(self.sampler) // _batches_per_step(self.args)

    @property
    def epochs_seen(self) -> float:
        """Passes over the data so far; whole ones of a stream, as far as it was read."""
        if self.streamed_rows is not None:
            return float(self.streamed_rows.passes)
        return self.state.global_step / self.steps_per_epoch

    def get_train_dataloader(self) -> DataLoader:
        """The stream of batches of this process, from the beginning; Trainer skips what a resumed run has seen."""
        rank, processes = self.args.process_index, self.args.world_size
        length = self.args.max_steps * self.args.gradient_accumulation_steps
        workers = self.recipe.training.dataloader_num_workers
        collator = SeededCollator(self.collate, self.recipe.training.seed, rank)
        if self.streamed_rows is not None:
            # Two batches a worker are under way, those of an update are fetched together, and accelerate looks ahead.
            ahead = 2 * workers + self.args.gradient_accumulation_steps + 2
            self.stream = StreamedBatches(self.streamed_rows, length, rank=rank, processes=processes, ahead=ahead)
            return streamed_loader(self.stream, collator, workers)
        dataset = Rows(dict(self.train_dataset.columns))

        def new_epoch(epoch: int) -> list[list[int]]:
            dataset.refresh = self.reencode
            self.sampler.set_epoch(epoch)
            # Batch i of the order goes to process i mod n: n processes see in a step what one process accumulates.
            return [rows for index, rows in enumerate(self.sampler) if index % processes == rank]

        return stream_loader(dataset, BatchStream(new_epoch, length), collator, workers)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """As in Trainer; counts the tokens with a label on the way, over all processes."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.tokens_seen += int(items) if items is not None else 0
        return batches, items

    # ---- Optimisation

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """The recipe's optimizer."""
        if self.optimizer is None:
            training = self.recipe.training
            peak = peak_learning_rate(training, self.model.config.hidden_size)
            base = training.learning_rate_scale if training.lr_scheduler_type == "noam" else peak
            self.optimizer = build_optimizer(self.model if model is None else model, training, peak, base)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LambdaLR:
        """The recipe's schedule."""
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self._schedule(num_training_steps))
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _schedule(self, steps: int) -> schedules.Schedule:
        training = self.recipe.training
        warmup = training.warmup_steps
        if training.lr_scheduler_type == "noam":
            return schedules.noam(self.model.config.hidden_size, max(warmup, 1))
        if training.lr_scheduler_type == "inverse_sqrt":
            return schedules.inverse_sqrt(warmup)
        if training.lr_scheduler_type == "constant":
            return schedules.constant(warmup)

        def along_updates(updates: int) -> float:
            return (updates - warmup) / max(steps - warmup, 1)

        if training.schedule_by == "minutes":
            seconds = 60 * training.max_minutes

            def progress(updates: int) -> float:
                """Along what ends first: a fast machine makes its last update before the minutes are over."""
                return max(self.clock.training / seconds, along_updates(updates))

        else:
            progress = along_updates
        return schedules.decay(training.lr_scheduler_type, warmup, training.final_learning_rate_ratio, progress)

    # ---- Evaluation

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Exact mean loss per token of the validation rows, its perplexity, and the task's own scores.

        The averaged weights are evaluated if the recipe keeps an average. The time is not counted as training.
        """
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        with self.clock.paused():
            if self.average is not None and self.average.count > 0:
                with self.average.applied():
                    metrics = self._scores(rows)
            else:
                metrics = self._scores(rows)
        # Reporters such as TensorBoard take numbers only.
        self.signatures = {name: value for name, value in metrics.items() if isinstance(value, str)}
        metrics = {f"{metric_key_prefix}_{name}": metrics[name] for name in metrics if name not in self.signatures}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _scores(self, rows: Rows | None) -> dict[str, Any]:
        metrics: dict[str, Any] = {}
        with evaluation_mode(self.model):
            if rows is not None:
                loss, tokens = self.total_loss(rows)
                metrics |= load_metric("perplexity").compute(losses=[loss], tokens=[tokens])
            if self.score is not None:
                metrics |= self.score(self.model)
        return metrics

    def total_loss(self, rows: Rows) -> tuple[float, int]:
        """Sum of the losses of all tokens with a label, and their number, over all processes."""
        collate = SeededCollator(self.collate, self.recipe.training.seed)
        with self.compute_loss_context_manager():
            return total_loss(
                self.model, self.recipe, rows, collate, rank=self.args.process_index, processes=self.args.world_size
            )

    # ---- Checkpoints

    def _get_output_dir(self, trial) -> str:
        return self._checkpoint_run_dir or super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial) -> None:
        """Writes a checkpoint aside, then renames it: whatever happens, the ones before it stay whole."""
        name = f"checkpoint-{self.state.global_step}"
        folder = Path(self.args.output_dir)
        aside = folder / ".partial"
        with self.clock.paused():
            try:
                if self.args.should_save:
                    shutil.rmtree(aside, ignore_errors=True)
                    aside.mkdir(parents=True)
                self.barrier()
                self._checkpoint_run_dir = str(aside)
                super()._save_checkpoint(model, trial)
                if self.args.should_save:
                    torch.save(self.run_state(), aside / name / RUN_STATE)
                self.barrier()
            # torch and safetensors do not raise OSError when a disk is full.
            except (OSError, RuntimeError, SafetensorError) as error:
                shutil.rmtree(aside, ignore_errors=True)
                left = checkpoints(folder)
                remedy = f"The last whole one is {left[-1]}" if left else "There is no earlier one"
                raise OSError(
                    f"{name} could not be written to {folder}: {error}. {remedy}; free some space and resume the run."
                ) from error
            finally:
                self._checkpoint_run_dir = None
            if self.args.should_save:
                shutil.rmtree(folder / name, ignore_errors=True)
                os.replace(aside / name, folder / name)
                shutil.rmtree(aside, ignore_errors=True)
                for old in checkpoints(folder)[: -self.recipe.checkpoint.save_total_limit]:
                    shutil.rmtree(old)
            self.barrier()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.recipe.checkpoint.save_only_model:
            super()._save_optimizer_and_scheduler(output_dir)

    def _issue_warnings_after_load(self, load_result) -> None:
        # Tied weights are stored once and are no news.
        missing = [key for key in load_result.missing_keys if key not in self.model.all_tied_weights_keys]
        if missing or load_result.unexpected_keys:
            super()._issue_warnings_after_load(load_result)

    def run_state(self) -> dict[str, Any]:
        """What a resumed run needs beyond what Trainer saves."""
        return {
            "clock": self.clock.state_dict(),
            "tokens_seen": self.tokens_seen,
            "best": self.best,
            "evaluations_without_gain": self.evaluations_without_gain,
            "loss_since_log": float(self._tr_loss),
            "logged_step": self._globalstep_last_logged,
            "average": None if self.average is None else self.average.state_dict(),
            "stream": None if self.stream is None else self.stream.state_dict(self._batches_used()),
        }

    def load_run_state(self, checkpoint: Path) -> None:
        """Goes on from `run_state` as saved in `checkpoint`."""
        device = self.args.device
        # Several processes on a CPU have the device `cpu:0`, which torch.load does not know.
        place = "cpu" if device.type == "cpu" else device
        state = torch.load(Path(checkpoint) / RUN_STATE, weights_only=True, map_location=place)
        self.clock.load_state_dict(state["clock"])
        self.tokens_seen = state["tokens_seen"]
        self.best = state["best"]
        self.evaluations_without_gain = state["evaluations_without_gain"]
        self._tr_loss.fill_(state["loss_since_log"])
        self._globalstep_last_logged = state["logged_step"]
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        if self.stream is not None:
            self.stream.load_state_dict(state["stream"])

    def _batches_used(self) -> int:
        """Batches that each process has trained on."""
        return self.state.global_step * self.args.gradient_accumulation_steps

    def barrier(self) -> None:
        """Waits for the other processes, if there are any."""
        if self.args.world_size > 1:
            dist.barrier()


def _batches_per_step(arguments: TrainingArguments) -> int:
    """Batches of all processes in one update."""
    return arguments.world_size * arguments.gradient_accumulation_steps


def _arguments(recipe: Recipe, output: Path) -> TrainingArguments:
    """Trainer's arguments for the parts that it does itself; the rest is decided by `RecipeTrainer` and callbacks."""
    training = recipe.training
    # Passed only where it is asked for: later versions call it activation_checkpointing and warn of this name.
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
        torch_compile=training.torch_compile,
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        report_to=recipe.output.report_to,
        # Every parameter takes part in every loss; looking for those that do not costs a pass over the graph.
        ddp_find_unused_parameters=False,
        # Without it several processes on a machine without accelerator would not find each other.
        use_cpu=not torch.accelerator.is_available(),
        **checkpointing,
    )
    # One process uses one GPU; for more there is `accelerate launch`. DataParallel would cut our batches up by rows.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
