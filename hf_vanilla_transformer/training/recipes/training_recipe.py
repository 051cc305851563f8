"""A recipe: everything that decides how a model is trained, as nested dataclasses that a YAML file fills.

The fields below are the one place where a default is written. A recipe file says only what differs, the command line
overrides any field by its dotted name (``training.learning_rate=1e-3``), and the recipe as run is saved with the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .adaptation_recipe import AdaptationRecipe, check_adaptation
from .mixture import mixture_sources
from .objective import OBJECTIVES, ObjectiveRecipe, check_objective
from .reading import WritableRecipe, fields_of, nearest, read_recipe, recipe_file, recipe_names


@dataclass
class ModelRecipe:
    """Which network: a preset of its configuration class, with the fields that differ from it.

    Attributes:
        preset: a preset of the task's configuration class, such as ``tiny``, ``base``, ``bert_base``, ``gpt2``.
        config: fields of the configuration that differ from the preset. The vocabulary size and the ids of the special
            tokens come from the tokenizer.
        start_from: a folder or Hub name whose weights the training starts from (instead of ``preset`` and ``config``).
        initial_embeddings: ``cooccurrence`` starts the embeddings of a new model from which tokens share a pair of
            sentences, or a text, at the scale of random ones; the seconds it takes count as training.
        attn_implementation: attention implementation, as transformers names it (``sdpa``, ``eager``,
            ``flash_attention_2``).
    """

    preset: str = "base"
    config: dict[str, Any] = field(default_factory=dict)
    start_from: str | None = None
    initial_embeddings: Literal["random", "cooccurrence"] = "random"
    attn_implementation: str = "sdpa"


@dataclass
class TokenizerRecipe:
    """Which tokenizer: one that exists (``path``) or one trained on the training text.

    Attributes:
        path: folder or Hub name of an existing tokenizer; the other fields are then not used, except ``dropout``.
        kind: algorithm of a tokenizer that is trained here.
        vocab_size: its size, special tokens included. Source and target share it, as in the paper.
        lowercase: lower-case the text (the scores are then of lower-cased text as well).
        pretokenized: the text is tokenised already (words separated by blanks), as Moses scripts leave it.
        dropout: BPE dropout while training (Provilkov et al. 2020); the saved tokenizer has none.
        max_rows: train the tokenizer on the first this many rows (all if None; 100,000 of a stream).
    """

    path: str | None = None
    kind: Literal["bpe", "byte_bpe", "wordpiece", "unigram"] = "bpe"
    vocab_size: int = 37000
    lowercase: bool = False
    pretokenized: bool = False
    dropout: float | None = None
    max_rows: int | None = None


@dataclass
class DataRecipe:
    """Which text.

    Attributes:
        path: folder, file or Hub name, as `hf_vanilla_transformer.data` reads them.
        config: name of the configuration of a Hub data set, such as ``de-en`` of ``wmt14``.
        mixture: sources of a language model's training text, instead of `path`: a list of mappings with `path`,
            `weight` (its share of the tokens, 1 by default) and, where they differ from those here, `config`, `split`,
            `text_column` and `sample_by`. Validation and test text are those of `path`, or of the first source without
            it. A mixture is read as a stream.
        source, target: languages (keys of a ``translation`` column, endings of two parallel files) or column names.
        text_column: the column of a text corpus (masked and causal language models).
        train, validation, test: names of the splits; of several names, the first that exists is taken.
        sample_by: what one text of a plain text file is: a line, a paragraph or the whole file.
        hold_out: for language models: so many texts at the beginning of the training split are kept out of training
            and are the validation split, where the data has none of its own.
        reverse: ``causal_lm`` only: the tokens of every text in reverse order, for a backward language model.
        streaming: read while training and never hold all of it: language models tokenise, pack and shuffle on the way,
            so that the text may be of any size. Translation only does without downloading the whole set.
        shuffle_buffer: rows of a stream among which the next one is drawn.
        max_rows: use only the first this many rows of the training split (of each source of a mixture).
        on_bad_row: count and skip a bad row, or stop at the first one.
        max_length_ratio: a pair whose sides differ more than this in length is a bad row (None: never).
        max_length: longest sequence in tokens, the end mark included. A longer pair is left out of training, and
            counted; running text is cut into blocks of this length.
        packing: lay several sequences in one row of up to `max_length` tokens, so that there is next to no padding.
    """

    path: str | None = None
    config: str | None = None
    mixture: list[dict[str, Any]] = field(default_factory=list)
    source: str = "en"
    target: str = "de"
    text_column: str = "text"
    train: list[str] = field(default_factory=lambda: ["train"])
    validation: list[str] = field(default_factory=lambda: ["validation", "valid", "dev"])
    test: list[str] = field(default_factory=lambda: ["test"])
    sample_by: Literal["line", "paragraph", "document"] = "line"
    hold_out: int = 0
    reverse: bool = False
    streaming: bool = False
    shuffle_buffer: int = 10000
    max_rows: int | None = None
    on_bad_row: Literal["skip", "error"] = "skip"
    max_length_ratio: float | None = 9.0
    max_length: int = 256
    packing: bool = False


@dataclass
class TrainingRecipe:
    """How the weights move. The defaults are the paper's, sections 5.1 to 5.4.

    Attributes:
        tokens_per_batch: most tokens of a side (source, target) in a batch of one process, padding included.
        gradient_accumulation_steps: batches added up to one update; the gradient is that of one batch of them all.
        max_steps, num_train_epochs, max_minutes: training ends at whichever is reached first; at least one must be set.
            Evaluations and the writing of checkpoints do not count as minutes.
        optim: ``adam`` (with decoupled weight decay, so 0 is the paper's Adam) or ``muon`` for the matrices inside
            the layers and ``adam`` for embeddings, norms and biases.
        learning_rate: peak of the schedule; None for ``noam``, whose peak follows from the width.
        learning_rate_scale: multiplies the schedule.
        lr_scheduler_type: shape after the warm-up. ``noam`` is Eq. 3 of the paper.
        schedule_by: what ``linear`` and ``cosine`` run along: updates, or minutes of training (``max_minutes``), and
            with these whichever of both is nearer to its end.
        warmup_steps: updates of linear warm-up.
        final_learning_rate_ratio: where ``linear`` and ``cosine`` end, as a part of the peak.
        adam_beta1, adam_beta2, adam_epsilon: constants of Adam.
        weight_decay: of matrices; biases and norms have none.
        muon_learning_rate: peak of the schedule for Muon's matrices.
        muon_momentum: constant of Muon.
        max_grad_norm: gradients are clipped to this norm; 0 leaves them as they are, as in the paper.
        average: keep an average of the weights in memory: of the last snapshots, or exponential (``ema``). It is what
            evaluations score and what the run gives, unless checkpoints are averaged.
        average_last: snapshots in the average ``last``.
        average_every: updates between two snapshots.
        ema_decay: of the average ``ema``, per snapshot.
        precision: ``bf16`` and ``fp16`` are autocast with float32 weights.
        gradient_checkpointing: compute activations again in the backward pass, to save memory.
        torch_compile: compile the model.
        dataloader_num_workers: processes that make batches beside the training; 0 makes them in it.
        logging_steps: updates between two lines of progress.
        seed: of the weights, the order of the data, dropout and masking.
    """

    tokens_per_batch: int = 25000
    gradient_accumulation_steps: int = 1
    max_steps: int | None = None
    num_train_epochs: float | None = None
    max_minutes: float | None = None
    optim: Literal["adam", "muon"] = "adam"
    learning_rate: float | None = None
    learning_rate_scale: float = 1.0
    lr_scheduler_type: Literal["noam", "inverse_sqrt", "linear", "cosine", "constant"] = "noam"
    schedule_by: Literal["steps", "minutes"] = "steps"
    warmup_steps: int = 4000
    final_learning_rate_ratio: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    adam_epsilon: float = 1e-9
    weight_decay: float = 0.0
    muon_learning_rate: float = 0.02
    muon_momentum: float = 0.95
    max_grad_norm: float = 0.0
    average: Literal["none", "last", "ema"] = "none"
    average_last: int = 5
    average_every: int = 100
    ema_decay: float = 0.999
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    torch_compile: bool = False
    dataloader_num_workers: int = 0
    logging_steps: int = 50
    seed: int = 0


@dataclass
class EvaluationRecipe:
    """When the model is scored on the validation split, and when that ends the training.

    Attributes:
        eval_steps: updates between two evaluations (None: only at the end).
        predict_with_generate: also translate and compute BLEU and chrF (translation only); otherwise only the loss.
        max_rows: rows of the validation split to translate, or to compute a language model's loss of (None: all).
        num_beams: beams of these translations; the end result uses `generation`.
        tokens_per_batch: source tokens in a batch of translations or of the loss.
        metric_for_best_model: decides which checkpoint is best and when to stop early.
        patience: evaluations without a better `metric_for_best_model` after which training stops (None: never).
        bleu_tokenize: sacreBLEU's tokeniser; ``none`` for text that is tokenised already.
    """

    eval_steps: int | None = None
    predict_with_generate: bool = True
    max_rows: int | None = None
    num_beams: int = 1
    tokens_per_batch: int = 8192
    metric_for_best_model: Literal["loss", "bleu", "chrf"] = "loss"
    patience: int | None = None
    bleu_tokenize: Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200", "none"] = "13a"


@dataclass
class GenerationRecipe:
    """How the finished model translates, section 6.1 of the paper.

    Attributes:
        num_beams: width of the beam.
        length_penalty: exponent of the penalty.
        length_penalty_form: ``gnmt`` divides by ((5 + |Y|) / 6)^a (Wu et al. 2016, Eq. 14, as the paper does),
            ``power`` by |Y|^a, as transformers does.
        max_extra_tokens: an output is at most this much longer than its input.
    """

    num_beams: int = 4
    length_penalty: float = 0.6
    length_penalty_form: Literal["gnmt", "power"] = "gnmt"
    max_extra_tokens: int = 50


@dataclass
class CheckpointRecipe:
    """What is kept on disk while training.

    Attributes:
        save_steps: updates between two checkpoints (None: only when interrupted and at the end).
        save_total_limit: the newest this many are kept, and the best one.
        average_last: the finished model is the average of the last this many checkpoints (0: the last weights).
        save_only_model: leave out the optimizer's state: a checkpoint is then a third as large, and a run cannot be
            resumed from it.
    """

    save_steps: int | None = None
    save_total_limit: int = 5
    average_last: int = 0
    save_only_model: bool = False


@dataclass
class OutputRecipe:
    """Where the result goes.

    Attributes:
        output_dir: the output folder; it must be new or empty, unless the run is resumed.
        report_to: also write to TensorBoard or trackio.
        plot: draw curves.png.
    """

    output_dir: str | None = None
    report_to: Literal["none", "tensorboard", "trackio"] = "none"
    plot: bool = True


@dataclass
class Recipe(WritableRecipe):
    """The whole recipe. `task` decides which configuration class, head, collator and metrics are used."""

    task: Literal["translation", "masked_lm", "causal_lm", "denoising", "span"] = "translation"
    description: str = ""
    model: ModelRecipe = field(default_factory=ModelRecipe)
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    adaptation: AdaptationRecipe = field(default_factory=AdaptationRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    generation: GenerationRecipe = field(default_factory=GenerationRecipe)
    checkpoint: CheckpointRecipe = field(default_factory=CheckpointRecipe)
    output: OutputRecipe = field(default_factory=OutputRecipe)


def load_recipe(name_or_path: str | Path | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe by name or from a file, then applies overrides; see `read_recipe`."""
    recipe = read_recipe(Recipe, name_or_path, overrides)
    validate(recipe)
    return recipe


def validate(recipe: Recipe) -> None:
    """Checks what one field alone cannot: values that contradict each other. Raises ValueError with the remedy."""
    training = recipe.training
    if training.max_steps is None and training.num_train_epochs is None and training.max_minutes is None:
        raise ValueError(
            "The recipe never ends: set training.max_steps, training.num_train_epochs or training.max_minutes, "
            "for example --training.max_steps 1000."
        )
    if training.learning_rate is None and training.lr_scheduler_type != "noam":
        raise ValueError(
            f"training.lr_scheduler_type={training.lr_scheduler_type!r} needs training.learning_rate; only "
            "`noam` has a peak of its own."
        )
    if training.learning_rate is not None and training.lr_scheduler_type == "noam":
        raise ValueError(
            "training.lr_scheduler_type='noam' has a peak that follows from width and warm-up, so "
            "training.learning_rate="
            f"{training.learning_rate} has no place; scale it with training.learning_rate_scale, or use inverse_sqrt."
        )
    if training.lr_scheduler_type in ("linear", "cosine"):
        along = "max_minutes" if training.schedule_by == "minutes" else "max_steps"
        if training.schedule_by == "minutes" and training.max_minutes is None:
            raise ValueError(f"training.schedule_by='minutes' needs training.{along}, where the schedule ends.")
        if training.schedule_by == "steps" and training.max_steps is None and training.num_train_epochs is None:
            raise ValueError(
                f"training.lr_scheduler_type={training.lr_scheduler_type!r} ends at the last update: set "
                "training.max_steps or "
                "training.num_train_epochs, or training.schedule_by: minutes."
            )
    for name in ("max_steps", "num_train_epochs", "max_minutes", "learning_rate"):
        value = getattr(training, name)
        if value is not None and value <= 0:
            raise ValueError(f"training.{name} must be above 0, not {value}.")
    for section, name, lowest in _AT_LEAST:
        value = getattr(getattr(recipe, section), name)
        if value is not None and value < lowest:
            raise ValueError(f"{section}.{name} must be at least {lowest}, not {value}.")
    if recipe.model.initial_embeddings == "cooccurrence":
        if recipe.task != "translation" and (recipe.data.streaming or recipe.data.mixture):
            raise ValueError(
                "model.initial_embeddings='cooccurrence' counts tokens before the first update, so it needs the text "
                "in memory: leave out data.streaming and data.mixture, or set it to random."
            )
        if recipe.model.start_from is not None:
            raise ValueError(
                f"model.start_from={recipe.model.start_from!r} has embeddings already, which "
                "model.initial_embeddings='cooccurrence' would replace; leave out one of the two."
            )
    check_objective(recipe)
    check_adaptation(recipe)
    _check_data(recipe)
    if recipe.tokenizer.dropout is not None and not 0 <= recipe.tokenizer.dropout < 1:
        raise ValueError(f"tokenizer.dropout must be in [0, 1), not {recipe.tokenizer.dropout}.")
    if recipe.tokenizer.dropout and (recipe.task != "translation" or training.dataloader_num_workers):
        raise ValueError(
            f"tokenizer.dropout={recipe.tokenizer.dropout} is for task=translation with "
            "training.dataloader_num_workers=0, "
            f"not for task={recipe.task} with {training.dataloader_num_workers} workers; set it to null."
        )
    if recipe.evaluation.metric_for_best_model != "loss" and (
        recipe.task != "translation" or not recipe.evaluation.predict_with_generate
    ):
        raise ValueError(
            f"evaluation.metric_for_best_model={recipe.evaluation.metric_for_best_model!r} needs translations: "
            "task must be `translation` and "
            "evaluation.predict_with_generate true. Use evaluation.metric_for_best_model: loss otherwise."
        )
    if recipe.evaluation.patience is not None and recipe.evaluation.eval_steps is None:
        raise ValueError("evaluation.patience counts evaluations: set evaluation.eval_steps, for example 500.")
    if recipe.checkpoint.average_last > 1 and recipe.checkpoint.save_steps is None:
        raise ValueError("checkpoint.average_last averages checkpoints: set checkpoint.save_steps, for example 1000.")
    if recipe.checkpoint.average_last > recipe.checkpoint.save_total_limit:
        raise ValueError(
            f"checkpoint.average_last={recipe.checkpoint.average_last} needs as many checkpoints, but "
            "checkpoint.save_total_limit="
            f"{recipe.checkpoint.save_total_limit} deletes the others. Set checkpoint.save_total_limit to "
            f"{recipe.checkpoint.average_last}."
        )


def _check_data(recipe: Recipe) -> None:
    """What the fields of `data` need from the task and from each other."""
    data, task = recipe.data, recipe.task
    if data.reverse and task != "causal_lm":
        raise ValueError(f"data.reverse=true is for task='causal_lm', not for task={task!r}; set it to false.")
    if task not in OBJECTIVES.values():
        for name, default in (("mixture", []), ("hold_out", 0), ("sample_by", "line")):
            if getattr(data, name) != default:
                raise ValueError(
                    f"data.{name}={getattr(data, name)!r} is for language models, not for task={task!r}; leave it out."
                )
        return
    if data.streaming or data.mixture:
        if recipe.training.num_train_epochs is not None:
            raise ValueError(
                f"training.num_train_epochs={recipe.training.num_train_epochs:g} cannot be counted in a stream, "
                "whose length is "
                "not known: set training.max_steps or training.max_minutes, and training.num_train_epochs to null."
            )
        mixture_sources(data)


_AT_LEAST = [
    ("training", "tokens_per_batch", 1),
    ("training", "gradient_accumulation_steps", 1),
    ("training", "warmup_steps", 0),
    ("training", "average_every", 1),
    ("training", "average_last", 1),
    ("training", "logging_steps", 1),
    ("training", "max_grad_norm", 0),
    ("training", "weight_decay", 0),
    ("evaluation", "eval_steps", 1),
    ("evaluation", "patience", 1),
    ("evaluation", "num_beams", 1),
    ("evaluation", "tokens_per_batch", 1),
    ("evaluation", "max_rows", 1),
    ("generation", "num_beams", 1),
    ("generation", "max_extra_tokens", 0),
    ("checkpoint", "save_steps", 1),
    ("checkpoint", "save_total_limit", 1),
    ("checkpoint", "average_last", 0),
    ("data", "max_length", 2),
    ("data", "max_rows", 1),
    ("data", "hold_out", 0),
    ("data", "shuffle_buffer", 1),
    ("tokenizer", "vocab_size", 8),
]


def recipe_fields(kind: type = Recipe) -> Iterator[tuple[str, dataclasses.Field]]:
    """Every field of a recipe by its dotted name, in order."""
    return fields_of(kind)


__all__ = [
    "CheckpointRecipe",
    "DataRecipe",
    "EvaluationRecipe",
    "GenerationRecipe",
    "ModelRecipe",
    "OutputRecipe",
    "Recipe",
    "TokenizerRecipe",
    "TrainingRecipe",
    "load_recipe",
    "nearest",
    "read_recipe",
    "recipe_fields",
    "recipe_file",
    "recipe_names",
    "validate",
]
