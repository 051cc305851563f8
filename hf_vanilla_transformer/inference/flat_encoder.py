"""The layers of an encoder as few operations on tensors: the same numbers as the modules, without their overhead.

Queries, keys and values come from one product, and weights are packed (see `packed_weights.py`).

Texts of a batch have different lengths, and the modules compute the padding as if it were tokens. A caller who does not
read the states of padding says so with `skipped_padding`. Then every part of a layer sees only tokens, one after the
other; attention gathers the texts into groups of similar length, and the states of padding are zero.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import nn

from ..models.kernels_packing_vanilla import group_sizes
from ..models.modeling_vanilla_encoder import VanillaEncoderModel
from .linear_maps import FlatFeedForward, LinearMap, joined_map, linear_map
from .norms import Norm, residual
from .packed_weights import keep_packed
from .plain_modules import modules_of, reason_against_modules, reason_against_stack

SWITCH = "HF_VANILLA_ENCODER"
_COMPUTATIONS = ("flat", "modules", "tokens")
_chosen: ContextVar[str | None] = ContextVar("chosen", default=None)

# A text with at most this part of the tokens of the longest in its group begins another group for attention. Half, as
# where packed rows are trained, takes a little longer here.
_LEAST_PART = 0.75


def encoder_modules() -> AbstractContextManager[None]:
    """A context in which encoders compute with their modules."""
    return _computation("modules")


def skipped_padding() -> AbstractContextManager[None]:
    """A context in which encoders compute no padding: for callers who do not read its states, which are zero then.

    No head of this package reads them, nor does pooling. `HF_VANILLA_ENCODER=tokens` does the same for a process.
    """
    return _computation("tokens")


@contextmanager
def _computation(name: str) -> Iterator[None]:
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def _computation_now() -> str:
    """The computation that the innermost context or the environment variable asks for.

    Raises:
        ValueError: the environment variable has a value that it does not know.
    """
    name = _chosen.get() or os.environ.get(SWITCH, "flat")
    if name not in _COMPUTATIONS:
        raise ValueError(f"{SWITCH}={name!r} must be one of {', '.join(_COMPUTATIONS)}.")
    return name


def encode(
    encoder: VanillaEncoderModel,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    keywords: dict[str, Any],
) -> torch.Tensor | None:
    """Serves an encoder; see `register_encoder_layers`.

    Args:
        encoder: the encoder.
        hidden_states: (batch, length, hidden), the embedded tokens.
        attention_mask: (batch, length), 0 at padding; a mask of another shape; or None without padding.
        keywords: what the caller passes to the attention.

    Returns:
        The output of the encoder, (batch, length, hidden); None for what this computation does not know, which the
        modules serve.

    Raises:
        ValueError: the environment variable `HF_VANILLA_ENCODER` has a value that it does not know.
    """
    if reason_against(encoder, hidden_states, attention_mask, keywords) is not None:
        return None
    return _flat_encoder(encoder)(hidden_states, attention_mask, skips_padding=_computation_now() == "tokens")


def reason_against(
    encoder: VanillaEncoderModel,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None,
    keywords: dict[str, Any],
) -> str | None:
    """Why the modules have to compute this, or None. Arguments as in `encode`.

    Raises:
        ValueError: the environment variable `HF_VANILLA_ENCODER` has a value that it does not know.
    """
    if torch.is_grad_enabled() and (hidden_states.requires_grad or any(p.requires_grad for p in encoder.parameters())):
        return "gradients are on"
    if _computation_now() == "modules":
        return "it is switched off"
    asked = [name for name, value in keywords.items() if value and name != "use_cache"]
    asked += [name for name in ("output_attentions", "output_hidden_states") if getattr(encoder.config, name, False)]
    if asked:
        return f"the caller passes {', '.join(asked)}"
    if type(encoder).forward is not VanillaEncoderModel.forward:
        return f"{type(encoder).__name__} has its own forward"
    reason = reason_against_stack(encoder)
    if reason is not None:
        return reason
    dtype = encoder.embed_tokens.weight.dtype
    if hidden_states.dtype != dtype or not hidden_states.is_cpu or hidden_states.numel() == 0:
        return f"the embedded tokens are in {hidden_states.dtype} on {hidden_states.device}, or there are none"
    if attention_mask is not None:
        if attention_mask.dim() != 2 or not attention_mask.is_cpu:
            return "the mask is not one of padding on CPU"
        if not bool((attention_mask != 0).any(1).all()):
            return "a row has no tokens"
    return reason_against_modules(_modules(encoder), (type(encoder),), (), dtype)


def _modules(encoder: VanillaEncoderModel) -> list[nn.Module]:
    """The modules of all layers and the final normalisation."""
    return modules_of(encoder.layers, getattr(encoder, "norm", None))


class _Layer(NamedTuple):
    """The weights of a layer."""

    self_norm: Norm
    query_key_value: LinearMap
    self_output: LinearMap
    mlp_norm: Norm
    mlp: FlatFeedForward


class FlatEncoder:
    """The layers of an encoder, with their weights as they are now.

    Args:
        encoder: an encoder that `reason_against` has nothing against.
    """

    def __init__(self, encoder: VanillaEncoderModel) -> None:
        config = encoder.config
        self.heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.norm_first = config.norm_first
        with torch.no_grad():
            self.layers = [self._layer(layer) for layer in encoder.layers]
            self._final_norm = Norm.of(encoder.norm) if config.norm_first else None

    @staticmethod
    def _layer(layer: nn.Module) -> _Layer:
        attention = layer.self_attn
        return _Layer(
            Norm.of(layer.self_attn_norm),
            joined_map([(projection, 1.0) for projection in (attention.q_proj, attention.k_proj, attention.v_proj)]),
            linear_map(attention.o_proj),
            Norm.of(layer.mlp_norm),
            FlatFeedForward.of(layer.mlp),
        )

    @torch.no_grad()
    def __call__(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None, *, skips_padding: bool
    ) -> torch.Tensor:
        """All layers and the final normalisation.

        Args:
            hidden_states: (batch, length, hidden), the embedded tokens.
            attention_mask: (batch, length), 0 at padding; None without padding.
            skips_padding: whether padding gets zeros. Padding on the left is computed nevertheless, because BERT's
                pooler reads the first column.

        Returns:
            (batch, length, hidden).
        """
        texts = _Texts(*hidden_states.shape[:2], attention_mask, skips_padding)
        states = texts.without_padding(hidden_states)
        for layer in self.layers:

            def attend(states: torch.Tensor, layer: _Layer = layer) -> torch.Tensor:
                return layer.self_output(texts.attend(layer.query_key_value(states), self.heads, self.head_dim))

            states = residual(states, layer.self_norm, attend, self.norm_first)
            states = residual(states, layer.mlp_norm, layer.mlp, self.norm_first)
        if self._final_norm is not None:
            states = self._final_norm(states)
        return texts.with_padding(states)


def _flat_encoder(encoder: VanillaEncoderModel) -> FlatEncoder:
    """The `FlatEncoder` of an encoder, made again when its weights have changed."""

    def build() -> tuple[FlatEncoder, list[nn.Parameter]]:
        weights = [weight for module in _modules(encoder) for weight in module._parameters.values()]
        return FlatEncoder(encoder), [weight for weight in weights if weight is not None]

    return keep_packed(encoder, "encoder", build)


class _Group(NamedTuple):
    """Texts of similar length, for attention.

    Attributes:
        tokens: the number of their tokens.
        texts: the number of texts.
        longest: the number of tokens of the longest.
        slots: (tokens,), the place of each token in (texts · longest); None if every place has its own.
        visible: (texts, 1, 1, longest), whether there is a token; None if there is one everywhere.
    """

    tokens: int
    texts: int
    longest: int
    slots: torch.Tensor | None
    visible: torch.Tensor | None


class _Texts:
    """Where the tokens of a batch are, with padding and without it.

    Args:
        batch: number of texts.
        length: number of columns.
        attention_mask: (batch, length), 0 at padding; None without padding.
        skips_padding: whether to leave out padding that is not on the left.
    """

    def __init__(self, batch: int, length: int, attention_mask: torch.Tensor | None, skips_padding: bool) -> None:
        self.shape = (batch, length)
        self._places: torch.Tensor | None = None
        is_token = None if attention_mask is None else attention_mask != 0
        if is_token is None or bool(is_token.all()):
            self._groups = [_Group(batch * length, batch, length, None, None)]
            return
        if not skips_padding or not bool(is_token[:, 0].all()):
            self._groups = [_Group(batch * length, batch, length, None, is_token[:, None, None, :])]
            return
        lengths, order = is_token.sum(1).sort(descending=True, stable=True)
        rows, columns = is_token[order].nonzero(as_tuple=True)
        self._places = order[rows] * length + columns
        self._groups = []
        starts = nn.functional.pad(lengths.cumsum(0), (1, 0))
        first = 0
        for texts in group_sizes(lengths.tolist(), _LEAST_PART):
            own, longest = lengths[first : first + texts], int(lengths[first])
            tokens = int(starts[first + texts] - starts[first])
            slots = visible = None
            if tokens < texts * longest:
                visible = torch.arange(longest) < own[:, None]
                slots = visible.flatten().nonzero().squeeze(1)
                visible = visible[:, None, None, :]
            self._groups.append(_Group(tokens, texts, longest, slots, visible))
            first += texts

    def without_padding(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to (tokens, hidden); longest text first, where padding is left out."""
        flat = states.reshape(-1, states.shape[-1])
        return flat if self._places is None else flat.index_select(0, self._places)

    def with_padding(self, states: torch.Tensor) -> torch.Tensor:
        """(tokens, hidden) back to (batch, length, hidden), zero at padding that was left out."""
        batch, length = self.shape
        if self._places is not None:
            padded = states.new_zeros(batch * length, states.shape[-1])
            states = padded.index_copy_(0, self._places, states)
        return states.view(batch, length, -1)

    def attend(self, projected: torch.Tensor, heads: int, head_dim: int) -> torch.Tensor:
        """Attention (equation 1 of the paper) within each text.

        Args:
            projected: (tokens, 3 · hidden), queries, keys and values side by side.
            heads: number of heads.
            head_dim: width of a head.

        Returns:
            (tokens, hidden).
        """
        outputs = []
        for group, part in zip(self._groups, projected.split([group.tokens for group in self._groups])):
            if group.slots is not None:
                padded = part.new_zeros(group.texts * group.longest, part.shape[1])
                part = padded.index_copy_(0, group.slots, part)
            query, key, value = part.view(group.texts, group.longest, 3, heads, head_dim).permute(2, 0, 3, 1, 4)
            output = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=group.visible)
            output = output.transpose(1, 2).reshape(-1, heads * head_dim)
            outputs.append(output if group.slots is None else output.index_select(0, group.slots))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


__all__ = ["FlatEncoder", "encode", "encoder_modules", "reason_against", "skipped_padding"]
