"""The recipe of `finetune`: the base model, the task, the labelled data, and the techniques of fine-tuning."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.dataclasses import strict

from ..lora import TargetModulesPreset
from .bounds import Number, bounded
from .distributed_recipe import DistributedRecipe, problems_of_distributed
from .reading import WritableRecipe, read_recipe
from .sections import CheckpointRecipe, EvaluationSection, OutputRecipe, TrainingSection, problems_of_sections


@strict
@dataclass
class LabelledDataRecipe:
    """The rows and their columns."""

    path: str | None = None
    """Folder with one file per split, a file, or a Hub name: Parquet, CSV, TSV or JSON lines."""
    config: str | None = None
    """Configuration of a Hub data set."""
    delimiter: str | None = None
    """Delimiter of CSV files; null detects it."""
    encoding: str = "utf-8"
    """Encoding of CSV files."""
    header: bool | None = None
    """Whether the first line of CSV files names the columns; null detects it."""
    text: str | None = None
    """Column of the text, by name or (CSV) number; null uses the first column with a usual name."""
    text_pair: str | None = None
    """Column of the second text (entailment, paraphrases); null for one text."""
    label: str | None = None
    """Column of the label: a class, a number (`head.problem: regression`), or several classes (`multi_label`) as a list
    or as one text with `label_separator` between them."""
    label_separator: str | None = None
    """Separates the classes of one row, where they are one text."""
    tokens: str = "tokens"
    """Column of the words (token classification, dependency parsing)."""
    tags: str = "tags"
    """Column of one label per word (token classification)."""
    heads: str = "head"
    """Column of the heads (dependency parsing)."""
    relations: str = "deprel"
    """Column of the relations (dependency parsing)."""
    question: str = "question"
    """Column of the question (question answering, multiple choice)."""
    context: str = "context"
    """Column of the context (question answering)."""
    answers: str = "answers"
    """Column of the answers, in the format of SQuAD."""
    choices: list[str] = field(default_factory=lambda: ["choices"])
    """Columns of the choices, or one column that holds a list of them."""
    source: str = "source"
    """Column of the text to read (summaries, translation), or a language of a `translation` column."""
    target: str = "target"
    """Column of the text to write, or a language of a `translation` column."""
    train: list[str] = field(default_factory=lambda: ["train"])
    """Training split, or a file. Of several names, the first that exists is used."""
    validation: list[str] = field(default_factory=lambda: ["validation", "valid", "dev"])
    """Validation split, or a file. Of several names, the first that exists is used."""
    test: list[str] = field(default_factory=lambda: ["test"])
    """Test split, or a file. Of several names, the first that exists is used."""
    validation_part: Number = bounded(0.1, at_least=0, at_most=0.9)
    """Without a validation split, this fraction of the training rows is held out for validation. The rows are the same
    for every `training.seed`."""
    max_rows: int | None = bounded(None, at_least=1, at_most=1_000_000_000_000)
    """Use only the first this many rows of the training split."""
    max_labels: int | None = bounded(None, at_least=1, at_most=1_000_000_000_000)
    """Train on only this many rows, sampled with `sample_seed` and as balanced between the classes as possible."""
    sample_seed: int | None = bounded(None, at_least=0, below=2**32)
    """Seed of that sample; null for `training.seed`."""
    on_bad_row: Literal["skip", "error"] = "skip"
    """Skip and count a bad row, or stop at the first one."""
    on_bad_label: Literal["error", "warn"] = "error"
    """Doubtful labels (a class that is not in the training rows, only one class, classes that differ only in case):
    stop, or warn, skip and count the rows."""


@strict
@dataclass
class TextLengthRecipe:
    """How texts that are longer than the model can read are treated."""

    max_tokens: int | None = bounded(None, at_least=4, at_most=1_000_000)
    """Longest row in tokens, special tokens included; null for the longest that the model can read."""
    too_long: Literal["truncate", "window", "refuse"] = "truncate"
    """`truncate` reads the beginning, `window` reads the entire text in overlapping windows and averages their
    predictions, `refuse` stops with the number of the row."""
    overlap: int | None = bounded(None, at_least=0, at_most=1_000_000)
    """Tokens that a window shares with the previous one; null for a quarter of it."""
    max_target_tokens: int = bounded(128, at_least=2, at_most=1_000_000)
    """Longest target of a sequence-to-sequence task, in tokens."""


@strict
@dataclass
class HeadRecipe:
    """The new layers on top of the backbone."""

    problem: Literal["single_label", "multi_label", "regression"] = "single_label"
    """What the label of a text is: one of several classes, any number of classes, or a number."""
    pooling: Literal["default", "first", "last", "mean", "concat"] = "default"
    """Input of the head of a label per text: the `first` token (of an encoder, through BERT's pooler), the `last`
    token, the `mean` of all tokens, or the concatenation of last token, maximum and mean (`concat`; Howard and Ruder
    2018, section 3.3). `default` is `first` for an encoder and `last` for a decoder."""
    dropout: Number | None = bounded(None, at_least=0, below=1)
    """Dropout before the head; null for the base model's. The heads of classification by a decoder, of question
    answering and of generation have no dropout and refuse a value."""
    config: dict[str, Any] = field(default_factory=dict)
    """More fields of the configuration that differ from the base model's, such as `dropout`."""


@strict
@dataclass
class BackboneRecipe:
    """How much of the backbone is trained."""

    train: Literal["full", "frozen", "lora"] = "full"
    """All weights (`full`), none (`frozen`: probes what the base model knows), or low-rank adapters by PEFT that are
    merged into the weights at the end (`lora`)."""
    lora_rank: int = bounded(8, at_least=1, at_most=100_000)
    """Rank of the adapters (Hu et al. 2021)."""
    lora_alpha: Number = bounded(16.0, above=0)
    """The adapters are scaled by `lora_alpha / lora_rank`."""
    lora_dropout: Number = bounded(0.0, at_least=0, below=1)
    """Dropout before the adapters."""
    lora_target_modules: TargetModulesPreset = "attention"
    """Linear maps that get adapters; see `lora_targets`."""


@strict
@dataclass
class RatesRecipe:
    """Learning rates, over the layers and over time (Howard and Ruder 2018, section 3.2)."""

    learning_rate: Number | None = bounded(None, above=0)
    """Peak learning rate of the head; null for 5e-4 at width 128 and less for a wider backbone, see
    `default_learning_rate`."""
    layerwise_lr_decay: Number = bounded(1.0, at_least=1)
    """The learning rate of each layer is that of the layer above, divided by this: 2.6 in the paper, 1 for one rate for
    all layers."""
    lr_scheduler_type: Literal["slanted_triangular", "linear", "cosine", "constant"] = "slanted_triangular"
    """`slanted_triangular` is Eq. 3; the others have a warmup of the same length."""
    cut_fraction: Number = bounded(0.1, at_least=0, at_most=1)
    """Fraction of the updates in which the learning rate rises."""
    ratio: Number = bounded(32.0, at_least=1)
    """The peak learning rate divided by the lowest one."""


@strict
@dataclass
class UnfreezingRecipe:
    """Gradual unfreezing (Howard and Ruder 2018, section 3.3)."""

    mode: Literal["none", "gradual"] = "none"
    """`none` trains all layers from the start; `gradual` starts with the head and then adds one layer at a time, from
    the top down."""
    every_epochs: Number = bounded(1.0, above=0)
    """Epochs between two layers."""


@strict
@dataclass
class FinetuneTrainingRecipe(TrainingSection):
    """How long a model is fine-tuned and how its weights are updated."""

    num_train_epochs: Number | None = bounded(4.0, above=0)
    adam_beta2: Number = bounded(0.99, at_least=0, below=1)
    adam_epsilon: Number = bounded(1e-8, above=0)
    weight_decay: Number = bounded(0.01, at_least=0)
    max_grad_norm: Number = bounded(1.0, at_least=0)
    logging_steps: int = bounded(20, at_least=1, at_most=1_000_000_000)
    per_device_train_batch_size: int = bounded(32, at_least=1, at_most=1_000_000)
    """Rows of a batch."""


@strict
@dataclass
class FinetuneEvaluationRecipe(EvaluationSection):
    """When the model is scored on the validation split, and what follows from the score."""

    eval_steps: int | None = bounded(None, at_least=1, at_most=1_000_000_000)
    """Updates between two evaluations; null evaluates once per epoch."""
    num_beams: int = bounded(4, at_least=1, at_most=1000)
    """Beam width of a sequence-to-sequence task."""
    metric_for_best_model: str | None = None
    """Decides which model is best, and with `patience` when training stops; null for the main metric of the task."""
    per_device_eval_batch_size: int = bounded(64, at_least=1, at_most=1_000_000)
    """Rows of a batch."""
    test: bool = True
    """Score the final model on the test split too. Turn it off while you still compare settings."""


@strict
@dataclass
class FinetuneCheckpointRecipe(CheckpointRecipe):
    """What is kept on disk while a model is fine-tuned."""

    save_steps: int | None = bounded(None, at_least=1, at_most=1_000_000_000)
    """Updates between two checkpoints; null saves one per epoch."""
    save_total_limit: int = bounded(2, at_least=1, at_most=1_000_000)


@strict
@dataclass
class ComparisonRecipe:
    """Compare with a bag of words, or with the same fine-tuning from another initialisation."""

    start: list[str] = field(default_factory=list)
    """The other models. `bag_of_words` is TF-IDF with a linear model of scikit-learn on the same rows (classification
    only); the report then says which of the two to use. `before` is the model that the base model itself was trained
    from; `scratch` is random weights of the same shape, with one learning rate for all layers and nothing frozen. They
    are trained here as well. Anything else is the folder of an earlier fine-tuning, whose results.json is read."""


@strict
@dataclass
class FinetuneRecipe(WritableRecipe):
    """The complete recipe of a fine-tuning."""

    task: Literal[
        "classification",
        "token_classification",
        "dependency_parsing",
        "question_answering",
        "multiple_choice",
        "sequence_to_sequence",
    ] = "classification"
    """What the model learns; see `hf_vanilla_transformer.training.finetuning.tasks`."""
    description: str = ""
    """What the recipe trains, in a sentence or two."""
    base_model: str | None = None
    """Folder of a run, or any checkpoint that `from_checkpoint` reads."""
    base_model_format: Literal["transformers", "bert-tf", "fairseq"] = "transformers"
    """The program that wrote the base model, by its name in `from_checkpoint`."""
    from_scratch: bool = False
    """Random weights in the shape of the base model, with its tokenizer. Shows what pretraining is worth."""
    decoder_base_model: str | None = None
    """For a sequence-to-sequence task whose base model is an encoder: the decoder that is put beside it."""
    backward_base_model: str | None = None
    """A causal language model of reversed texts. Both directions read the text, and their probabilities are averaged
    (Howard and Ruder 2018, section 3.3)."""
    attn_implementation: str = "sdpa"
    """Attention implementation by its name in transformers: `sdpa`, `eager`, `flash_attention_2`."""
    data: LabelledDataRecipe = field(default_factory=LabelledDataRecipe)
    text_length: TextLengthRecipe = field(default_factory=TextLengthRecipe)
    head: HeadRecipe = field(default_factory=HeadRecipe)
    backbone: BackboneRecipe = field(default_factory=BackboneRecipe)
    rates: RatesRecipe = field(default_factory=RatesRecipe)
    unfreezing: UnfreezingRecipe = field(default_factory=UnfreezingRecipe)
    training: FinetuneTrainingRecipe = field(default_factory=FinetuneTrainingRecipe)
    evaluation: FinetuneEvaluationRecipe = field(default_factory=FinetuneEvaluationRecipe)
    checkpoint: FinetuneCheckpointRecipe = field(default_factory=FinetuneCheckpointRecipe)
    comparison: ComparisonRecipe = field(default_factory=ComparisonRecipe)
    distributed: DistributedRecipe = field(default_factory=DistributedRecipe)
    output: OutputRecipe = field(default_factory=OutputRecipe)


def load_finetune_recipe(path: str | Path | None = None, overrides: Iterable[str] = ()) -> FinetuneRecipe:
    """Reads a recipe from a YAML file or the folder of a fine-tuning, then applies overrides and checks the result.

    Args:
        path: the file or folder; None starts from the defaults.
        overrides: `"rates.learning_rate=1e-3"`, see `read_recipe`.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: a key or a value is wrong; the message names the nearest key or the legal values.
    """
    recipe = read_recipe(FinetuneRecipe, path, overrides)
    validate(recipe)
    return recipe


def validate(recipe: FinetuneRecipe) -> None:
    """Checks the fields against each other.

    Raises:
        ValueError: all contradictions, one a line, each with its remedy.
    """
    problems = problems_of_sections(recipe.training, recipe.evaluation, recipe.checkpoint)
    problems += problems_of_distributed(recipe.distributed, recipe.training)
    train, length = recipe.backbone.train, recipe.text_length
    if recipe.distributed.sharded and (train == "lora" or recipe.unfreezing.mode == "gradual"):
        field, value = ("backbone.train", train) if train == "lora" else ("unfreezing.mode", recipe.unfreezing.mode)
        problems.append(
            f"{field}={value!r} was never tried with weights that are divided among processes: set "
            "distributed.fsdp_size and distributed.tp_size to 1 (DDP)."
        )
    if recipe.unfreezing.mode == "gradual" and train != "full":
        problems.append(
            f"unfreezing.mode='gradual' unfreezes the backbone layer by layer, but backbone.train={train!r} never "
            "trains the weights of the backbone: leave one of them at its default."
        )
    if recipe.from_scratch and train != "full":
        problems.append(
            f"from_scratch=true has random weights in the backbone, so backbone.train={train!r} would train on random "
            "features: set backbone.train to full."
        )
    if length.max_tokens is not None and length.overlap is not None and length.overlap >= length.max_tokens - 3:
        problems.append(
            f"text_length.overlap={length.overlap} leaves no new tokens in a window of text_length.max_tokens="
            f"{length.max_tokens}: set text_length.overlap to at most {length.max_tokens // 2}."
        )
    if problems:
        raise ValueError("\n".join(problems))


__all__ = ["FinetuneRecipe", "load_finetune_recipe", "validate"]
