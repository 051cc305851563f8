"""Embeddings before an adaptation: of new tokens from what the model knows of their pieces, of all from the domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from ..initial_embeddings import cooccurrence_embeddings


def vocabulary_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """The weights with one row a token: embeddings, map to the vocabulary, its bias. A tied matrix comes once."""
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
    """Gives `model` rows for new tokens, each the mean of the rows of its pieces (Gee et al. 2022, section 3.2).

    Embeddings, the map to the vocabulary, tied or not, and its bias are all started so. Rows that were there stay as
    they are, bit for bit.

    Args:
        model: it is changed in place.
        pieces: id of each new token to the ids of the known tokens it stands for, as `extend_tokenizer` gives them.

    Returns:
        `model`.

    Raises:
        ValueError: a token without pieces, or a piece that the model does not have.
    """
    known = model.config.vocab_size
    for token, parts in pieces.items():
        if not parts or not all(0 <= part < known and part not in pieces for part in parts):
            raise ValueError(
                f"The new token {token} must stand for known tokens, with ids from 0 to {known - 1}, not for {parts}."
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
def turn_embeddings(embedding: torch.Tensor, texts: Iterable[np.ndarray], *, seed: int = 0) -> int:
    """Gives the tokens of a domain the directions that their company in its texts suggests.

    Words that share whole texts (of praise, of blame) get near each other, which a small language model would learn
    last of all. The directions are those of `cooccurrence_embeddings`, all turned together to where the embeddings lie
    that they replace, by the orthogonal map that brings them nearest (Schönemann 1966); so the layers above find much
    where they look for it. Each embedding keeps its distance from the mean of all.

    Args:
        embedding: (vocabulary, width), changed in place; tokens that no text tells about keep their values.
        texts: the token ids of each text.
        seed: see `cooccurrence_embeddings`.

    Returns:
        How many tokens got new values.
    """
    values, known = cooccurrence_embeddings(texts, *embedding.shape, seed=seed)
    before = embedding[known].float()
    mean = before.mean(dim=0)
    lengths = (before - mean).norm(dim=1, keepdim=True)
    directions = nn.functional.normalize(values[known].to(before), dim=1)
    left, _, right = torch.linalg.svd(directions.T @ nn.functional.normalize(before - mean, dim=1))
    embedding[known] = (mean + lengths * (directions @ (left @ right))).to(embedding)
    return int(known.sum())
