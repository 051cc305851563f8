"""Translation of many sentences: sorted by length, in batches of a number of tokens, returned in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation_mode import evaluation_mode
from .decoding_memory import rows_within
from .length_penalty import GoogleLengthPenalty
from .log_probabilities import translation_log_probabilities
from .source_queue import decode_sources, sorted_batches


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
    memory_per_batch: int | None = None,
    scores: bool = False,
    generate_options: dict[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[list[Translation]]:
    """Translates `sentences` as `translate` does, but returns the `n_best` translations of each, best first.

    Args:
        n_best: number of translations a sentence; at most `num_beams`.
        memory_per_batch: at most how many bytes the search takes beside the weights (see `memory_of_row`); None for no
            other bound than `tokens_per_batch`.
        scores: also compute log-probabilities, which takes one more pass of the model.
        generate_options: further arguments for `generate`, such as `forced_bos_token_id` of multilingual models.

    The other arguments are those of `translate`.

    Raises:
        ValueError: as `translate`, `n_best` is not between 1 and `num_beams`, or `memory_per_batch` is too little for
            the longest sentence.
    """
    if not 1 <= n_best <= num_beams:
        raise ValueError(f"n_best={n_best} must be between 1 and num_beams={num_beams}; raise num_beams.")
    if length_penalty_form not in ("gnmt", "power"):
        raise ValueError(f"length_penalty_form must be 'gnmt' or 'power', not {length_penalty_form!r}.")
    filled = [index for index, sentence in enumerate(sentences) if sentence.strip()]
    ids = tokenizer([sentences[index] for index in filled])["input_ids"] if filled else []
    positions = getattr(model.config, "max_position_embeddings", None)  # T5 has no limit
    _check_lengths(filled, ids, positions)
    # The decoder reads a start token before the first of them.
    limits = [min(len(source) + max_extra_tokens, (positions or math.inf) - 1) for source in ids]

    search: dict[str, Any] = {"num_beams": num_beams, "do_sample": False, "num_return_sequences": n_best}
    if num_beams > 1:
        penalty = GoogleLengthPenalty(length_penalty) if length_penalty_form == "gnmt" else length_penalty
        # "never" continues until no running hypothesis can still win, as in the paper.
        search |= {"length_penalty": penalty, "early_stopping": "never"}
    search |= {"max_new_tokens": max(limits, default=1), **(generate_options or {})}

    rows = None
    if memory_per_batch is not None:
        lengths = [len(source) for source in ids]
        rows = rows_within(memory_per_batch, model.config, lengths, limits, num_beams, model.dtype.itemsize)

    outputs: list[list[list[int]]] = [[]] * len(ids)
    log_probabilities: list[list[float | None]] = [[None] * n_best] * len(ids)
    with evaluation_mode(model):
        room = {"tokens_per_batch": tokens_per_batch, "rows_per_batch": rows}
        for finished in decode_sources(model, tokenizer, ids, limits, **room, **search):
            for source in finished:
                outputs[source.number] = source.outputs
            if progress is not None:
                progress(len(finished))
        if scores:
            for numbers in sorted_batches(ids, tokens_per_batch, rows):
                of_batch = _log_probabilities(model, tokenizer, numbers, ids, outputs, limits)
                for number, of_source in zip(numbers, of_batch):
                    log_probabilities[number] = of_source
    texts = iter(
        tokenizer.batch_decode([output for of_source in outputs for output in of_source], skip_special_tokens=True)
    )
    results: list[list[Translation]] = [[Translation("", 0.0 if scores else None)]] * len(sentences)
    for index, of_source in zip(filled, log_probabilities):
        results[index] = [Translation(next(texts), score) for score in of_source]
    return results


def _log_probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    numbers: list[int],
    ids: list[list[int]],
    outputs: list[list[list[int]]],
    limits: list[int],
) -> list[list[float | None]]:
    """The log-probability of each output of the sources `numbers`."""
    inputs = tokenizer.pad({"input_ids": [ids[number] for number in numbers]}, return_tensors="pt").to(model.device)
    longest = max(len(output) for number in numbers for output in outputs[number])
    # What fills the end does not count: it comes after the end token, or after the limit.
    sequences = torch.tensor(
        [[output + [0] * (longest - len(output)) for output in outputs[number]] for number in numbers],
        device=model.device,
    )
    return translation_log_probabilities(
        model,
        inputs["input_ids"],
        inputs["attention_mask"],
        sequences,
        torch.tensor([limits[number] for number in numbers]),
    ).tolist()


def _check_lengths(indices: list[int], ids: list[list[int]], limit: int | None) -> None:
    for index, sentence in zip(indices, ids):
        if limit is not None and len(sentence) > limit:
            raise ValueError(
                f"Sentence {index + 1} has {len(sentence)} tokens, but the model has positions for {limit}. "
                "Split it, or train with a larger max_position_embeddings."
            )
