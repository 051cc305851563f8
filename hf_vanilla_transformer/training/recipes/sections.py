"""The sections that the recipes of all training commands share: `train`, `pretrain`, `adapt` and `finetune`."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
from dataclasses import dataclass
from typing import Literal

from huggingface_hub.dataclasses import strict

from ...wording import counted
from .bounds import Number, bounded


@strict
@dataclass
class TrainingSection:
    """How long a model is trained and how its weights are updated. The defaults are those of Vaswani et al. 2017."""

    num_train_epochs: Number | None = bounded(None, above=0)
    """Passes over the training data. Training ends at the first of `num_train_epochs`, `max_steps`, `max_minutes`."""
    max_steps: int | None = bounded(None, at_least=1, at_most=1_000_000_000)
    """Updates after which training ends."""
    max_minutes: Number | None = bounded(None, above=0)
    """Minutes after which training ends. Evaluations and the writing of checkpoints do not count."""
    gradient_accumulation_steps: int = bounded(1, at_least=1, at_most=1_000_000)
    """Batches whose gradients are accumulated for one update. The gradient equals that of one batch of them all."""
    adam_beta1: Number = bounded(0.9, at_least=0, below=1)
    """Adam's decay of the average gradient."""
    adam_beta2: Number = bounded(0.98, at_least=0, below=1)
    """Adam's decay of the average squared gradient."""
    adam_epsilon: Number = bounded(1e-9, above=0)
    """Adam's epsilon."""
    weight_decay: Number = bounded(0.0, at_least=0)
    """Decoupled weight decay of matrices. Biases and normalisation weights do not decay."""
    max_grad_norm: Number = bounded(0.0, at_least=0)
    """Gradients are clipped to this norm; 0 does not clip."""
    on_bad_loss: Literal["stop", "skip"] = "stop"
    """What happens at an update whose loss or gradient is NaN or infinite, or whose loss exceeds `loss_limit`: the run
    saves the weights of before and stops, or it leaves out the update and goes on. The batch is kept in
    `bad_updates`."""
    loss_limit: Number | None = bounded(100.0, above=1)
    """A loss has exploded if it is more than this many times the larger of the first loss and the running mean of the
    losses; null for NaN and infinite losses only."""
    max_bad_losses: int = bounded(10, at_least=1)
    """With `on_bad_loss: skip`, the run stops at this many bad updates in a row."""
    average: Literal["none", "last", "ema"] = "none"
    """Keep an average of the weights in memory: of the last snapshots (`last`) or an exponential one (`ema`). The
    averaged weights are evaluated and saved, unless checkpoints are averaged."""
    average_last: int = bounded(5, at_least=1, at_most=1_000)
    """Snapshots in the average `last`."""
    average_every: int = bounded(100, at_least=1, at_most=1_000_000_000)
    """Updates between two snapshots."""
    ema_decay: Number = bounded(0.999, at_least=0, below=1)
    """Decay of the average `ema`, per snapshot."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """`bf16` and `fp16` are autocast; the weights stay float32."""
    gradient_checkpointing: bool = False
    """Save memory: compute activations again in the backward pass."""
    logging_steps: int = bounded(50, at_least=1, at_most=1_000_000_000)
    """Updates between two lines of progress."""
    seed: int = bounded(0, at_least=0, below=2**32)
    """Seed of new weights, of the order of the data, of dropout and of masking."""


@strict
@dataclass
class EvaluationSection:
    """When the model is scored on the validation split, and what follows from the score."""

    eval_steps: int | None = bounded(None, at_least=1, at_most=1_000_000_000)
    """Updates between two evaluations."""
    patience: int | None = bounded(None, at_least=1, at_most=1_000_000_000)
    """Training stops after this many evaluations without a better `metric_for_best_model`; null never stops early."""
    load_best_model_at_end: bool = True
    """The final model is the best of the evaluated ones, not the last one, unless weights are averaged."""
    max_rows: int | None = bounded(None, at_least=1, at_most=1_000_000_000_000)
    """Rows of the validation split that are scored during training; null scores all."""
    num_beams: int = bounded(1, at_least=1, at_most=1000)
    """Beam width of the texts that are generated for scoring during training."""


@strict
@dataclass
class CheckpointRecipe:
    """What is kept on disk while a model is trained."""

    save_steps: int | None = bounded(None, at_least=1, at_most=1_000_000_000)
    """Updates between two checkpoints; null saves one when the run is interrupted and one at the end."""
    save_total_limit: int = bounded(5, at_least=1, at_most=1_000_000)
    """The newest checkpoints that are kept. The best model is kept as well."""
    average_last: int = bounded(0, at_least=0, at_most=1_000)
    """The final model is the average of the last this many checkpoints; 0 does not average."""
    save_only_model: bool = False
    """Leave out the state of the optimizer. A checkpoint is then a third as large, and a run cannot resume from it."""


@strict
@dataclass
class OutputRecipe:
    """Where the results are written."""

    output_dir: str | None = None
    """Output folder. It must be new or empty, unless a run is resumed."""
    report_to: Literal["none", "tensorboard", "trackio"] = "none"
    """Also log to TensorBoard or trackio."""
    plot: bool = True
    """Draw the curves of the run."""


def short_average(training: TrainingSection, checkpoint: CheckpointRecipe) -> str:
    """What is averaged at the end of a run that writes fewer checkpoints than `average_last`; else empty."""
    if training.max_steps is None or checkpoint.save_steps is None:
        return ""
    written = -(-training.max_steps // checkpoint.save_steps)
    if written >= checkpoint.average_last:
        return ""
    return (
        f"a run of training.max_steps={training.max_steps} with checkpoint.save_steps={checkpoint.save_steps} writes "
        f"{counted(written, 'checkpoint')}, so the model is not the average of checkpoint.average_last="
        f"{checkpoint.average_last}, but of {'those' if written > 1 else 'that one'}"
    )


def problems_of_sections(
    training: TrainingSection, evaluation: EvaluationSection, checkpoint: CheckpointRecipe
) -> list[str]:
    """Contradictions between fields that all training commands have, each as a sentence with the remedy."""
    problems = []
    if training.max_steps is None and training.num_train_epochs is None and training.max_minutes is None:
        problems.append(
            "Training never ends: set training.max_steps, training.num_train_epochs or training.max_minutes, for "
            "example --training.max_steps 1000."
        )
    if training.on_bad_loss == "skip" and training.precision == "fp16":
        problems.append(
            "training.on_bad_loss='skip' does not go with training.precision='fp16', whose loss scaling skips updates "
            "itself: set training.precision to bf16, or training.on_bad_loss to stop."
        )
    average_last, save_steps, limit = checkpoint.average_last, checkpoint.save_steps, checkpoint.save_total_limit
    if average_last > 1 and save_steps is None:
        problems.append(
            f"checkpoint.average_last={average_last} averages checkpoints: set checkpoint.save_steps, for example 1000."
        )
    if average_last > limit:
        problems.append(
            f"checkpoint.average_last={average_last} needs as many, but checkpoint.save_total_limit={limit} keeps "
            f"fewer: set checkpoint.save_total_limit to {average_last}."
        )
    return problems
