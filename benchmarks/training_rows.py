"""The rows on which each side of a setting trains. They are chosen, tokenized and masked once, before the measurements.

A batch is a list of rows. A row is a dict of lists of ids: `source` and `target` for translation, `input_ids` and
`labels` for masked and causal language models. Each side pads or packs the rows in its own way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from .corpora import data_folder, load_multi30k, train_byte_bpe

Row = dict[str, list[int]]
IGNORED = -100
BLOCK = 256  # maximum length of a row in masked language modeling
CAUSAL_BLOCK, CAUSAL_BATCH = 64, 12  # nanoGPT's CPU setting


def make(kind: str, batches: int, data: Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Makes the batches of one kind.

    Args:
        kind: "translation", "masked_full", "masked_padded" or "causal".
        batches: number of batches.
        data: folder of the data sets (default: `data_folder()`).
        seed: seed of the choice of rows and masked tokens.

    Returns:
        `batches`, `vocab_size` and `labels` (labelled tokens of each batch).

    Raises:
        FileNotFoundError: the text is missing.
        ValueError: the kind is unknown, or `batches` is less than 1.
    """
    makers = {
        "translation": _translation,
        "masked_full": _masked_full,
        "masked_padded": _masked_padded,
        "causal": _causal,
    }
    if kind not in makers:
        raise ValueError(f"kind={kind!r} must be one of {sorted(makers)}")
    if batches < 1:
        raise ValueError(f"batches={batches} must be at least 1")
    made, vocab_size = makers[kind](batches, data or data_folder(), np.random.default_rng(seed))
    shift = 1 if kind == "causal" else 0  # a causal model predicts every token of a row but the first
    name = "target" if kind == "translation" else "labels"
    labels = [sum(sum(label != IGNORED for label in row[name][shift:]) for row in batch) for batch in made]
    return {"batches": made, "vocab_size": vocab_size, "labels": labels}


def _translation(batches: int, data: Path, random: np.random.Generator, max_tokens: int = 2048):
    """Pairs of Multi30k, grouped by length, with at most 2,048 padded tokens on either side."""
    from hf_vanilla_transformer.data import TokenBatchSampler

    pairs = load_multi30k(data / "multi30k")["train"]
    tokenizer = train_byte_bpe([text for pair in pairs for text in pair], 10_000)
    sources = tokenizer([source for source, _ in pairs])["input_ids"]
    targets = tokenizer([target for _, target in pairs])["input_ids"]
    lengths = np.array([[len(source), len(target)] for source, target in zip(sources, targets)])
    sampler = TokenBatchSampler(lengths, max_tokens, seed=int(random.integers(1 << 30)))
    chosen = _first(list(sampler), batches)
    return [[{"source": sources[row], "target": targets[row]} for row in rows] for rows in chosen], len(tokenizer)


def _masked_full(batches: int, data: Path, random: np.random.Generator, rows: int = 16):
    """WikiText, concatenated and cut into rows of 256 tokens without padding."""
    ids, vocab_size = _wikitext(data)
    stream = [token for row in ids for token in row]
    blocks = [stream[start : start + BLOCK] for start in range(0, len(stream) - BLOCK + 1, BLOCK)]
    return _masked(blocks, vocab_size, batches, rows, random), vocab_size


def _masked_padded(batches: int, data: Path, random: np.random.Generator, rows: int = 16):
    """Paragraphs of WikiText in random order, truncated to 256 tokens: a batch has rows of very different lengths."""
    ids, vocab_size = _wikitext(data)
    return _masked([row[:BLOCK] for row in ids], vocab_size, batches, rows, random), vocab_size


def _wikitext(data: Path, vocab_size: int = 16_000) -> tuple[list[list[int]], int]:
    path = data / "wikitext2_small" / "train.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: set HF_VANILLA_DATA to the folder that holds wikitext2_small")
    texts = parquet.read_table(path, columns=["text"])["text"].to_pylist()
    tokenizer = train_byte_bpe(texts, vocab_size)
    return tokenizer(texts)["input_ids"], len(tokenizer)


def _masked(rows: list[list[int]], vocab_size: int, batches: int, size: int, random: np.random.Generator):
    """BERT's masking (15 %: 80 % mask token, 10 % random, 10 % kept), sampled once for all sides."""
    order = random.permutation(len(rows))
    chosen = _first([order[start : start + size] for start in range(0, len(rows) - size + 1, size)], batches)
    result = []
    for numbers in chosen:
        batch = []
        for number in numbers:
            ids = np.array(rows[number])
            selected = random.random(len(ids)) < 0.15
            selected[0] |= not selected.any()
            labels = np.where(selected, ids, IGNORED)
            draw = random.random(len(ids))
            ids = np.where(selected & (draw < 0.8), 3, ids)
            ids = np.where(selected & (draw >= 0.9), random.integers(4, vocab_size, len(ids)), ids)
            batch.append({"input_ids": ids.tolist(), "labels": labels.tolist()})
        result.append(batch)
    return result


def _causal(batches: int, data: Path, random: np.random.Generator):
    """Random excerpts of tiny Shakespeare with one id for each character."""
    path = data / "tiny_shakespeare" / "train.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: set HF_VANILLA_DATA to the folder that holds tiny_shakespeare")
    text = path.read_text(encoding="utf-8")
    alphabet = {character: number for number, character in enumerate(sorted(set(text)))}
    result = []
    for starts in random.integers(0, len(text) - CAUSAL_BLOCK, (batches, CAUSAL_BATCH)):
        rows = [[alphabet[character] for character in text[start : start + CAUSAL_BLOCK]] for start in starts]
        result.append([{"input_ids": row, "labels": row} for row in rows])
    return result, len(alphabet)


def _first(all_batches: list, count: int) -> list:
    """The first `count` batches; they repeat if there are fewer."""
    return [all_batches[number % len(all_batches)] for number in range(count)]
