"""The decoder of our models as few operations on tensors: the same numbers as the modules, without their overhead.

A step of decoding computes one position of each hypothesis. At this size the modules spend most of their time in
Python and in copies. Here, queries, keys and values of self-attention come from one product. Keys and values of the
source are computed once for all beams of a sentence.

`plain_model.py` decides whether a model may be computed like this.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from ..inference.linear_maps import FlatFeedForward, LinearMap, joined_map, linear_map
from ..inference.norms import Norm, residual
from ..inference.packed_weights import keep_packed
from ..inference.plain_modules import modules_of
from .key_value_pool import KeyValuePool, SourceKeysAndValues


class _Layer(NamedTuple):
    """The weights of a layer. What belongs to cross-attention is None in a decoder without a source."""

    self_norm: Norm
    query_key_value: LinearMap
    self_output: LinearMap
    cross_norm: Norm | None
    cross_query: LinearMap | None
    cross_key_value: LinearMap | None
    cross_output: LinearMap | None
    mlp_norm: Norm
    mlp: FlatFeedForward


class FlatDecoder:
    """The decoder stack and the map to the vocabulary of one of our models, with its weights as they are now.

    Args:
        model: a model with a language modeling head that `plain_model.reason_against` has nothing against.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        stack = decoder_of(model)
        config = stack.config
        self.heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.hidden_size = config.hidden_size
        self.vocab_size = model.lm_head.out_features
        self.norm_first = config.norm_first
        self.has_cross_attention = config.add_cross_attention
        self.dtype = stack.embed_tokens.weight.dtype
        self._stack = weakref.ref(stack)
        with torch.no_grad():
            self._tokens = stack.embed_tokens.weight.detach()
            self._scale = stack.embed_scale
            self._positions = self._position_rows(0)
            self._embedding_norm = Norm.of(stack.embed_norm) if config.layernorm_embedding else None
            self.layers = [self._layer(layer) for layer in stack.layers]
            self._final_norm = Norm.of(stack.norm) if config.norm_first else None
            self._head_transform = model.lm_head_transform if config.lm_head_transform else None
            self._head = linear_map(model.lm_head)

    def _layer(self, layer: nn.Module) -> _Layer:
        attention = layer.self_attn
        # √d_k divides the queries, which are fewer than the scores, and here it costs nothing.
        projections = [(attention.q_proj, attention.scaling), (attention.k_proj, 1.0), (attention.v_proj, 1.0)]
        cross_norm = cross_query = cross_key_value = cross_output = None
        if self.has_cross_attention:
            cross = layer.cross_attn
            cross_norm = Norm.of(layer.cross_attn_norm)
            cross_query = joined_map([(cross.q_proj, cross.scaling)])
            cross_key_value = joined_map([(cross.k_proj, 1.0), (cross.v_proj, 1.0)])
            cross_output = linear_map(cross.o_proj)
        return _Layer(
            Norm.of(layer.self_attn_norm),
            joined_map(projections),
            linear_map(attention.o_proj),
            cross_norm,
            cross_query,
            cross_key_value,
            cross_output,
            Norm.of(layer.mlp_norm),
            FlatFeedForward.of(layer.mlp),
        )

    def source_keys_and_values(self, source: torch.Tensor, mask: torch.Tensor | None) -> SourceKeysAndValues:
        """Keys and values of cross-attention, for all layers.

        Args:
            source: (rows, source, hidden), the output of the encoder.
            mask: (rows, source), 0 at padding; None without padding.
        """
        rows, length, _ = source.shape
        flat = source.reshape(rows * length, -1)
        pool = SourceKeysAndValues(len(self.layers), rows, self.heads, length, self.head_dim, source)
        for index, layer in enumerate(self.layers):
            pool.store(index, layer.cross_key_value(flat))
        if mask is not None and not bool((mask != 0).all()):
            pool.hide_padding(mask)
        return pool

    def prefill(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        cache: KeyValuePool,
        source: SourceKeysAndValues | None,
    ) -> torch.Tensor:
        """Read the first tokens of all rows into an empty cache.

        Args:
            ids: (rows, length).
            positions: (rows or 1, length), the position of each token.
            mask: (rows, length), 0 at padding, which is on the left; None without padding.
            cache: keys and values of self-attention; gets `length` columns.
            source: keys and values of cross-attention, or None.

        Returns:
            The state of the last token of each row, (rows, hidden).

        Raises:
            ValueError: an id is outside the vocabulary, or there are more tokens than learned positions.
        """
        rows, length = ids.shape
        embedded = self._stack().token_embeddings(ids, None)
        states = self._embedded(embedded, self._position_table(positions)[positions]).view(rows * length, -1)
        visible = None
        if mask is not None or length > 1:
            visible = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
            if mask is not None:
                # Padding sees itself, so that its softmax is defined. No token sees it.
                itself = torch.eye(length, dtype=torch.bool)
                visible = (visible & (mask != 0)[:, None, None, :]) | itself
        cache.open_prompt(length, mask)
        attention = nn.functional.scaled_dot_product_attention
        for index, layer in enumerate(self.layers):

            def attend_to_itself(states: torch.Tensor, layer: _Layer = layer, index: int = index) -> torch.Tensor:
                projected = layer.query_key_value(states).view(rows, length, 3, self.heads, self.head_dim)
                query, key, value = projected.permute(2, 0, 3, 1, 4)
                cache.store_prompt(index, key, value)
                output = attention(query, key, value, attn_mask=visible, scale=1.0)
                return layer.self_output(output.transpose(1, 2).reshape(rows * length, -1))

            def attend_to_source(states: torch.Tensor, layer: _Layer = layer, index: int = index) -> torch.Tensor:
                query = layer.cross_query(states).view(rows, length, self.heads, self.head_dim).transpose(1, 2)
                key, value, source_mask = source.of_layer(index)
                output = attention(query, key, value, attn_mask=source_mask, scale=1.0)
                return layer.cross_output(output.transpose(1, 2).reshape(rows * length, -1))

            states = residual(states, layer.self_norm, attend_to_itself, self.norm_first)
            if source is not None:
                states = residual(states, layer.cross_norm, attend_to_source, self.norm_first)
            states = residual(states, layer.mlp_norm, layer.mlp, self.norm_first)
        last = states.view(rows, length, -1)[:, -1]
        return last if self._final_norm is None else self._final_norm(last)

    def step(
        self,
        ids: torch.Tensor,
        positions: int | torch.Tensor,
        cache: KeyValuePool,
        source: SourceKeysAndValues | None,
    ) -> torch.Tensor:
        """One more token for each hypothesis.

        Args:
            ids: (rows · beams,).
            positions: the position of the tokens, one for all or (rows · beams,).
            cache: keys and values of self-attention; gets one more column for each beam.
            source: keys and values of cross-attention, or None.

        Returns:
            The state of each token, (rows · beams, hidden).
        """
        rows, beams = cache.rows, cache.beams
        groups = rows * self.heads
        hidden = self.hidden_size
        one_beam = beams == 1
        embedded = nn.functional.embedding(ids, self._tokens)
        if isinstance(positions, int):
            at_positions = self._position_row(positions)
        else:
            at_positions = self._position_table(positions).index_select(0, positions)
        states = self._embedded(embedded, at_positions)
        mask = cache.open_columns()
        norm_first = self.norm_first
        for index, layer in enumerate(self.layers):
            inputs = layer.self_norm(states) if norm_first else states
            projected = layer.query_key_value(inputs)
            query = cache.store(index, projected)
            keys, values = cache.keys_and_values(index)
            scores = torch.bmm(query, keys) if mask is None else torch.baddbmm(mask, query, keys)
            output = torch.bmm(torch.softmax(scores, -1), values)
            if one_beam:
                output = output.view(rows, hidden)
            else:
                output = output.view(rows, self.heads, beams, self.head_dim).transpose(1, 2).reshape(-1, hidden)
            states = layer.self_output(output).add_(states)
            if not norm_first:
                states = layer.self_norm(states)
            if source is not None:
                inputs = layer.cross_norm(states) if norm_first else states
                query = layer.cross_query(inputs)
                if one_beam:
                    query = query.view(groups, 1, self.head_dim)
                else:
                    query = query.view(rows, beams, self.heads, self.head_dim).transpose(1, 2)
                    query = query.reshape(groups, beams, self.head_dim)
                keys, values, source_mask = source.for_products(index)
                if source_mask is None:
                    scores = torch.bmm(query, keys)
                else:
                    scores = torch.baddbmm(source_mask, query, keys)
                output = torch.bmm(torch.softmax(scores, -1), values)
                if one_beam:
                    output = output.view(rows, hidden)
                else:
                    output = output.view(rows, self.heads, beams, self.head_dim).transpose(1, 2).reshape(-1, hidden)
                states = layer.cross_output(output).add_(states)
                if not norm_first:
                    states = layer.cross_norm(states)
            states = residual(states, layer.mlp_norm, layer.mlp, self.norm_first)
        return states if self._final_norm is None else self._final_norm(states)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """(rows, hidden) to (rows, vocabulary), in float32 as in transformers' loop."""
        if self._head_transform is not None:
            states = self._head_transform(states)
        return self._head(states).float()

    def _embedded(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        states = torch.add(positions, tokens, alpha=self._scale)
        return states if self._embedding_norm is None else self._embedding_norm(states)

    def _position_row(self, position: int) -> torch.Tensor:
        if position >= len(self._positions):
            self._positions = self._position_rows(position + 1)
        return self._positions[position]

    def _position_table(self, positions: torch.Tensor) -> torch.Tensor:
        needed = int(positions.max()) + 1
        if needed > len(self._positions):
            self._positions = self._position_rows(needed)
        return self._positions

    def _position_rows(self, needed: int) -> torch.Tensor:
        """(positions, width): at least `needed` rows of the position table, plus segment 0 if there are segments.

        Raises:
            ValueError: the model has fewer learned positions.
        """
        stack = self._stack()
        with torch.inference_mode(False):  # the module keeps a larger table
            stack.provide_positions(needed)
        is_learned = isinstance(stack.embed_positions, nn.Embedding)
        table = stack.embed_positions.weight if is_learned else stack.embed_positions.table
        table = table.detach().to(self.dtype)
        return table + stack.embed_token_types.weight[0] if stack.config.type_vocab_size else table


def decoder_of(model: PreTrainedModel) -> Any:
    """The decoder stack of a model with a language modeling head."""
    return model.get_decoder() if model.config.is_encoder_decoder else model.model


def flat_decoder(model: PreTrainedModel) -> FlatDecoder:
    """The `FlatDecoder` of a model, made again when its weights have changed."""

    def build() -> tuple[FlatDecoder, list[nn.Parameter]]:
        weights = [weight for module in decoding_modules(model) for weight in module._parameters.values()]
        return FlatDecoder(model), [weight for weight in weights if weight is not None]

    return keep_packed(model, "decoder", build)


def decoding_modules(model: PreTrainedModel) -> list[nn.Module]:
    """All modules that take part in a step of decoding, without those of an encoder."""
    stack = decoder_of(model)
    found = [model, model.lm_head] if model.model is stack else [model, model.model, model.lm_head]
    return found + modules_of(stack, getattr(model, "lm_head_transform", None))
