"""Translating many sentences: sorted by length, in batches of a number of tokens, given back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteriaList

from .search import GoogleLengthPenalty, SourceLengthLimit


@torch.inference_mode()
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
    """Translates `sentences` with beam search as in section 6.1 of the paper.

    Args:
        model: an encoder-decoder with `generate`; it is put in evaluation mode for the time of the call.
        tokenizer: its tokenizer.
        sentences: source sentences. An empty one is translated to an empty one.
        num_beams: width of the beam, 1 for greedy search.
        length_penalty: exponent of the penalty.
        length_penalty_form: ``gnmt`` (the paper's) or ``power`` (transformers').
        max_extra_tokens: an output is at most this much longer than its source.
        tokens_per_batch: source tokens in a batch, padding included. Memory grows with this times `num_beams`.
        progress: called with the number of sentences of each finished batch.

    Returns:
        The translations, in the order of `sentences`.

    Raises:
        ValueError: a sentence is longer than the model's learned positions, or `length_penalty_form` is not known.
    """
    if length_penalty_form not in ("gnmt", "power"):
        raise ValueError(f"length_penalty_form must be 'gnmt' or 'power', not {length_penalty_form!r}.")
    wanted = [index for index, sentence in enumerate(sentences) if sentence.strip()]
    ids = dict(zip(wanted, tokenizer([sentences[index] for index in wanted])["input_ids"] if wanted else []))
    longest_output = model.config.max_position_embeddings - 1
    _check_lengths(ids, model)

    results = [""] * len(sentences)
    was_training = model.training
    model.eval()
    try:
        for batch in _batches(ids, tokens_per_batch):
            inputs = tokenizer.pad({"input_ids": [ids[index] for index in batch]}, return_tensors="pt").to(model.device)
            lengths = inputs["attention_mask"].sum(dim=1)
            search = {"num_beams": num_beams, "do_sample": False}
            if num_beams > 1:
                penalty = GoogleLengthPenalty(length_penalty) if length_penalty_form == "gnmt" else length_penalty
                # "never" goes on until no running hypothesis can still win, which is the search of the paper.
                search |= {"length_penalty": penalty, "early_stopping": "never"}
            outputs = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=min(int(lengths.max()) + max_extra_tokens, longest_output),
                stopping_criteria=StoppingCriteriaList([SourceLengthLimit(lengths, max_extra_tokens)]),
                **search,
            )
            for index, text in zip(batch, tokenizer.batch_decode(outputs, skip_special_tokens=True)):
                results[index] = text
            if progress is not None:
                progress(len(batch))
    finally:
        model.train(was_training)
    return results


def _check_lengths(ids: dict[int, list[int]], model: PreTrainedModel) -> None:
    limit = model.config.max_position_embeddings
    for index, sentence in ids.items():
        if len(sentence) > limit:
            raise ValueError(
                f"Sentence {index + 1} has {len(sentence)} tokens, but the model has positions for {limit}. "
                "Split it, or train with a larger max_position_embeddings."
            )


def _batches(ids: dict[int, list[int]], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices of sentences of like length; the longest first, so that memory that does not suffice fails at once."""
    batch: list[int] = []
    for index in sorted(ids, key=lambda index: (-len(ids[index]), index)):
        longest = len(ids[batch[0]]) if batch else 0
        if batch and (len(batch) + 1) * longest > tokens_per_batch:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
