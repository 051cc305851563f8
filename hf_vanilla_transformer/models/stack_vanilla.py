"""The base classes of our models: weight initialisation, and the stack of embeddings and layers."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.cache_utils import Cache
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import CONFIG_NAME

from .attention_vanilla import MultiHeadAttention
from .configuration_vanilla import VanillaConfig
from .kernels_dropout_vanilla import Dropout
from .kernels_linear_vanilla import linear
from .layers_vanilla import FeedForward, SinusoidalPositions, TransformerLayer, position_embeddings
from .packing_vanilla import check_sequences, positions_in_sequences
from .plain_values_vanilla import has_plain_cpu_values, has_plain_values


class VanillaPreTrainedModel(PreTrainedModel):
    """Weight initialisation, and the abilities that transformers reads from a model class."""

    config: VanillaConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["TransformerLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def set_attn_implementation(self, attn_implementation: str | dict, **kwargs: Any) -> None:
        """Select the attention kernel, in submodels too, which transformers 5.17 skips in a second call."""
        super().set_attn_implementation(attn_implementation, **kwargs)
        for module in self.modules():
            if isinstance(module, PreTrainedModel):
                vars(module.config).pop("_attn_was_changed", None)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As in transformers.

        Raises:
            ValueError: the new size is not positive, or leaves out a special token of the configuration.
        """
        if new_num_tokens is not None:
            if new_num_tokens < 1:
                raise ValueError(f"new_num_tokens must be at least 1, not {new_num_tokens}.")
            size = math.ceil(new_num_tokens / (pad_to_multiple_of or 1)) * (pad_to_multiple_of or 1)
            for name in ("pad_token_id", "decoder_start_token_id"):
                token = getattr(self.config, name, None)
                if token is not None and token >= size:
                    raise ValueError(
                        f"new_num_tokens={new_num_tokens} leaves out {name}={token}; set config.{name} to a token that "
                        "remains, or to None, before."
                    )
        return super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of tokens. One of another size changes the vocabulary of the head and the configuration."""
        before = self.get_input_embeddings()
        super().set_input_embeddings(value)
        if value is before or not isinstance(value, nn.Embedding):  # a resized table, or the wrapper of an adapter
            return
        size = value.weight.shape[0]
        self.config.vocab_size = size
        head = self.get_output_embeddings()
        if head is None:
            return
        if self.config.tie_word_embeddings:
            self.tie_weights()
            self.get_output_embeddings().out_features = size
        elif head.weight.shape[0] != size:
            self.set_output_embeddings(self._get_resized_lm_head(head, size))

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the map to the vocabulary. One of another size changes the size of the table of tokens."""
        super().set_output_embeddings(new_embeddings)
        weight = getattr(new_embeddings, "weight", None)
        table = self.get_input_embeddings()
        if isinstance(weight, nn.Parameter) and isinstance(table, nn.Embedding):
            size = weight.shape[0]
            if size != table.weight.shape[0]:
                self.base_model.resize_token_embeddings(size)
                self.config.vocab_size = size

    def returns_cache(self, use_cache: bool | None, past_key_values: Cache | None) -> bool:
        """Whether a decoder returns keys and values: as `use_cache` says, or by the configuration where it is None.

        By default there is no new cache in training, where it would only take memory.
        """
        if use_cache is not None:
            return use_cache
        return self.config.use_cache and (past_key_values is not None or not self.training)

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """As in transformers. Weights get the permissions of the other files; safetensors lets only the owner read."""
        super().save_pretrained(save_directory, *args, **kwargs)
        config = Path(save_directory, CONFIG_NAME)
        if config.exists():
            for weights in Path(save_directory).glob("*.safetensors"):
                shutil.copymode(config, weights)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise one module. transformers calls this for each, innermost first; loaded weights stay as they are."""
        super()._init_weights(module)
        config = self.config
        if isinstance(module, SinusoidalPositions):
            init.copy_(module.table, module.build_table(module.table.shape[0]))
        elif config.initializer == "xavier":
            if isinstance(module, (nn.Linear, nn.Conv1d)):
                init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Embedding):
                init.normal_(module.weight, mean=0.0, std=module.embedding_dim**-0.5)
                if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                    init.zeros_(module.weight[module.padding_idx])
        elif config.norm_first and isinstance(module, (MultiHeadAttention, FeedForward)):
            # GPT-2 (Radford et al. 2019, section 2.3): the residual stream of a pre-norm stack is a sum over all
            # sublayers, so the last map of each starts smaller by the square root of their number.
            last = module.fc2 if isinstance(module, FeedForward) else module.o_proj
            depth = max(getattr(config, "encoder_layers", 0), getattr(config, "decoder_layers", 0))
            init.normal_(last.weight, mean=0.0, std=config.initializer_range / math.sqrt(2 * depth))


class VanillaStack(VanillaPreTrainedModel):
    """Either half of Figure 1: embeddings, a list of layers, and in a pre-norm stack a final normalisation."""

    def __init__(self, config: VanillaConfig, layers: int, is_causal: bool, add_cross_attention: bool) -> None:
        super().__init__(config)
        # The embedding of padding gets no gradient. But if padding is also the start or an end token, the model must
        # learn that token.
        padding_idx = None if config.pad_token_id in config.boundary_token_ids else config.pad_token_id
        width = config.embedding_width
        self.embed_tokens = nn.Embedding(config.vocab_size, width, padding_idx)
        self.embed_positions = position_embeddings(config)
        if config.type_vocab_size:
            self.embed_token_types = nn.Embedding(config.type_vocab_size, width)
        if config.layernorm_embedding:
            self.embed_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        if width != config.hidden_size:
            self.embed_projection = nn.Linear(width, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(
            [TransformerLayer(config, index, is_causal, add_cross_attention) for index in range(layers)]
        )
        if config.norm_first:
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.embed_scale = math.sqrt(width) if config.scale_embedding else 1.0
        self.gradient_checkpointing = False

    def token_embeddings(self, input_ids: torch.LongTensor | None, inputs_embeds: torch.Tensor | None) -> torch.Tensor:
        """The vectors of the tokens, (batch, length, hidden), not yet scaled.

        Raises:
            ValueError: both or neither are given, or they have no columns, or an id is outside the vocabulary (checked
                on CPU only).
        """
        if (input_ids is None) == (inputs_embeds is None):
            given = "both" if input_ids is not None else "neither"
            raise ValueError(f"Give exactly one of input_ids and inputs_embeds, not {given}.")
        if (input_ids if inputs_embeds is None else inputs_embeds).shape[1] == 0:
            raise ValueError(
                "input_ids and inputs_embeds have no columns; give each row at least one token, such as a start token."
            )
        if inputs_embeds is not None:
            return inputs_embeds
        # Adapters replace the table by a module that may not tell its size.
        size = getattr(self.embed_tokens, "num_embeddings", None)
        if size is not None and input_ids.numel() and has_plain_cpu_values(input_ids):
            low, high = (int(bound) for bound in torch.aminmax(input_ids))
            if low < 0 or high >= size:
                raise ValueError(
                    f"input_ids has the id {low if low < 0 else high}, but the vocabulary has the ids 0 to "
                    f"{size - 1}. Use the tokenizer that belongs to the model, or call "
                    "model.resize_token_embeddings(len(tokenizer)) after adding tokens."
                )
        return self.embed_tokens(input_ids)

    def embed(
        self,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_ids: torch.Tensor | None,
        token_type_ids: torch.Tensor | None = None,
        past_length: int | torch.Tensor = 0,
        seq_idx: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Section 3.4 and 3.5: scaled token embeddings, plus segments, plus positions; (batch, length, hidden)."""
        length = inputs_embeds.shape[1]
        needed = past_length + length if isinstance(past_length, int) else 0
        if position_ids is None:
            position_ids = self.default_positions(inputs_embeds, attention_mask, past_length, seq_idx)
        elif position_ids.numel() and has_plain_cpu_values(position_ids):
            least, greatest = (int(bound) for bound in torch.aminmax(position_ids))
            if least < 0:
                raise ValueError(f"position_ids has the position {least}; positions count from 0, also of padding.")
            needed = greatest + 1
        hidden_states = inputs_embeds * self.embed_scale if self.embed_scale != 1.0 else inputs_embeds
        if self.config.type_vocab_size:
            if token_type_ids is None:
                token_type_ids = torch.zeros((1, length), dtype=torch.long, device=inputs_embeds.device)
            self._check_segments(token_type_ids)
            hidden_states = hidden_states + self.embed_token_types(token_type_ids)
        elif token_type_ids is not None and has_plain_values(token_type_ids) and bool(token_type_ids.any()):
            raise ValueError(
                "token_type_ids has segments other than 0, but the model has none (type_vocab_size=0); leave it out."
            )
        self.provide_positions(needed)
        positions = self.embed_positions(position_ids)
        hidden_states = hidden_states + positions.to(hidden_states.device, hidden_states.dtype)
        if self.config.layernorm_embedding:
            hidden_states = self.embed_norm(hidden_states)
        hidden_states = self.dropout(hidden_states)
        return linear(self.embed_projection, hidden_states) if hasattr(self, "embed_projection") else hidden_states

    def _check_segments(self, token_type_ids: torch.Tensor) -> None:
        if token_type_ids.numel() and has_plain_cpu_values(token_type_ids):
            low, high = (int(bound) for bound in torch.aminmax(token_type_ids))
            count = self.config.type_vocab_size
            if low < 0 or high >= count:
                raise ValueError(
                    f"token_type_ids has the segment {low if low < 0 else high}, but the model has "
                    f"type_vocab_size={count}: segments are 0 to {count - 1}."
                )

    def provide_positions(self, needed: int) -> None:
        """Extend sinusoids to `needed` positions.

        Raises:
            ValueError: learned positions end before.
        """
        if self.config.position_embedding_type != "learned":
            self.embed_positions.grow(needed)
            return
        # Adapters replace the table by a module that may not tell its size.
        size = getattr(self.embed_positions, "num_embeddings", None)
        if size is not None and needed > size:
            raise ValueError(
                f"The sequence has {needed} positions, but the model has max_position_embeddings={size} learned ones. "
                "Truncate it (tokenizer option truncation=True, max_length=...) or train with more positions. Explicit "
                "position_ids count from 0, also in a model converted from RoBERTa."
            )

    def default_positions(
        self,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_length: int | torch.Tensor,
        seq_idx: torch.Tensor | None,
    ) -> torch.Tensor:
        """Position ids (batch or 1, length): the number of unmasked tokens before, or the column.

        In packed rows they restart at each sequence.
        """
        length = inputs_embeds.shape[1]
        countable = attention_mask is not None and attention_mask.dim() == 2 and attention_mask.shape[1] >= length
        counted = attention_mask if self.config.positions_from_mask and countable else None
        if seq_idx is not None:
            seq_idx = check_sequences("seq_idx", seq_idx, inputs_embeds)
            return positions_in_sequences(seq_idx, counted).to(inputs_embeds.device)
        if counted is not None:
            positions = (counted.long().cumsum(-1) - 1).clamp(min=0)
            return positions[:, -length:].to(inputs_embeds.device)
        return (torch.arange(length, device=inputs_embeds.device) + past_length)[None]

    def finish(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The final normalisation of a pre-norm stack; (batch, length, hidden) to the same shape."""
        return self.norm(hidden_states) if self.config.norm_first else hidden_states


__all__ = ["VanillaPreTrainedModel", "VanillaStack"]
