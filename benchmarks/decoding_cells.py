"""The models and the inputs of the decoding benchmark.

All engines get the same batches, as lists of token ids. A model with random weights generates a fixed number of tokens,
which takes the time of a trained one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from .corpora import data_folder, load_multi30k

SEED = 0
SPECIAL = ("<pad>", "</s>", "<unk>", "<s>")
# Tokens after which a search ends that has not met the end of the sentence.
LIMIT = 100


@dataclass(frozen=True)
class Cell:
    """One model.

    Attributes:
        title: title in the tables.
        stack: "seq2seq", "decoder" or "encoder".
        config: fields of the configuration; empty for a model that is given as a folder.
        shortest: length of the shortest input, in tokens.
        longest: length of the longest input. Prompts of a decoder have equal lengths, because CTranslate2 reads prompts
            of different lengths token by token.
        new_tokens: number of tokens to generate for each row; None for until the end of the sentence.
    """

    title: str
    stack: str
    config: dict[str, Any] = field(default_factory=dict)
    shortest: int = 0
    longest: int = 0
    new_tokens: int | None = None

    @property
    def is_trained(self) -> bool:
        """Whether the model comes from a folder, and its inputs from Multi30k."""
        return not self.config

    def reduced(self) -> Cell:
        """The same with a model so small that only the command is tested."""
        if self.is_trained:
            return self
        small = {"vocab_size": 500, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
        small |= {name: 1 for name in self.config if name.endswith("layers")}
        new_tokens = None if self.new_tokens is None else 4
        return Cell(
            self.title, self.stack, self.config | small, min(self.shortest, 4), min(self.longest, 8), new_tokens
        )


def _sizes(vocabulary: int, hidden: int, heads: int, **layers: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 256,
        **layers,
    }


_BERT = {"hidden_act": "gelu", "type_vocab_size": 2}
CELLS = {
    "trained": Cell("translation, 4+4 × 128, trained on Multi30k", "seq2seq"),
    "transformer": Cell(
        "translation, 6+6 × 512, vocabulary 10,000",
        "seq2seq",
        _sizes(10_000, 512, 8, encoder_layers=6, decoder_layers=6),
        8,
        24,
        32,
    ),
    "characters": Cell(
        "decoder, 4 × 128, 65 characters", "decoder", _sizes(65, 128, 4, num_hidden_layers=4), 64, 64, 64
    ),
    "gpt2": Cell(
        "decoder, 12 × 768, vocabulary 50,257", "decoder", _sizes(50_257, 768, 12, num_hidden_layers=12), 32, 32, 32
    ),
    "minilm": Cell(
        "encoder, 6 × 384 (MiniLM)", "encoder", _sizes(30_522, 384, 12, num_hidden_layers=6) | _BERT, 8, 128
    ),
}
SEARCHES = {"greedy": 1, "beam 4": 4}


def save_model(cell: Cell, folder: Path, translation: Path | None) -> None:
    """Saves the model of a cell with a tokenizer, as every engine or export reads it.

    Args:
        cell: the cell.
        folder: a new folder.
        translation: folder of the trained translation model.
    """
    import torch

    from hf_vanilla_transformer import (
        VanillaDecoderConfig,
        VanillaDecoderForCausalLM,
        VanillaEncoderConfig,
        VanillaEncoderModel,
        VanillaTransformerConfig,
        VanillaTransformerForConditionalGeneration,
    )
    from hf_vanilla_transformer.conversion.saved_model import load_saved_model, load_saved_tokenizer

    if cell.is_trained:
        load_saved_model(translation, torch.float32).save_pretrained(folder)
        load_saved_tokenizer(translation).save_pretrained(folder)
        return
    classes: dict[str, tuple[Callable, Callable]] = {
        "seq2seq": (VanillaTransformerConfig, VanillaTransformerForConditionalGeneration),
        "decoder": (VanillaDecoderConfig, VanillaDecoderForCausalLM),
        "encoder": (VanillaEncoderConfig, VanillaEncoderModel),
    }
    tokenizer = _numbers_as_words(cell.config["vocab_size"])
    tokens = {"pad_token_id": tokenizer.pad_token_id}
    if cell.stack != "encoder":
        tokens |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    if cell.stack == "seq2seq":
        tokens |= {"decoder_start_token_id": tokenizer.bos_token_id}
    make_config, make_model = classes[cell.stack]
    torch.manual_seed(SEED)
    model = make_model(make_config(**cell.config, **tokens)).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _numbers_as_words(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` words that play no part: the inputs are ids, but CTranslate2 saves a name for each id."""
    names = [*SPECIAL, *(str(number) for number in range(len(SPECIAL), size))]
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>"
    )


@dataclass(frozen=True)
class Work:
    """The batches of one measurement.

    Attributes:
        batches: rows of token ids, as the engines get them.
        references: the reference translations of all rows in order; empty where there are none.
    """

    batches: list[list[list[int]]]
    references: list[str] = field(default_factory=list)


def make_work(cell: Cell, folder: Path, rows: int, batches: int, data: Path | None) -> Work:
    """Batches of `rows` rows of similar length.

    Raises:
        FileNotFoundError: Multi30k is missing.
    """
    if cell.is_trained:
        return _sentences(folder, rows, batches, data)
    random = np.random.default_rng(SEED)
    lengths = np.sort(random.integers(cell.shortest, cell.longest + 1, rows * batches))
    ids = [random.integers(len(SPECIAL), cell.config["vocab_size"], length).tolist() for length in lengths]
    return Work([ids[start : start + rows] for start in range(0, len(ids), rows)])


def _sentences(folder: Path, rows: int, batches: int, data: Path | None) -> Work:
    """Sentences of the test split of Multi30k, of all lengths, each batch with sentences of similar length."""
    from transformers import AutoTokenizer

    pairs = load_multi30k((data or data_folder()) / "multi30k")["test_2016_flickr"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer([source for source, _ in pairs])["input_ids"]
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    groups = [order[start : start + rows] for start in range(0, len(order) - rows + 1, rows)]
    chosen = [
        groups[number] for number in np.linspace(0, len(groups) - 1, min(batches, len(groups))).round().astype(int)
    ]
    references = [pairs[number][1] for group in chosen for number in group]
    return Work([[ids[number] for number in group] for group in chosen], references)


def write_work(path: Path, work: Work) -> None:
    """Writes the batches for the workers, which import as little as their engine needs."""
    path.write_text(json.dumps(work.batches), encoding="utf-8")
