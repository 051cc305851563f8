"""The Transformer: encoder and decoder together (Vaswani et al. 2017, Figure 1), for text and for speech."""

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput, Seq2SeqModelOutput
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .attention_vanilla import CrossAttention, SelfAttention
from .configuration_vanilla import VanillaTransformerConfig
from .decoding_loop_vanilla import DecodingLoopMixin
from .heads_vanilla import LanguageModelHead
from .layers_vanilla import TransformerLayer
from .losses_vanilla import IGNORED_LABEL, class_numbers
from .modeling_vanilla_decoder import VanillaDecoderModel
from .modeling_vanilla_encoder import VanillaEncoderModel
from .outputs_vanilla import Seq2SeqLMTrainingOutput, has_logits
from .packing_vanilla import packed_sequences, sequence_starts
from .speech_encoder_vanilla import VanillaSpeechEncoder
from .stack_vanilla import VanillaPreTrainedModel


class VanillaTransformerPreTrainedModel(VanillaPreTrainedModel):
    """Base of the encoder-decoder models."""

    config: VanillaTransformerConfig
    _can_record_outputs = {
        "hidden_states": TransformerLayer,
        "attentions": SelfAttention,
        "cross_attentions": CrossAttention,
    }

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Change the number of tokens in the embeddings of the encoder and the decoder, and in the head."""
        stacks: VanillaTransformerModel = self.base_model
        if not self.config.share_encoder_decoder_embeddings and (new_num_tokens or pad_to_multiple_of):
            stacks.decoder.resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        embeddings = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        for stack in (stacks.encoder, stacks.decoder):
            stack.config.vocab_size = self.config.vocab_size
        return embeddings


class VanillaTransformerModel(VanillaTransformerPreTrainedModel):
    """Both stacks, without a head. `encoder` and `decoder` are complete models that can be saved and loaded alone."""

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__(config)
        self.encoder = VanillaEncoderModel(config.encoder_config(), add_pooling_layer=False)
        self.decoder = VanillaDecoderModel(config.decoder_config())
        if config.share_encoder_decoder_embeddings:
            self._tied_weights_keys = {"encoder.embed_tokens.weight": "decoder.embed_tokens.weight"}
        self.post_init()

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """Tied weights. The two embeddings are tied even if the head is not tied to them."""
        if all_submodels:
            return super().get_expanded_tied_weights_keys(all_submodels=True)
        return dict(self._tied_weights_keys or {})

    def get_input_embeddings(self) -> nn.Embedding:
        """The encoder's token embeddings."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the encoder's table of tokens, and the decoder's where they are shared; else resize the decoder's."""
        before = self.encoder.embed_tokens
        self.encoder.set_input_embeddings(value)
        if self.config.share_encoder_decoder_embeddings:
            self.decoder.set_input_embeddings(value)
        if value is not before and isinstance(value, nn.Embedding):
            self.config.vocab_size = value.weight.shape[0]
            if not self.config.share_encoder_decoder_embeddings:
                self.decoder.resize_token_embeddings(self.config.vocab_size)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        decoder_seq_idx: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        decoder_token_type_ids: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Seq2SeqModelOutput:
        """Encode the source and decode the target.

        Args:
            input_ids: the source, (batch, source).
            attention_mask: (batch, source), 1 for tokens and 0 for padding.
            position_ids: (batch, source). Without a mask, a cache and seq_idx, a position that does not follow the one
                before begins another packed sequence, as in transformers.
            decoder_input_ids: the target so far, (batch, target).
            decoder_attention_mask: (batch, past + target).
            decoder_position_ids: (batch, target), as position_ids.
            encoder_outputs: the output of the encoder, if it is already computed.
            past_key_values: keys and values of the tokens before.
            inputs_embeds: (batch, source, hidden), instead of input_ids.
            decoder_inputs_embeds: (batch, target, hidden), instead of decoder_input_ids.
            seq_idx: (batch, source), for packed rows: the sequence of each token, from 0. Tokens of a sequence are
                adjacent and attend only to each other. Padding takes the number of its neighbour and a 0 in the mask.
            decoder_seq_idx: (batch, target), likewise. A target attends to the source with its number.
            token_type_ids: (batch, source), the segment of each source token, for a model that has segments.
            decoder_token_type_ids: (batch, target), likewise.
            use_cache: whether to return keys and values; None: as `config.use_cache` says, but no new cache
                in training.
            **kwargs: passed to the attention (`output_attentions` and `output_hidden_states` among them).

        Returns:
            `last_hidden_state` (batch, target, hidden) of the decoder and `encoder_last_hidden_state`.

        Raises:
            ValueError: no target; only one of seq_idx and decoder_seq_idx; seq_idx with a cache, or with another shape
                than the tokens.
        """
        if (seq_idx is None) != (decoder_seq_idx is None):
            given = "decoder_seq_idx" if seq_idx is None else "seq_idx"
            raise ValueError(f"{given} is given alone; packed rows need both seq_idx and decoder_seq_idx.")
        seq_idx = packed_sequences(seq_idx, position_ids, attention_mask, None)
        decoder_seq_idx = packed_sequences(
            decoder_seq_idx, decoder_position_ids, decoder_attention_mask, past_key_values
        )
        # Each stack has its own configuration, but users switch outputs on in this one.
        for flag in ("output_attentions", "output_hidden_states"):
            if kwargs.get(flag) is None:
                kwargs[flag] = getattr(self.config, flag)
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                inputs_embeds=inputs_embeds,
                seq_idx=seq_idx,
                token_type_ids=token_type_ids,
                return_dict=True,
                **kwargs,
            )
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            raise ValueError(
                "Pass decoder_input_ids or decoder_inputs_embeds: the target so far, at first only "
                f"decoder_start_token_id={self.config.decoder_start_token_id}. A model with a head also takes labels."
            )
        decoder_outputs = self.decoder(
            decoder_input_ids,
            attention_mask=decoder_attention_mask,
            position_ids=decoder_position_ids,
            encoder_hidden_states=encoder_outputs[0],
            encoder_attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=decoder_inputs_embeds,
            seq_idx=decoder_seq_idx,
            encoder_seq_idx=seq_idx if decoder_seq_idx is not None else None,
            token_type_ids=decoder_token_type_ids,
            use_cache=self.returns_cache(use_cache, past_key_values),
            return_dict=True,
            **kwargs,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=decoder_outputs.last_hidden_state,
            past_key_values=decoder_outputs.past_key_values,
            decoder_hidden_states=decoder_outputs.hidden_states,
            decoder_attentions=decoder_outputs.attentions,
            cross_attentions=decoder_outputs.cross_attentions,
            encoder_last_hidden_state=encoder_outputs[0],
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
        )


class VanillaTransformerForConditionalGeneration(
    LanguageModelHead, VanillaTransformerPreTrainedModel, DecodingLoopMixin, GenerationMixin
):
    """The Transformer of the paper with its head: generate a sequence from a sequence."""

    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__(config)
        self.model = VanillaTransformerModel(config)
        self.add_language_model_head(config)
        # By the name of the class, transformers would choose a loss that shifts labels. Here the input is shifted.
        self.loss_type = "ForMaskedLM"
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        decoder_seq_idx: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        return_logits: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Seq2SeqLMOutput:
        """Predict the target's tokens.

        Args:
            labels: (batch, target), the target with its end token; -100 is ignored. Without decoder_input_ids, the
                decoder reads the labels, shifted right behind `decoder_start_token_id`.
            logits_to_keep: compute logits only for the last n positions, or for the positions in a tensor; 0 for all.
            return_logits: whether to return logits. None: yes, but with a large vocabulary, a training step computes
                them when they are read.
            **kwargs: `num_items_in_batch` for the loss, the rest for the attention. Other arguments as in the model.

        Returns:
            `loss`, `logits` (batch, target, vocabulary), `past_key_values` and `encoder_last_hidden_state`.
        """
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            packed = packed_sequences(decoder_seq_idx, decoder_position_ids, decoder_attention_mask, past_key_values)
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels, packed)
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            decoder_position_ids=decoder_position_ids,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            seq_idx=seq_idx,
            decoder_seq_idx=decoder_seq_idx,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        loss, logits = self.loss_and_logits(
            outputs.last_hidden_state,
            labels,
            return_logits,
            logits_to_keep,
            num_items_in_batch=kwargs.get("num_items_in_batch"),
        )
        output_class = Seq2SeqLMOutput if has_logits(logits, return_logits) else Seq2SeqLMTrainingOutput
        return output_class(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
        )

    def prepare_decoder_input_ids_from_labels(
        self, labels: torch.Tensor, decoder_seq_idx: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The input of the decoder: labels shifted right behind the start token; (batch, target).

        Every sequence begins with the start token: also after padding on the left, and in packed rows wherever
        `decoder_seq_idx` (batch, target) begins another sequence.

        Raises:
            ValueError: the configuration has no start token or no padding token.
        """
        start, padding = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or padding is None:
            missing = "decoder_start_token_id" if start is None else "pad_token_id"
            raise ValueError(
                f"config.{missing} is None, and labels cannot be shifted right without it; set it to an id, such "
                "as the tokenizer's bos_token_id or pad_token_id, or pass decoder_input_ids."
            )
        labels = class_numbers(labels)
        shifted = labels.new_full(labels.shape, start)
        shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED_LABEL, padding)
        if decoder_seq_idx is not None:
            return shifted.masked_fill(sequence_starts(decoder_seq_idx).to(labels.device), start)
        labelled = (labels != IGNORED_LABEL).long()
        labels_before = labelled.cumsum(-1) - labelled
        return shifted.masked_fill(labels_before == 0, start)


class VanillaTransformerSpeechModel(VanillaTransformerModel):
    """Both stacks, the encoder for speech, without a head."""

    main_input_name = "input_features"

    def __init__(self, config: VanillaTransformerConfig) -> None:
        # The encoder has no table of tokens to share, so the steps of the text model do not apply.
        VanillaTransformerPreTrainedModel.__init__(self, config)
        self.encoder = VanillaSpeechEncoder(config)
        self.decoder = VanillaDecoderModel(config.decoder_config())
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The decoder's token embeddings."""
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the decoder's table of tokens."""
        self.decoder.set_input_embeddings(value)
        self.config.vocab_size = self.decoder.config.vocab_size

    @can_return_tuple
    def forward(
        self,
        input_features: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: Cache | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Seq2SeqModelOutput:
        """Encode the speech and decode the text.

        Args:
            input_features: the frames, (batch, frames, mel).
            attention_mask: (batch, frames), 1 for frames and 0 for padding, also with encoder_outputs.
            **kwargs: passed to the attention. Other arguments as in `VanillaTransformerModel`.

        Returns:
            `last_hidden_state` (batch, target, hidden) of the decoder and `encoder_last_hidden_state`.
        """
        if encoder_outputs is None:
            flags = {name: kwargs.get(name) for name in ("output_attentions", "output_hidden_states")}
            flags = {name: getattr(self.config, name) if flag is None else flag for name, flag in flags.items()}
            encoder_outputs = self.encoder(input_features, attention_mask, **{**kwargs, **flags, "return_dict": True})
        return super().forward(
            attention_mask=self.encoder.subsampler.subsampled_mask(attention_mask),
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            decoder_position_ids=decoder_position_ids,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            **{**kwargs, "return_dict": True},
        )


class VanillaTransformerForSpeechSeq2Seq(LanguageModelHead, VanillaTransformerPreTrainedModel, GenerationMixin):
    """The Transformer that writes down what it hears."""

    main_input_name = "input_features"
    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__(config)
        self.model = VanillaTransformerSpeechModel(config)
        self.add_language_model_head(config)
        # By the name of the class, transformers would choose a loss that shifts labels. Here the input is shifted.
        self.loss_type = "ForMaskedLM"
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: Cache | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        return_logits: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Seq2SeqLMOutput:
        """Predict the tokens of the text.

        Args:
            input_features: the frames, (batch, frames, mel).
            attention_mask: (batch, frames), 1 for frames and 0 for padding.
            labels: (batch, target), the text with its end token; -100 is ignored. Without decoder_input_ids, the
                decoder reads the labels, shifted right behind `decoder_start_token_id`.
            **kwargs: as the other arguments, see `VanillaTransformerForConditionalGeneration`.

        Returns:
            `loss`, `logits` (batch, target, vocabulary), `past_key_values` and `encoder_last_hidden_state`.
        """
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        outputs = self.model(
            input_features,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            decoder_position_ids=decoder_position_ids,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            **{**kwargs, "return_dict": True},
        )
        loss, logits = self.loss_and_logits(
            outputs.last_hidden_state,
            labels,
            return_logits,
            logits_to_keep,
            num_items_in_batch=kwargs.get("num_items_in_batch"),
        )
        output_class = Seq2SeqLMOutput if has_logits(logits, return_logits) else Seq2SeqLMTrainingOutput
        return output_class(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
        )

    prepare_decoder_input_ids_from_labels = (
        VanillaTransformerForConditionalGeneration.prepare_decoder_input_ids_from_labels
    )


__all__ = [
    "VanillaTransformerForConditionalGeneration",
    "VanillaTransformerForSpeechSeq2Seq",
    "VanillaTransformerModel",
    "VanillaTransformerPreTrainedModel",
    "VanillaTransformerSpeechModel",
]
