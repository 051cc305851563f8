"""The recipe of a fine-tuning: the parent, the task, the labelled data, and each trick as one field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..lora import TargetModulesPreset
from .reading import WritableRecipe
from .training_recipe import OutputRecipe, read_recipe


@dataclass
class LabelledDataRecipe:
    """Which rows, and which of their columns.

    Attributes:
        path: folder with a file a split, a file, or a Hub name: Parquet, CSV, TSV or JSON lines.
        config: name of the configuration of a Hub data set.
        delimiter, encoding, header: of CSV files; None finds out the delimiter, and whether the first line names the
            columns.
        text: column of the text, by name or (CSV) number; None for the first there is of the usual names.
        text_pair: column of a second text (entailment, paraphrases); None for one text.
        label: column of the label: a class, a number (``head.problem: regression``), or a list of classes, or one text
            with `label_separator` between them (``multi_label``).
        label_separator: between the classes of one row, where a list is written as text.
        tokens, tags: columns of a label per token.
        heads, relations: columns of dependency trees, beside `tokens`.
        question, context, answers: columns of question answering, as in SQuAD.
        choices: columns of the choices, or one column that holds a list of them.
        source, target: columns of texts to read and to write (summaries, translation); languages of a
            ``translation`` column will do too.
        train, validation, test: names of the splits; of several names, the first that exists is taken. A file will do.
        validation_part: where there is no validation split, this part of the training rows is held out for it, the same
            rows whatever `training.seed` is.
        max_rows: use only the first this many rows of the training split.
        max_labels: learn from only this many training rows, drawn by `sample_seed`, of each class as many as can be.
        sample_seed: draws them; None for `training.seed`.
        on_bad_row: count and skip a bad row, or stop at the first one.
        on_bad_label: stop at doubtful labels (a class that training never saw, one class only, classes that differ in
            case only), or warn, leave such rows out, count them and go on.
    """

    path: str | None = None
    config: str | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: bool | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    label_separator: str | None = None
    tokens: str = "tokens"
    tags: str = "tags"
    heads: str = "head"
    relations: str = "deprel"
    question: str = "question"
    context: str = "context"
    answers: str = "answers"
    choices: list[str] = field(default_factory=lambda: ["choices"])
    source: str = "source"
    target: str = "target"
    train: list[str] = field(default_factory=lambda: ["train"])
    validation: list[str] = field(default_factory=lambda: ["validation", "valid", "dev"])
    test: list[str] = field(default_factory=lambda: ["test"])
    validation_part: float = 0.1
    max_rows: int | None = None
    max_labels: int | None = None
    sample_seed: int | None = None
    on_bad_row: Literal["skip", "error"] = "skip"
    on_bad_label: Literal["error", "warn"] = "error"


@dataclass
class TextLengthRecipe:
    """What becomes of texts that are longer than the model can read.

    Attributes:
        max_tokens: longest row in tokens, marks included; None for what the model can read.
        too_long: ``truncate`` reads the beginning, ``window`` reads all of it in overlapping windows whose votes are
            averaged, ``refuse`` stops with the row's number.
        overlap: tokens that a window shares with the one before; None for a quarter of it.
        max_target_tokens: longest target of a sequence-to-sequence task.
    """

    max_tokens: int | None = None
    too_long: Literal["truncate", "window", "refuse"] = "truncate"
    overlap: int | None = None
    max_target_tokens: int = 128


@dataclass
class HeadRecipe:
    """The new layers on top of the body.

    Attributes:
        problem: of a label per text: one of several classes, any of several classes, or a number.
        pooling: what the head of a label per text reads: ``first`` (an encoder's first token, through BERT's pooler),
            ``last`` token, ``mean`` of all tokens, or ``concat`` of last, maximum and mean (Howard and Ruder 2018,
            section 3.3). ``default`` is the first of an encoder and the last of a decoder.
        dropout: before the head; None for the parent's. A decoder's label per text, answers in a text, and what is
            generated have none, and setting it is an error.
        config: more fields of the configuration that differ from the parent's, such as ``dropout``.
    """

    problem: Literal["single_label", "multi_label", "regression"] = "single_label"
    pooling: Literal["default", "first", "last", "mean", "concat"] = "default"
    dropout: float | None = None
    config: dict[str, Any] = field(default_factory=dict)


@dataclass
class BackboneRecipe:
    """What of the body is trained.

    Attributes:
        train: all of it, nothing (``frozen``: a probe of what the parent knows), or low-rank adapters by PEFT, which
            are merged into the weights at the end (``lora``).
        lora_rank, lora_alpha, lora_dropout: of the adapters (Hu et al. 2021).
        lora_target_modules: which linear maps get them; see `lora_targets`.
    """

    train: Literal["full", "frozen", "lora"] = "full"
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_target_modules: TargetModulesPreset = "attention"


@dataclass
class RatesRecipe:
    """Learning rates, over the layers and over time (Howard and Ruder 2018, section 3.2).

    Attributes:
        learning_rate: the highest rate of the head; None for 5e-4 at a width of 128 and less for a wider body, see
            `default_learning_rate`.
        layerwise_lr_decay: each layer's rate is that of the layer above divided by this, 2.6 in the paper; 1 for one
            rate for all.
        lr_scheduler_type: ``slanted_triangular`` is Eq. 3; the others have a warm-up of the same length.
        cut_fraction: part of the updates in which the rate rises.
        ratio: how much smaller than the highest rate the lowest is.
    """

    learning_rate: float | None = None
    layerwise_lr_decay: float = 1.0
    lr_scheduler_type: Literal["slanted_triangular", "linear", "cosine", "constant"] = "slanted_triangular"
    cut_fraction: float = 0.1
    ratio: float = 32.0


@dataclass
class UnfreezingRecipe:
    """Gradual unfreezing (Howard and Ruder 2018, section 3.3).

    Attributes:
        mode: ``none`` trains everything from the start; ``gradual`` begins with the head and then adds a layer at a
            time, from the top down.
        every_epochs: epochs between two layers.
    """

    mode: Literal["none", "gradual"] = "none"
    every_epochs: float = 1.0


@dataclass
class FinetuneTrainingRecipe:
    """How long, and with which constants.

    Attributes:
        num_train_epochs: passes over the training rows.
        max_steps: ends the training earlier, after so many updates.
        per_device_train_batch_size: rows of a batch.
        gradient_accumulation_steps: batches added up to one update.
        adam_beta1, adam_beta2, adam_epsilon: constants of Adam.
        weight_decay: of matrices, decoupled; biases and norms have none.
        max_grad_norm: gradients are clipped to this norm; 0 leaves them as they are.
        precision: ``bf16`` and ``fp16`` are autocast with float32 weights.
        gradient_checkpointing: compute activations again in the backward pass, to save memory.
        logging_steps: updates between two lines of progress.
        seed: of the head's weights, the order of the rows and dropout.
    """

    num_train_epochs: float = 4.0
    max_steps: int | None = None
    per_device_train_batch_size: int = 32
    gradient_accumulation_steps: int = 1
    adam_beta1: float = 0.9
    adam_beta2: float = 0.99
    adam_epsilon: float = 1e-8
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    logging_steps: int = 20
    seed: int = 0


@dataclass
class FinetuneEvaluationRecipe:
    """When the model is scored on the validation split, and what follows from it.

    Attributes:
        eval_steps: updates between two evaluations; None for once an epoch.
        metric_for_best_model: decides which checkpoint is best; None for the task's own.
        patience: evaluations without a better `metric_for_best_model` after which training stops; None for never.
        load_best_model_at_end: the final model is the best one on the validation split, not the last one.
        max_rows: score only so many rows of the validation split while training; the end result is of all.
        per_device_eval_batch_size: rows of a batch.
        num_beams: of a sequence-to-sequence task.
        test: score the finished model on the test split too. Leave it off while you are still choosing.
    """

    eval_steps: int | None = None
    metric_for_best_model: str | None = None
    patience: int | None = None
    load_best_model_at_end: bool = True
    max_rows: int | None = None
    per_device_eval_batch_size: int = 64
    num_beams: int = 4
    test: bool = True


@dataclass
class ComparisonRecipe:
    """What the gain is measured against: the same fine-tuning from another start.

    Attributes:
        start: ``before`` is the step before the parent (what the parent itself was trained from), ``scratch`` random
            weights of the parent's shape, with one rate for all layers and nothing frozen; both are trained here as
            well. Anything else is the folder of an earlier fine-tuning, whose results.json is read.
    """

    start: list[str] = field(default_factory=list)


@dataclass
class FinetuneRecipe(WritableRecipe):
    """The whole recipe.

    Attributes:
        task: what is learned; see `hf_vanilla_transformer.training.finetuning.tasks`.
        base_model: a folder that a run made, or any checkpoint that `from_checkpoint` reads.
        base_model_format: what wrote the parent, as `from_checkpoint` names it.
        from_scratch: random weights in the parent's shape, with its tokenizer: what the parent is worth.
        decoder_base_model: of a sequence-to-sequence task whose `parent` is an encoder: the decoder to put beside it.
        backward_base_model: a causal language model of texts read backwards. Both read the text, and their
            probabilities
            are averaged (Howard and Ruder 2018, section 3.3).
    """

    task: str = "classification"
    description: str = ""
    base_model: str | None = None
    base_model_format: Literal["transformers", "bert-tf", "fairseq"] = "transformers"
    from_scratch: bool = False
    decoder_base_model: str | None = None
    backward_base_model: str | None = None
    attn_implementation: str = "sdpa"
    data: LabelledDataRecipe = field(default_factory=LabelledDataRecipe)
    text_length: TextLengthRecipe = field(default_factory=TextLengthRecipe)
    head: HeadRecipe = field(default_factory=HeadRecipe)
    backbone: BackboneRecipe = field(default_factory=BackboneRecipe)
    rates: RatesRecipe = field(default_factory=RatesRecipe)
    unfreezing: UnfreezingRecipe = field(default_factory=UnfreezingRecipe)
    training: FinetuneTrainingRecipe = field(default_factory=FinetuneTrainingRecipe)
    evaluation: FinetuneEvaluationRecipe = field(default_factory=FinetuneEvaluationRecipe)
    comparison: ComparisonRecipe = field(default_factory=ComparisonRecipe)
    output: OutputRecipe = field(default_factory=OutputRecipe)


def load_finetune_recipe(path: str | Path | None = None, overrides: Iterable[str] = ()) -> FinetuneRecipe:
    """Reads a recipe from a YAML file or a folder that a fine-tuning made, then applies overrides.

    Args:
        path: the file or folder; None starts from the defaults.
        overrides: ``"rates.learning_rate=1e-3"``; the value is read as YAML.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: a key or a value is wrong; the message names the nearest key or the legal values.
    """
    recipe = read_recipe(FinetuneRecipe, path, overrides)
    validate(recipe)
    return recipe


_ABOVE_ZERO = [
    ("training", "num_train_epochs"),
    ("training", "adam_epsilon"),
    ("rates", "learning_rate"),
    ("unfreezing", "every_epochs"),
    ("backbone", "lora_alpha"),
]
_AT_LEAST = [
    ("data", "max_rows", 1),
    ("data", "max_labels", 1),
    ("text_length", "max_tokens", 4),
    ("text_length", "max_target_tokens", 2),
    ("text_length", "overlap", 0),
    ("backbone", "lora_rank", 1),
    ("rates", "layerwise_lr_decay", 1),
    ("rates", "ratio", 1),
    ("training", "max_steps", 1),
    ("training", "per_device_train_batch_size", 1),
    ("training", "gradient_accumulation_steps", 1),
    ("training", "weight_decay", 0),
    ("training", "max_grad_norm", 0),
    ("training", "logging_steps", 1),
    ("evaluation", "eval_steps", 1),
    ("evaluation", "patience", 1),
    ("evaluation", "max_rows", 1),
    ("evaluation", "per_device_eval_batch_size", 1),
    ("evaluation", "num_beams", 1),
]
_PARTS = [
    ("data", "validation_part", 0.0, 0.9),
    ("rates", "cut_fraction", 0.0, 1.0),
    ("head", "dropout", 0.0, 0.99),
    ("backbone", "lora_dropout", 0.0, 0.99),
    ("training", "adam_beta1", 0.0, 0.999999),
    ("training", "adam_beta2", 0.0, 0.999999),
]


def validate(recipe: FinetuneRecipe) -> None:
    """Checks values, and what one field alone cannot say. Raises ValueError with the remedy."""
    from ..finetuning.tasks import TASKS  # the tasks know the recipe

    if recipe.task not in TASKS:
        from .training_recipe import nearest

        raise ValueError(f"task={recipe.task!r} does not exist. {nearest(recipe.task, TASKS)}")
    for section, name in _ABOVE_ZERO:
        value = getattr(getattr(recipe, section), name)
        if value is not None and value <= 0:
            raise ValueError(f"{section}.{name} must be above 0, not {value}.")
    for section, name, lowest in _AT_LEAST:
        value = getattr(getattr(recipe, section), name)
        if value is not None and value < lowest:
            raise ValueError(f"{section}.{name} must be at least {lowest}, not {value}.")
    for section, name, lowest, highest in _PARTS:
        value = getattr(getattr(recipe, section), name)
        if value is not None and not lowest <= value <= highest:
            raise ValueError(f"{section}.{name} must be in [{lowest:g}, {highest:g}], not {value}.")
    if recipe.unfreezing.mode == "gradual" and recipe.backbone.train != "full":
        raise ValueError(
            "unfreezing.mode='gradual' thaws the body layer by layer, but with "
            f"backbone.train={recipe.backbone.train!r} the "
            "body's own weights are never trained; leave one of them at its default."
        )
    if recipe.from_scratch and recipe.backbone.train != "full":
        raise ValueError(
            f"from_scratch: true has nothing in the body to keep, so backbone.train={recipe.backbone.train!r} "
            "would train on "
            "random features; set backbone.train: full."
        )
    limit, length = recipe.text_length.max_tokens, recipe.text_length
    if limit is not None and length.overlap is not None and length.overlap >= limit - 3:
        raise ValueError(
            f"text_length.overlap={length.overlap} leaves nothing new in a window of text_length.max_tokens={limit}; "
            f"take at most {max(limit // 2, 0)}."
        )
