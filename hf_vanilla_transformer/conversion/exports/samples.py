"""Input for the comparison of two models: sentences, or random tokens if there is no tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...wording import counted

__all__ = ["SENTENCES", "Samples", "make_samples"]

# Short and long sentences with names, numbers, punctuation, and characters outside ASCII.
SENTENCES = (
    "a man rides a red bicycle .",
    "Two children are playing in the snow.",
    "The old woman, who had never seen the sea, stood still for a long time.",
    "In 1998 they moved to Zürich.",
    "Is there anything that I can do for you?",
    "the dog runs after the ball and brings it back to the girl .",
    "A group of people waits in front of a small café while it rains.",
    "Nobody knew why the lights had gone out.",
    "It costs 12.50 euros, or 14 with delivery.",
    'He said: "We leave at half past six."',
    "Yes.",
    "When the train had left the station, she opened the letter from her brother, read it twice, and smiled.",
)
_BATCH = 16
_RANDOM_ROWS, _RANDOM_LENGTH = 8, 24


@dataclass(frozen=True)
class Samples:
    """Rows of token ids to compare two models on, and their description."""

    rows: tuple[tuple[int, ...], ...]
    description: str

    def batches(self, pad_token_id: int | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Ids and attention mask, (batch, sequence), padded on the right; one row per batch without a padding id."""
        size = 1 if pad_token_id is None else _BATCH
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            longest = max(len(row) for row in rows)
            ids = torch.full((len(rows), longest), pad_token_id or 0)
            mask = torch.zeros_like(ids)
            for number, row in enumerate(rows):
                ids[number, : len(row)] = torch.tensor(row)
                mask[number, : len(row)] = 1
            yield ids, mask


def make_samples(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, sentences: Sequence[str] | None
) -> Samples:
    """Samples from `sentences` (or built-in ones) and the tokenizer; random tokens if there is no tokenizer.

    Raises:
        ValueError: sentences without a tokenizer, or the tokenizer does not belong to the model.
    """
    config = model.config
    if tokenizer is None:
        if sentences is not None:
            raise ValueError("sentences= needs a tokenizer: pass tokenizer=, or leave the sentences out.")
        return Samples(_random_rows(model), f"{_RANDOM_ROWS} rows of random tokens")
    given = list(SENTENCES if sentences is None else sentences)
    rows = [tuple(row[: config.max_position_embeddings]) for row in tokenizer(given)["input_ids"]]
    rows = [row for row in rows if row]
    if not rows:
        raise ValueError("The tokenizer returns no token for any of the sentences; give other sentences.")
    highest = max(max(row) for row in rows)
    if highest >= config.vocab_size:
        raise ValueError(
            f"The tokenizer returns the id {highest}, but the model has vocab_size={config.vocab_size}: use the "
            "model's own tokenizer."
        )
    return Samples(tuple(rows), counted(len(rows), f"{'sample' if sentences is None else 'given'} sentence"))


def _random_rows(model: PreTrainedModel) -> tuple[tuple[int, ...], ...]:
    config = model.config
    eos = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    special = {config.pad_token_id, config.bos_token_id, *eos}
    usual = torch.tensor([token for token in range(config.vocab_size) if token not in special])
    generator = torch.Generator().manual_seed(0)
    longest = min(_RANDOM_LENGTH, config.max_position_embeddings)
    rows = []
    for number in range(_RANDOM_ROWS):
        length = max(1, longest - 2 * number)
        rows.append(tuple(usual[torch.randint(len(usual), (length,), generator=generator)].tolist()))
    return tuple(rows)
