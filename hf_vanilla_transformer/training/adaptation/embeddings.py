"""Embeddings before an adaptation: rows for new tokens, and rotation towards the domain's co-occurrences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from ..initial_embeddings import cooccurrence_embeddings


def vocabulary_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """Parameters with one row per token: input embeddings, LM head and its bias. A tied matrix is listed once."""
    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    if model.config.is_encoder_decoder:
        modules += [stack.get_input_embeddings() for stack in (model.get_encoder(), model.get_decoder())]
    found: dict[int, nn.Parameter] = {}
    for module in modules:
        for parameter in () if module is None else module.parameters(recurse=False):
            if parameter.shape[0] == model.config.vocab_size:
                found[id(parameter)] = parameter
    return list(found.values())


@torch.no_grad()
def extend_embeddings(model: PreTrainedModel, pieces: Mapping[int, Sequence[int]]) -> PreTrainedModel:
    """Adds rows for new tokens to `model`, each the mean of the rows of its pieces (Gee et al. 2022, section 3.2).

    Input embeddings, the LM head (tied or not) and its bias are all initialised this way. Existing rows keep their
    values, bit for bit.

    Args:
        model: changed in place.
        pieces: for the id of each new token, the ids of the known tokens that it replaces (see `extend_tokenizer`).

    Returns:
        `model`.

    Raises:
        ValueError: a new token has no pieces, or one of its pieces is not a token of the model.
    """
    known = model.config.vocab_size
    for token, parts in pieces.items():
        if not parts or not all(0 <= part < known and part not in pieces for part in parts):
            raise ValueError(
                f"The pieces of new token {token} must be known tokens, with ids from 0 to {known - 1}, not {parts}."
            )
    if not pieces:
        return model
    needed = max(pieces) + 1
    if needed > known:
        model.resize_token_embeddings(needed, mean_resizing=False)
    for parameter in vocabulary_parameters(model):
        rows = torch.stack([parameter[list(parts)].float().mean(dim=0) for parts in pieces.values()])
        parameter[list(pieces)] = rows.to(parameter.dtype)
    return model


@torch.no_grad()
def rotate_embeddings(embedding: torch.Tensor, texts: Iterable[np.ndarray], *, seed: int = 0) -> int:
    """Rotates the domain tokens' embeddings towards co-occurrence directions, keeping their distances to the mean.

    Words that occur in the same texts (of praise, or of blame) get similar embeddings, which a small language model
    learns late. The directions come from `cooccurrence_embeddings`. One orthogonal map, the solution of the Procrustes
    problem (Schönemann 1966), aligns them all with the embeddings that they replace, so the layers above still receive
    inputs that they know.

    Args:
        embedding: (vocabulary, hidden), changed in place; tokens without co-occurrences keep their values.
        texts: the token ids of each text.
        seed: see `cooccurrence_embeddings`.

    Returns:
        The number of tokens with new values.
    """
    values, known = cooccurrence_embeddings(texts, *embedding.shape, seed=seed)
    before = embedding[known].float()
    mean = before.mean(dim=0)
    lengths = (before - mean).norm(dim=1, keepdim=True)
    directions = nn.functional.normalize(values[known].to(before), dim=1)
    left, _, right = torch.linalg.svd(directions.T @ nn.functional.normalize(before - mean, dim=1))
    embedding[known] = (mean + lengths * (directions @ (left @ right))).to(embedding)
    return int(known.sum())
