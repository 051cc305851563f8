"""The sections of a recipe that `train`, `pretrain` and `adapt` share: model, tokenizer, data, training, evaluation."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
from dataclasses import dataclass, field
from typing import Any, Literal

from huggingface_hub.dataclasses import strict

from .bounds import Number, bounded
from .sections import EvaluationSection, TrainingSection


@strict
@dataclass
class ModelRecipe:
    """The network: a preset of the task's configuration class, and the fields that differ from it."""

    preset: str = "base"
    """A preset of the task's configuration class, such as `tiny`, `base`, `bert_base`, `gpt2`."""
    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the configuration that differ from the preset. The vocabulary size and the ids of the special tokens
    come from the tokenizer."""
    start_from: str | None = None
    """Folder or Hub name of a model whose weights training starts from, instead of `preset` and `config`."""
    initial_embeddings: Literal["random", "cooccurrence"] = "random"
    """`cooccurrence` initialises the embeddings of a new model from the tokens that occur together in a pair of
    sentences or in a text, at the scale of random ones. The seconds that this takes count as training."""
    attn_implementation: str = "sdpa"
    """Attention implementation by its name in transformers: `sdpa`, `eager`, `flash_attention_2`."""


@strict
@dataclass
class TokenizerRecipe:
    """The tokenizer: an existing one (`path`) or one that is trained on the training text."""

    path: str | None = None
    """Folder or Hub name of an existing tokenizer. The other fields then have no effect, except `dropout`."""
    kind: Literal["bpe", "byte_bpe", "wordpiece", "unigram"] = "bpe"
    """Algorithm of a new tokenizer."""
    vocab_size: int = bounded(37000, at_least=8, at_most=1_000_000)
    """Size of a new tokenizer, special tokens included. Source and target share it, as in the paper."""
    lowercase: bool = False
    """Convert the text to lower case. The scores are then of lower-case text too."""
    pretokenized: bool = False
    """The text is tokenized already, as by the Moses scripts: words and punctuation are separated by spaces."""
    dropout: Number | None = bounded(None, at_least=0, below=1)
    """BPE dropout during training (Provilkov et al. 2020). The saved tokenizer has none."""
    max_rows: int | None = bounded(None, at_least=1, at_most=1_000_000_000_000)
    """Train the tokenizer on the first this many rows; null uses all rows, or the first 100,000 of a stream."""


@strict
@dataclass
class DataRecipe:
    """The text."""

    path: str | None = None
    """Folder, file or Hub name; see `hf_vanilla_transformer.data`."""
    config: str | None = None
    """Configuration of a Hub data set, such as `de-en` of `wmt14`."""
    mixture: list[dict[str, Any]] = field(default_factory=list)
    """Sources of a language model's training text, instead of `path`: a list of mappings with `path`, `weight` (share
    of the tokens, 1 by default) and, where they differ from the fields here, `config`, `split`, `text_column` and
    `sample_by`. The validation and test text come from `path`, or else from the first source. A mixture is streamed."""
    source: str = "en"
    """Source language or column: key of a `translation` column, suffix of one of two parallel files, or column name."""
    target: str = "de"
    """Target language or column, given like `source`."""
    text_column: str = "text"
    """Column of the text (language models)."""
    train: list[str] = field(default_factory=lambda: ["train"])
    """Training split. Of several names, the first that exists is used."""
    validation: list[str] = field(default_factory=lambda: ["validation", "valid", "dev"])
    """Validation split. Of several names, the first that exists is used."""
    test: list[str] = field(default_factory=lambda: ["test"])
    """Test split. Of several names, the first that exists is used."""
    sample_by: Literal["line", "paragraph", "document"] = "line"
    """What one text of a plain text file is: a line, a paragraph or the entire file."""
    hold_out: int = bounded(0, at_least=0, at_most=1_000_000_000)
    """For language models without a validation split: the first this many training texts become the validation split
    and are not trained on."""
    reverse: bool = False
    """`causal_lm` only: reverse the tokens of every text, for a backward language model."""
    streaming: bool = False
    """Read the text during training instead of loading it into memory. Language models tokenize, pack and shuffle on
    the fly, so the text may have any size; translation avoids only the download of the complete data set."""
    shuffle_buffer: int = bounded(10000, at_least=1, at_most=100_000_000)
    """Rows of a stream among which the next row is drawn."""
    max_rows: int | None = bounded(None, at_least=1, at_most=1_000_000_000_000)
    """Use only the first this many rows of the training split (of each source of a mixture)."""
    on_bad_row: Literal["skip", "error"] = "skip"
    """Skip and count a bad row, or stop at the first one."""
    max_length_ratio: Number | None = bounded(9.0, at_least=1)
    """A pair of sentences is a bad row if one is more than this many times as long as the other; null never."""
    max_length: int = bounded(256, at_least=2, at_most=1_000_000)
    """Longest sequence in tokens, end token included. Longer pairs are left out of training and counted; running text
    is split into blocks of this length."""
    packing: bool = False
    """Put several sequences into one row of up to `max_length` tokens, so that batches have almost no padding."""


# Values of `data.path` that messages give as examples.
_PATHS = {
    "translation": "bentrevett/multi30k",
    **dict.fromkeys(["causal_lm", "masked_lm", "denoising", "span"], "corpus.txt"),
}


def check_path_is_set(path: str | None, task: str | None) -> None:
    """Raises ValueError if a recipe of this task names no data, by `data.path` or the first source of its mixture."""
    if path is None:
        example = _PATHS.get(task or "", "reviews.csv")
        raise ValueError(f"data.path is not set: give a folder, a file or a Hub name, such as --data.path {example}")


@strict
@dataclass
class TrainingRecipe(TrainingSection):
    """How the weights are updated. The defaults are those of Vaswani et al. 2017, sections 5.1 to 5.4."""

    tokens_per_batch: int = bounded(25000, at_least=1, at_most=1_000_000_000)
    """Largest number of tokens, padding included, of one side (source or target) of a batch of one process."""
    optim: Literal["adam", "muon"] = "adam"
    """`adam` has decoupled weight decay, so `weight_decay: 0` is the paper's Adam. `muon` updates the matrices inside
    the layers, Adam the embeddings, normalisation weights and biases."""
    learning_rate: Number | None = bounded(None, above=0)
    """Peak of the schedule; null for `noam`, whose peak follows from the width."""
    learning_rate_scale: Number = bounded(1.0, above=0)
    """Factor of the schedule."""
    lr_scheduler_type: Literal["noam", "inverse_sqrt", "linear", "cosine", "constant"] = "noam"
    """Shape of the schedule after the warmup. `noam` is Eq. 3 of the paper."""
    schedule_by: Literal["steps", "minutes"] = "steps"
    """Progress measure of `linear` and `cosine`: updates, or minutes (`max_minutes`; with a limit of updates too,
    whichever limit is nearer)."""
    warmup_steps: int = bounded(4000, at_least=0, at_most=1_000_000_000)
    """Updates of linear warmup."""
    final_learning_rate_ratio: Number = bounded(0.0, at_least=0, at_most=1)
    """Final learning rate of `linear` and `cosine`, as a fraction of the peak."""
    muon_learning_rate: Number = bounded(0.02, above=0)
    """Peak of the schedule for the matrices that Muon updates."""
    muon_momentum: Number = bounded(0.95, at_least=0, below=1)
    """Momentum of Muon."""
    torch_compile: bool = False
    """Compile the model with `torch.compile`."""
    dataloader_num_workers: int = bounded(0, at_least=0, at_most=1_024)
    """Processes that make batches beside the training process; 0 makes them in the training process."""


@strict
@dataclass
class EvaluationRecipe(EvaluationSection):
    """When the model is scored on the validation split, and when that ends the training."""

    metric_for_best_model: Literal["loss", "bleu", "chrf"] = "loss"
    """Decides which model is best, and with `patience` when training stops."""
    predict_with_generate: bool = True
    """Translate the validation split and compute BLEU and chrF (`translation` only); otherwise only the loss."""
    tokens_per_batch: int = bounded(8192, at_least=1, at_most=1_000_000_000)
    """Source tokens in a batch of translations or of the loss."""
    bleu_tokenize: Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200", "none"] = "13a"
    """Tokenizer of sacreBLEU; `none` for text that is tokenized already."""


@strict
@dataclass
class GenerationRecipe:
    """How the final model translates (section 6.1 of the paper)."""

    num_beams: int = bounded(4, at_least=1, at_most=1000)
    """Beam width."""
    length_penalty: Number = bounded(0.6, at_least=-10, at_most=10)
    """Exponent of the length penalty."""
    length_penalty_form: Literal["gnmt", "power"] = "gnmt"
    """`gnmt` divides by ((5 + |Y|) / 6)^a (Wu et al. 2016, Eq. 14, the paper's choice), `power` by |Y|^a
    (transformers')."""
    max_extra_tokens: int = bounded(50, at_least=0, at_most=1_000_000)
    """An output is at most this many tokens longer than its input."""
