"""The decoder of the Transformer, as in GPT (Radford et al. 2018, 2019), and its heads."""

import torch
from torch import nn
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import (
    BaseModelOutputWithPastAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    SequenceClassifierOutputWithPast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, logging
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .attention_vanilla import CrossAttention, SelfAttention
from .configuration_vanilla import VanillaDecoderConfig
from .decoding_loop_vanilla import DecodingLoopMixin
from .heads_vanilla import LanguageModelHead, QuestionAnsweringHead, TokenClassificationHead
from .layers_vanilla import TransformerLayer
from .losses_vanilla import IGNORED_LABEL, class_numbers, sequence_loss
from .masks_vanilla import check_mask, cross_attention_mask, self_attention_mask
from .outputs_vanilla import CausalLMTrainingOutput, has_logits
from .packing_vanilla import packed_sequences, sequence_starts
from .pooling_vanilla import POOLED_VECTORS, backward_order, kept_tokens, mean_prediction, pool
from .stack_vanilla import VanillaPreTrainedModel, VanillaStack

logger = logging.get_logger(__name__)


class VanillaDecoderPreTrainedModel(VanillaPreTrainedModel):
    """Base of the decoder models."""

    config: VanillaDecoderConfig
    _can_record_outputs = {
        "hidden_states": TransformerLayer,
        "attentions": SelfAttention,
        "cross_attentions": CrossAttention,
    }


class VanillaDecoderModel(VanillaDecoderPreTrainedModel, VanillaStack):
    """The decoder: every position attends to positions up to its own, and to the output of an encoder if given."""

    def __init__(self, config: VanillaDecoderConfig) -> None:
        super().__init__(config, config.num_hidden_layers, True, config.add_cross_attention)
        self.post_init()

    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        encoder_seq_idx: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decode.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, past + length), 1 for tokens and 0 for padding; or a ready 4-D mask.
            position_ids: (batch, length). Without attention_mask, cache and seq_idx, a position that does not follow
                the one before begins another packed sequence, as in transformers.
            encoder_hidden_states: (batch, source, hidden).
            encoder_attention_mask: (batch, source).
            token_type_ids: (batch, length), the segment of each token, for a model that has segments.
            past_key_values: keys and values of the tokens before.
            inputs_embeds: (batch, length, hidden), instead of input_ids.
            seq_idx: (batch, length), for packed rows without a cache: the sequence of each token, from 0. Tokens of a
                sequence are adjacent and attend only to each other. Padding takes the number of its neighbour and a 0
                in the mask.
            encoder_seq_idx: (batch, source), for packed rows: the sequence of each source token. A target attends to
                the source with its number.
            use_cache: whether to return keys and values. None: as `config.use_cache` says, but no new cache in
                training.
            **kwargs: passed to the attention (`output_attentions` and `output_hidden_states` among them).

        Returns:
            `last_hidden_state` (batch, length, hidden) and `past_key_values`.

        Raises:
            ValueError: encoder_hidden_states without cross-attention; encoder_seq_idx without seq_idx; seq_idx with a
                cache, or with another shape than the tokens.
        """
        inputs_embeds = self.token_embeddings(input_ids, inputs_embeds)
        if encoder_hidden_states is not None and not self.config.add_cross_attention:
            raise ValueError(
                "encoder_hidden_states is given, but this decoder has no cross-attention; build it with "
                "add_cross_attention=True."
            )
        seq_idx = packed_sequences(seq_idx, position_ids, attention_mask, past_key_values)
        if encoder_seq_idx is not None and seq_idx is None:
            raise ValueError("encoder_seq_idx is given without seq_idx; packed rows need both.")
        use_cache = self.returns_cache(use_cache, past_key_values)
        if use_cache and self.gradient_checkpointing and self.training:
            logger.warning_once("use_cache=True is ignored in training with gradient checkpointing.")
            use_cache = False
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
            if encoder_hidden_states is not None:
                past_key_values = EncoderDecoderCache(past_key_values, DynamicCache(config=self.config))
        own_cache = past_key_values
        if isinstance(past_key_values, EncoderDecoderCache):
            own_cache = past_key_values.self_attention_cache
        past_length = own_cache.get_seq_length() if own_cache is not None else 0
        rows, length = inputs_embeds.shape[:2]
        check_mask("attention_mask", attention_mask, rows, past_length + length)
        if encoder_hidden_states is not None:
            check_mask("encoder_attention_mask", encoder_attention_mask, rows, encoder_hidden_states.shape[1])

        hidden_states = self.embed(inputs_embeds, attention_mask, position_ids, token_type_ids, past_length, seq_idx)
        mask = self_attention_mask(self.config, hidden_states, attention_mask, own_cache, seq_idx, is_causal=True)
        encoder_mask = None
        if encoder_hidden_states is not None:
            encoder_mask = cross_attention_mask(
                self.config, hidden_states, encoder_hidden_states, encoder_attention_mask, seq_idx, encoder_seq_idx
            )
        for layer in self.layers:
            hidden_states = layer(
                hidden_states,
                encoder_hidden_states,
                attention_mask=mask,
                encoder_attention_mask=encoder_mask,
                past_key_values=past_key_values,
                **kwargs,
            )
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=self.finish(hidden_states), past_key_values=past_key_values if use_cache else None
        )


class VanillaDecoderForCausalLM(LanguageModelHead, VanillaDecoderPreTrainedModel, DecodingLoopMixin, GenerationMixin):
    """The decoder as a language model: predict the next token."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: VanillaDecoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaDecoderModel(config)
        self.add_language_model_head(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        return_logits: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutputWithCrossAttentions:
        """Predict the next token at each position.

        Args:
            labels: (batch, length), usually `input_ids`; the model shifts them. -100 is ignored, and so is the first
                token of each packed sequence.
            logits_to_keep: compute logits only for the last n positions, or for the positions in a tensor; 0 for all.
            return_logits: whether to return logits. None: yes, but with a large vocabulary, a training step computes
                them when they are read.
            **kwargs: `num_items_in_batch` for the loss, `shift_labels` for labels that are already shifted, the rest
                for the attention. Other arguments as in the model.

        Returns:
            `loss`, `logits` (batch, length, vocabulary) and `past_key_values`.
        """
        shift_labels = kwargs.pop("shift_labels", None)
        seq_idx = packed_sequences(seq_idx, position_ids, attention_mask, past_key_values)
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            token_type_ids=token_type_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            seq_idx=seq_idx,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        if labels is not None and shift_labels is None:
            shift_labels = next_tokens(labels, seq_idx)
        loss, logits = self.loss_and_logits(
            outputs.last_hidden_state,
            shift_labels,
            return_logits,
            logits_to_keep,
            num_items_in_batch=kwargs.get("num_items_in_batch"),
        )
        output_class = (
            CausalLMOutputWithCrossAttentions if has_logits(logits, return_logits) else CausalLMTrainingOutput
        )
        return output_class(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
        )


# Trainer looks here for the classes whose labels `label_smoothing_factor` has to shift. Without the entry, a model
# would learn to copy its input.
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[VanillaDecoderConfig.model_type] = VanillaDecoderForCausalLM.__name__


def next_tokens(labels: torch.Tensor, seq_idx: torch.Tensor | None = None) -> torch.Tensor:
    """Labels shifted left by one, so that each position has its next token; (batch, length) to the same shape.

    The last token of a packed sequence has no next token. `seq_idx` (batch or 1, length) tells the sequences apart.
    """
    labels = class_numbers(labels)  # -100 does not fit into every type of integer
    if seq_idx is not None:
        labels = labels.masked_fill(sequence_starts(seq_idx).to(labels.device), IGNORED_LABEL)
    return nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED_LABEL)


class VanillaDecoderForSequenceClassification(VanillaDecoderPreTrainedModel):
    """The decoder with one label, several labels or a number per sequence, pooled by `classifier_pooling`.

    With `classifier_direction="both"` there are two decoders with one classifier each. One reads the text backwards,
    and the output is the mean of their probabilities (Howard and Ruder 2018, section 3.3).
    """

    def __init__(self, config: VanillaDecoderConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        width = config.hidden_size * POOLED_VECTORS[config.classifier_pooling]
        self.model = VanillaDecoderModel(config)
        self.classifier = nn.Linear(width, config.num_labels, bias=False)
        if config.classifier_direction == "both":
            self.backward_model = VanillaDecoderModel(config)
            self.backward_classifier = nn.Linear(width, config.num_labels, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutputWithPast:
        """Classify.

        Args:
            labels: (batch,) class numbers or values, or (batch, labels) for multi-label; see `config.problem_type`.
            **kwargs: as in `VanillaDecoderForCausalLM`.

        Returns:
            `loss`, `logits` (batch, labels) and `past_key_values`. For both directions, the loss is the sum of the two
            losses, so that each decoder learns as it would alone. The logits are those of the mean probabilities;
            hidden states and attentions are those of the forward decoder.

        Raises:
            ValueError: there are several rows, but neither a mask nor a padding token; or there is a cache, but the
                pooling or the direction needs all tokens.
        """
        config = self.config
        kept = kept_tokens(input_ids, attention_mask, inputs_embeds, config.pad_token_id)
        needs_all = config.classifier_pooling != "last" or config.classifier_direction != "forward"
        if needs_all and past_key_values is not None:
            raise ValueError(
                f"past_key_values is given, but classifier_pooling={config.classifier_pooling!r} and "
                f"classifier_direction={config.classifier_direction!r} need all tokens at once; pass the entire text."
            )
        options = {"attention_mask": attention_mask, "position_ids": position_ids, **kwargs}
        backward_ids, backward_embeds = input_ids, inputs_embeds
        if config.classifier_direction != "forward":
            backward_ids, backward_embeds = self._backward(input_ids, inputs_embeds, kept)
        if config.classifier_direction == "backward":
            input_ids, inputs_embeds = backward_ids, backward_embeds
        outputs = self.model(
            input_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=False if needs_all else use_cache,
            return_dict=True,
            **options,
        )
        all_logits = [self.classifier(pool(outputs.last_hidden_state, kept, config.classifier_pooling))]
        if config.classifier_direction == "both":
            states = self.backward_model(
                backward_ids, inputs_embeds=backward_embeds, use_cache=False, return_dict=True, **options
            ).last_hidden_state
            all_logits.append(self.backward_classifier(pool(states, kept, config.classifier_pooling)))
        loss = None
        if labels is not None:
            count = kwargs.get("num_items_in_batch")
            losses = [sequence_loss(logits, labels, config.problem_type, count) for logits in all_logits]
            loss = losses[0] if len(losses) == 1 else losses[0] + losses[1]
        logits = all_logits[0] if len(all_logits) == 1 else mean_prediction(*all_logits, config.problem_type)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _backward(
        self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None, kept: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The reversed texts: ids (batch, length) or embeddings (batch, length, hidden)."""
        order = backward_order(kept, input_ids, self.config.boundary_token_ids)
        if input_ids is not None:
            return input_ids.gather(1, order), None
        return None, inputs_embeds.gather(1, order[:, :, None].expand_as(inputs_embeds))


class VanillaDecoderForTokenClassification(TokenClassificationHead, VanillaDecoderPreTrainedModel):
    """The decoder with one label per token."""

    def __init__(self, config: VanillaDecoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaDecoderModel(config)
        self.add_token_classification_head(config)
        self.post_init()


class VanillaDecoderForQuestionAnswering(QuestionAnsweringHead, VanillaDecoderPreTrainedModel):
    """The decoder with the first and last token of an answer."""

    def __init__(self, config: VanillaDecoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaDecoderModel(config)
        self.add_question_answering_head(config)
        self.post_init()


__all__ = [
    "VanillaDecoderForCausalLM",
    "VanillaDecoderForQuestionAnswering",
    "VanillaDecoderForSequenceClassification",
    "VanillaDecoderForTokenClassification",
    "VanillaDecoderModel",
    "VanillaDecoderPreTrainedModel",
    "next_tokens",
]
