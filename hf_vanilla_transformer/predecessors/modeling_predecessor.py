"""The predecessors as Hugging Face models: one frame around a recurrent or convolutional encoder and decoder."""

import math
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput, Seq2SeqModelOutput
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_predecessor import PredecessorConfig
from .convolutional_predecessor import ByteNetDecoder, ByteNetEncoder, ConvS2SDecoder, ConvS2SEncoder
from .recurrent_predecessor import RecurrentDecoder, RecurrentEncoder
from .state_predecessor import DecoderState

_HALVES = {
    "recurrent": (RecurrentEncoder, RecurrentDecoder),
    "convs2s": (ConvS2SEncoder, ConvS2SDecoder),
    "bytenet": (ByteNetEncoder, ByteNetDecoder),
}
_IGNORED_LABEL = -100


@dataclass
class PredecessorEncoderOutput(BaseModelOutput):
    """The output of an encoder; `values` (batch, source, hidden) where attention reads others than it compares."""

    values: torch.FloatTensor | None = None


class PredecessorPreTrainedModel(PreTrainedModel):
    """Weight initialisation, and the abilities that transformers reads from a model class."""

    config: PredecessorConfig
    base_model_prefix = "model"
    # The state of a step cannot be taken back, so `generate` refuses assisted decoding.
    _is_stateful = True
    # Their attention has a single implementation, so the default name of recipes chooses nothing here.
    _supports_sdpa = True

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Xavier for maps, N(0, 1/hidden) for embeddings, torch's own uniform distribution for recurrent cells."""
        super()._init_weights(module)
        if isinstance(module, (nn.Linear, nn.Conv1d)):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=module.embedding_dim**-0.5)
        elif isinstance(module, nn.RNNBase):
            bound = module.hidden_size**-0.5
            for weight in module.parameters(recurse=False):
                init.uniform_(weight, -bound, bound)


class _Half(nn.Module):
    """Embeddings and the layers of an encoder or a decoder."""

    def __init__(self, config: PredecessorConfig, half: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.stack = _HALVES[config.architecture][half](config)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = math.sqrt(config.hidden_size)

    def embed(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> torch.Tensor:
        """Scaled vectors of the tokens, (batch, length, hidden)."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of ids and embeddings (input_ids or inputs_embeds).")
        return self.dropout((self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds) * self.scale)


class PredecessorEncoder(_Half):
    """The source side. Padding may be on either side; the output is the same."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__(config, 0)

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> PredecessorEncoderOutput:
        """Encode (batch, source) ids.

        Raises:
            ValueError: a row has no token.
        """
        embedded = self.embed(input_ids, inputs_embeds)
        mask = source_mask(attention_mask, embedded)
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):  # padding before a token: tokens go first for a while
            order = mask.int().argsort(dim=-1, descending=True, stable=True)
            outputs = self.stack(_columns(embedded, order), mask.gather(1, order))
            states, values = (None if one is None else _columns(one, order.argsort(-1)) for one in outputs)
        else:
            states, values = self.stack(embedded, mask)
        return PredecessorEncoderOutput(last_hidden_state=states, values=values)


class PredecessorDecoder(_Half):
    """The target side. Padding of the target is on the right, where it changes nothing before it."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__(config, 1)


def source_mask(attention_mask: torch.Tensor | None, embedded: torch.Tensor) -> torch.Tensor:
    """The mask (batch, source) as booleans; all True where none is given.

    Raises:
        ValueError: a row has no token.
    """
    if attention_mask is None:
        return torch.ones(embedded.shape[:2], dtype=torch.bool, device=embedded.device)
    mask = attention_mask.bool()
    if not bool(mask.any(-1).all()):
        raise ValueError("attention_mask has a row without a token; give each source at least its end token.")
    return mask


def _columns(x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return x.gather(1, order[:, :, None].expand(-1, -1, x.shape[-1]))


class PredecessorModel(PredecessorPreTrainedModel):
    """Encoder and decoder without a head. They share the table of tokens."""

    _tied_weights_keys = {"encoder.embed_tokens.weight": "decoder.embed_tokens.weight"}

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__(config)
        self.encoder = PredecessorEncoder(config)
        self.decoder = PredecessorDecoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of tokens on both sides."""
        self.encoder.embed_tokens = value
        self.decoder.embed_tokens = value

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: DecoderState | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs,
    ) -> Seq2SeqModelOutput:
        """Encode the source and decode the target.

        Args:
            input_ids: the source, (batch, source).
            attention_mask: (batch, source), 1 for tokens and 0 for padding, on either side.
            decoder_input_ids: the target so far, (batch, target), or what follows `past_key_values`.
            decoder_attention_mask: (batch, target); padding only on the right.
            encoder_outputs: the output of the encoder, if it is already computed.
            past_key_values: the state after the tokens before.
            inputs_embeds, decoder_inputs_embeds: vectors in place of ids.
            use_cache: whether to return the state; None: as the configuration says, but not in training.
            output_attentions: whether to return the attention to the source.

        Returns:
            `last_hidden_state` (batch, target, hidden), `past_key_values`, and `cross_attentions`: (batch, 1, target,
            source) for each attention of the architecture.

        Raises:
            ValueError: no target; a row of the source without tokens; padding on the left of the target.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, inputs_embeds)
        elif not isinstance(encoder_outputs, ModelOutput):
            states, *others = encoder_outputs
            encoder_outputs = PredecessorEncoderOutput(last_hidden_state=states, values=others[0] if others else None)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            raise ValueError("Pass decoder_input_ids: the target so far, at first only decoder_start_token_id.")
        if decoder_attention_mask is not None and not bool(decoder_attention_mask[:, 0].all()):
            raise ValueError("decoder_attention_mask has padding on the left; pad the target on the right.")
        memory = encoder_outputs.last_hidden_state
        embedded = self.decoder.embed(decoder_input_ids, decoder_inputs_embeds)
        state = DecoderState() if past_key_values is None else past_key_values
        hidden_states, attention = self.decoder.stack(
            embedded, memory, encoder_outputs.get("values"), source_mask(attention_mask, memory), state
        )
        state.length += embedded.shape[1]
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        return Seq2SeqModelOutput(
            last_hidden_state=hidden_states,
            past_key_values=state if use_cache else None,
            cross_attentions=attention if output_attentions else None,
            encoder_last_hidden_state=memory,
        )


class PredecessorForConditionalGeneration(PredecessorPreTrainedModel, GenerationMixin):
    """A predecessor with its map to the vocabulary, which is the table of tokens."""

    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__(config)
        self.model = PredecessorModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: DecoderState | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> Seq2SeqLMOutput:
        """Predict the target's tokens.

        Args:
            labels: (batch, target) with the end token; -100 is ignored. Without decoder_input_ids, the decoder reads
                the labels, shifted right behind `decoder_start_token_id`.
            logits_to_keep: compute logits only for the last n positions; 0 for all.
            num_items_in_batch: divisor of the sum of the losses; None for the number of labels.

        Other arguments and the result are those of `PredecessorModel`, with `loss` and `logits`.
        """
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        kwargs["return_dict"] = True
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        states = outputs.last_hidden_state
        logits = self.lm_head(states[:, -logits_to_keep:] if logits_to_keep and labels is None else states)
        loss = None
        if labels is not None:
            total = nn.functional.cross_entropy(
                logits.flatten(0, 1).float() if logits.dtype != torch.float64 else logits.flatten(0, 1),
                labels.flatten().to(logits.device),
                ignore_index=_IGNORED_LABEL,
                reduction="sum",
                label_smoothing=self.config.label_smoothing if self.training else 0.0,
            )
            loss = total / ((labels != _IGNORED_LABEL).sum() if num_items_in_batch is None else num_items_in_batch)
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
        )

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels shifted right behind the start token; (batch, target).

        Raises:
            ValueError: the configuration has no start token or no padding token.
        """
        start, padding = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or padding is None:
            missing = "decoder_start_token_id" if start is None else "pad_token_id"
            raise ValueError(f"config.{missing} is None, and labels cannot be shifted right without it; set it.")
        shifted = labels.new_full(labels.shape, start)
        shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == _IGNORED_LABEL, padding)
        return shifted


__all__ = [
    "PredecessorForConditionalGeneration",
    "PredecessorModel",
    "PredecessorPreTrainedModel",
]
