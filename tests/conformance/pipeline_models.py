"""Tiny saved models with a tokenizer, in a temporary folder, in the layout that `PipelineTesterMixin` reads.

transformers keeps such models on the Hub for its own classes; for any class, theirs or ours, they are made here on the
spot, so that the pipelines are tested without the network.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

_SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]"]
_WORDS = [
    "this",
    "is",
    "a",
    "great",
    "movie",
    "test",
    "of",
    "politics",
    "public",
    "health",
    "science",
    "in",
    "the",
    "paris",
    "london",
    "my",
    "name",
    "very",
    "good",
    "bad",
    "long",
    "text",
    "example",
    "sentence",
    "about",
    "nothing",
    "and",
    "something",
    "else",
    "hello",
    "world",
    ".",
    ",",
    "?",
    "!",
    "it",
    "was",
    "not",
    "red",
    "green",
    "blue",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
]

# What the pipelines are tried on; some words are unknown to the tokenizer.
SENTENCES = ["This is a great movie about politics in Paris.", "Hello world, nothing was very bad!", "four"]


def root_folder() -> Path:
    """The folder of this process, with the summary that the mixin reads when it is imported; removed at exit."""
    return _root()


@functools.cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="tiny-models-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "reports").mkdir()
    (root / "reports" / "tiny_model_summary.json").write_text(json.dumps({}))
    os.environ["TRANSFORMERS_TINY_MODEL_PATH"] = str(root)
    return root


def tokenizer() -> PreTrainedTokenizerFast:
    """Words as tokens, `[CLS] A [SEP] B [SEP]`."""
    vocabulary = {token: number for number, token in enumerate([*_SPECIAL_TOKENS, *dict.fromkeys(_WORDS)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "sep_token": "[SEP]", "cls_token": "[CLS]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", model_max_length=64, **names)


@functools.cache
def saved(model_class: type, make_config: Any) -> None:
    """Save a model of this class where the mixin will look for it."""
    config = make_config()
    config.id2label = {0: "contradiction", 1: "neutral", 2: "entailment"}
    config.label2id = {label: number for number, label in config.id2label.items()}
    folder = root_folder() / config.model_type / model_class.__name__
    model_class(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
