"""Translation of many sentences: sorted by length, in batches of a number of tokens, returned in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteriaList

from ..evaluation_mode import evaluation_mode
from .length_penalty import GoogleLengthPenalty, SourceLengthLimit
from .log_probabilities import translation_log_probabilities


@dataclass(frozen=True)
class Translation:
    """A translation, and its log-probability including the end token, if it was requested."""

    text: str
    log_probability: float | None = None


def translate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[str],
    *,
    num_beams: int = 4,
    length_penalty: float = 0.6,
    length_penalty_form: str = "gnmt",
    max_extra_tokens: int = 50,
    tokens_per_batch: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """Translates `sentences` with the beam search of section 6.1 of the paper.

    Args:
        model: an encoder-decoder with `generate`. It is in evaluation mode during the call.
        tokenizer: its tokenizer.
        sentences: source sentences. The translation of an empty sentence is empty.
        num_beams: width of the beam; 1 for greedy search.
        length_penalty: exponent of the penalty.
        length_penalty_form: ``gnmt`` (the paper's) or ``power`` (transformers').
        max_extra_tokens: how many tokens a translation may be longer than its source.
        tokens_per_batch: source tokens of a batch, including padding. Memory grows with this times `num_beams`.
        progress: called with the number of sentences of each finished batch.

    Returns:
        The translations, in the order of `sentences`.

    Raises:
        ValueError: a sentence has more tokens than the model has positions, or `length_penalty_form` is unknown.
    """
    translations = translate_n_best(
        model,
        tokenizer,
        sentences,
        n_best=1,
        num_beams=num_beams,
        length_penalty=length_penalty,
        length_penalty_form=length_penalty_form,
        max_extra_tokens=max_extra_tokens,
        tokens_per_batch=tokens_per_batch,
        progress=progress,
    )
    return [n_best[0].text for n_best in translations]


@torch.inference_mode()
def translate_n_best(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[str],
    *,
    n_best: int,
    num_beams: int = 4,
    length_penalty: float = 0.6,
    length_penalty_form: str = "gnmt",
    max_extra_tokens: int = 50,
    tokens_per_batch: int = 4096,
    scores: bool = False,
    generate_options: dict[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[list[Translation]]:
    """Translates `sentences` as `translate` does, but returns the `n_best` translations of each, best first.

    Args:
        n_best: number of translations a sentence; at most `num_beams`.
        scores: also compute log-probabilities, which takes one more pass of the model.
        generate_options: further arguments for `generate`, such as `forced_bos_token_id` of multilingual models.

    The other arguments are those of `translate`.

    Raises:
        ValueError: as `translate`, or `n_best` is not between 1 and `num_beams`.
    """
    if not 1 <= n_best <= num_beams:
        raise ValueError(f"n_best={n_best} must be between 1 and num_beams={num_beams}; raise num_beams.")
    if length_penalty_form not in ("gnmt", "power"):
        raise ValueError(f"length_penalty_form must be 'gnmt' or 'power', not {length_penalty_form!r}.")
    filled = [index for index, sentence in enumerate(sentences) if sentence.strip()]
    ids = dict(zip(filled, tokenizer([sentences[index] for index in filled])["input_ids"] if filled else []))
    positions = getattr(model.config, "max_position_embeddings", None)  # T5 has no limit
    _check_lengths(ids, positions)

    results: list[list[Translation]] = [[Translation("", 0.0 if scores else None)]] * len(sentences)
    with evaluation_mode(model):
        for batch in _batches(ids, tokens_per_batch):
            inputs = tokenizer.pad({"input_ids": [ids[index] for index in batch]}, return_tensors="pt").to(model.device)
            lengths = inputs["attention_mask"].sum(dim=1)
            search = {"num_beams": num_beams, "do_sample": False, "num_return_sequences": n_best}
            if num_beams > 1:
                penalty = GoogleLengthPenalty(length_penalty) if length_penalty_form == "gnmt" else length_penalty
                # "never" continues until no running hypothesis can still win, as in the paper.
                search |= {"length_penalty": penalty, "early_stopping": "never"}
            outputs = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=min(int(lengths.max()) + max_extra_tokens, (positions or math.inf) - 1),
                stopping_criteria=StoppingCriteriaList([SourceLengthLimit(lengths, max_extra_tokens)]),
                **search,
                **(generate_options or {}),
            )
            texts = tokenizer.batch_decode(outputs, skip_special_tokens=True)
            log_probabilities: list[float | None] = [None] * len(texts)
            if scores:
                sequences = outputs.view(len(batch), n_best, -1)
                log_probabilities = (
                    translation_log_probabilities(
                        model, inputs["input_ids"], inputs["attention_mask"], sequences, lengths + max_extra_tokens
                    )
                    .flatten()
                    .tolist()
                )
            translations = [Translation(text, score) for text, score in zip(texts, log_probabilities)]
            for row, index in enumerate(batch):
                results[index] = translations[row * n_best : (row + 1) * n_best]
            if progress is not None:
                progress(len(batch))
    return results


def _check_lengths(ids: dict[int, list[int]], limit: int | None) -> None:
    for index, sentence in ids.items():
        if limit is not None and len(sentence) > limit:
            raise ValueError(
                f"Sentence {index + 1} has {len(sentence)} tokens, but the model has positions for {limit}. "
                "Split it, or train with a larger max_position_embeddings."
            )


def _batches(ids: dict[int, list[int]], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices of sentences of similar length, the longest first, so that a lack of memory shows in the first batch."""
    batch: list[int] = []
    for index in sorted(ids, key=lambda index: (-len(ids[index]), index)):
        longest = len(ids[batch[0]]) if batch else 0
        if batch and (len(batch) + 1) * longest > tokens_per_batch:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
