"""The encoder of the Transformer, as in BERT (Devlin et al. 2018), and its heads."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    SequenceClassifierOutput,
)
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention_vanilla import SelfAttention
from .configuration_vanilla import VanillaEncoderConfig
from .encoding_vanilla import served_layers
from .heads_vanilla import LanguageModelHead, QuestionAnsweringHead, TokenClassificationHead, classifier_dropout
from .kernels_activation_vanilla import activation
from .layers_vanilla import TransformerLayer
from .losses_vanilla import IGNORED_LABEL, class_numbers, sequence_loss, token_cross_entropy
from .masks_vanilla import check_mask, self_attention_mask
from .outputs_vanilla import LogitsWhenRead, MaskedLMTrainingOutput, has_logits, when_read
from .packing_vanilla import packed_sequences
from .plain_values_vanilla import has_plain_cpu_values
from .pooling_vanilla import POOLED_VECTORS, kept_tokens, pool
from .stack_vanilla import VanillaPreTrainedModel, VanillaStack


class VanillaEncoderPooler(nn.Module):
    """BERT's vector of a sequence: a dense layer with an activation on the first token."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = activation(config.pooler_act)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to (batch, hidden)."""
        return self.activation(self.dense(hidden_states[:, 0]))


class VanillaEncoderPreTrainedModel(VanillaPreTrainedModel):
    """Base of the encoder models."""

    config: VanillaEncoderConfig
    _can_record_outputs = {"hidden_states": TransformerLayer, "attentions": SelfAttention}


class VanillaEncoderModel(VanillaEncoderPreTrainedModel, VanillaStack):
    """The encoder: every position attends to every other.

    Args:
        config: the configuration.
        add_pooling_layer: whether BERT's pooler follows the stack.
    """

    def __init__(self, config: VanillaEncoderConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, config.num_hidden_layers, is_causal=False, add_cross_attention=False)
        self.pooler = VanillaEncoderPooler(config) if add_pooling_layer else None
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPooling:
        """Encode.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length), 1 for tokens and 0 for padding; or a ready 4-D mask.
            token_type_ids: (batch, length), the segment of each token.
            position_ids: (batch, length). Without attention_mask and seq_idx, a position that does not follow the one
                before begins another packed sequence, as in transformers.
            inputs_embeds: (batch, length, hidden), instead of input_ids.
            seq_idx: (batch, length), for packed rows: the sequence of each token, from 0. Tokens of a sequence are
                adjacent and attend only to each other. Padding takes the number of its neighbour and a 0 in the mask.
            **kwargs: passed to the attention (`output_attentions` and `output_hidden_states` among them).

        Returns:
            `last_hidden_state` (batch, length, hidden) and `pooler_output` (batch, hidden).
        """
        inputs_embeds = self.token_embeddings(input_ids, inputs_embeds)
        check_mask("attention_mask", attention_mask, *inputs_embeds.shape[:2])
        seq_idx = packed_sequences(seq_idx, position_ids, attention_mask, None)
        hidden_states = self.embed(inputs_embeds, attention_mask, position_ids, token_type_ids, seq_idx=seq_idx)
        output = None
        if seq_idx is None and has_plain_cpu_values(hidden_states):
            # Outside of training, another computation of the same layers may serve; see `encoding_vanilla.py`.
            output = served_layers(self, hidden_states, attention_mask, kwargs)
        if output is None:
            mask = self_attention_mask(self.config, hidden_states, attention_mask, None, seq_idx, is_causal=False)
            for layer in self.layers:
                hidden_states = layer(hidden_states, attention_mask=mask, **kwargs)
            output = self.finish(hidden_states)
        pooled = self.pooler(output) if self.pooler is not None else None
        return BaseModelOutputWithPooling(last_hidden_state=output, pooler_output=pooled)


class VanillaEncoderForMaskedLM(LanguageModelHead, VanillaEncoderPreTrainedModel):
    """The encoder as a masked language model: predict the masked tokens."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaEncoderModel(config, add_pooling_layer=False)
        self.add_language_model_head(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        return_logits: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MaskedLMOutput:
        """Predict tokens.

        Args:
            labels: (batch, length), the tokens to predict; -100 is ignored.
            return_logits: whether to return logits. None: yes, but with a large vocabulary, a training step computes
                them when they are read.
            **kwargs: `num_items_in_batch` for the loss, the rest for the attention. Other arguments as in the model.

        Returns:
            `loss` and `logits` (batch, length, vocabulary).
        """
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            seq_idx=seq_idx,
            return_dict=True,
            **kwargs,
        )
        loss, logits = self.loss_and_logits(
            outputs.last_hidden_state,
            labels,
            return_logits,
            num_items_in_batch=kwargs.get("num_items_in_batch"),
        )
        output_class = MaskedLMOutput if has_logits(logits, return_logits) else MaskedLMTrainingOutput
        return output_class(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


@dataclass
class VanillaEncoderForPreTrainingOutput(ModelOutput):
    """The output of BERT's two pretraining tasks.

    Args:
        loss: the sum of both losses.
        prediction_logits: (batch, length, vocabulary).
        seq_relationship_logits: (batch, 2); class 0 says that the second segment follows the first.
        hidden_states: one (batch, length, hidden) for the embeddings and each layer.
        attentions: one (batch, heads, length, length) per layer.
    """

    loss: torch.FloatTensor | None = None
    prediction_logits: torch.FloatTensor | None = None
    seq_relationship_logits: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class PreTrainingTrainingOutput(LogitsWhenRead, VanillaEncoderForPreTrainingOutput):
    """`VanillaEncoderForPreTrainingOutput` of a training step."""

    _field = "prediction_logits"
    prediction_logits = when_read("prediction_logits")


class VanillaEncoderForPreTraining(LanguageModelHead, VanillaEncoderPreTrainedModel):
    """The encoder with BERT's two tasks: masked tokens, and whether the second segment follows the first."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaEncoderModel(config)
        self.add_language_model_head(config)
        self.seq_relationship = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        next_sentence_label: torch.LongTensor | None = None,
        return_logits: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> VanillaEncoderForPreTrainingOutput:
        """Predict tokens and the order of segments.

        Args:
            labels: (batch, length), the tokens to predict; -100 is ignored.
            next_sentence_label: (batch,), 0 where the second segment follows the first, 1 where it is a random one.
            return_logits: whether to return `prediction_logits`; None as in `VanillaEncoderForMaskedLM`.
            **kwargs: as in `VanillaEncoderForMaskedLM`.
        """
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            seq_idx=seq_idx,
            return_dict=True,
            **kwargs,
        )
        num_items_in_batch = kwargs.get("num_items_in_batch")
        loss, logits = self.loss_and_logits(
            outputs.last_hidden_state, labels, return_logits, num_items_in_batch=num_items_in_batch
        )
        relationship = self.seq_relationship(outputs.pooler_output)
        if next_sentence_label is not None:
            next_sentence_loss = self._next_sentence_loss(relationship, next_sentence_label, labels, num_items_in_batch)
            loss = next_sentence_loss if loss is None else loss + next_sentence_loss
        output_class = VanillaEncoderForPreTrainingOutput
        if not has_logits(logits, return_logits):
            output_class = PreTrainingTrainingOutput
        return output_class(
            loss=loss,
            prediction_logits=logits,
            seq_relationship_logits=relationship,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _next_sentence_loss(
        self,
        logits: torch.Tensor,
        next_sentence_label: torch.Tensor,
        labels: torch.Tensor | None,
        num_items_in_batch: torch.Tensor | int | None,
    ) -> torch.Tensor:
        """The mean over rows.

        A trainer that splits batches counts masked tokens, not rows. Then each row is weighted by its masked tokens, so
        that the micro-batches add up to the entire batch.
        """
        next_sentence_label = class_numbers(next_sentence_label.reshape(-1)).to(logits.device)
        if labels is None or num_items_in_batch is None:
            return token_cross_entropy(logits, next_sentence_label)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        rows = nn.functional.cross_entropy(logits, next_sentence_label, reduction="none")
        masked_tokens = (labels != IGNORED_LABEL).sum(-1).to(logits.device)
        if isinstance(num_items_in_batch, torch.Tensor):
            num_items_in_batch = num_items_in_batch.to(logits.device)
        return (rows * masked_tokens).sum() / num_items_in_batch


def pooled_text(
    config: VanillaEncoderConfig,
    outputs: BaseModelOutputWithPooling,
    input_ids: torch.LongTensor | None,
    attention_mask: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None,
) -> torch.Tensor:
    """The input of a head with one label per text: the pooler's output, or all states, by `classifier_pooling`.

    Returns:
        (batch, hidden), for `concat` (batch, 3 · hidden).
    """
    if config.classifier_pooling == "first":
        return outputs.pooler_output
    kept = kept_tokens(input_ids, attention_mask, inputs_embeds, config.pad_token_id)
    return pool(outputs.last_hidden_state, kept, config.classifier_pooling)


class VanillaEncoderForSequenceClassification(VanillaEncoderPreTrainedModel):
    """The encoder with one label, several labels or a number per sequence, pooled by `classifier_pooling`."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = VanillaEncoderModel(config, add_pooling_layer=config.classifier_pooling == "first")
        self.dropout = classifier_dropout(config)
        width = config.hidden_size * POOLED_VECTORS[config.classifier_pooling]
        self.classifier = nn.Linear(width, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """Classify.

        Args:
            labels: (batch,) class numbers or values, or (batch, labels) for multi-label; see `config.problem_type`.
            **kwargs: as in `VanillaEncoderForMaskedLM`.

        Returns:
            `loss` and `logits` (batch, labels).
        """
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            return_dict=True,
            **kwargs,
        )
        pooled = pooled_text(self.config, outputs, input_ids, attention_mask, inputs_embeds)
        logits = self.classifier(self.dropout(pooled))
        loss = None
        if labels is not None:
            loss = sequence_loss(logits, labels, self.config.problem_type, kwargs.get("num_items_in_batch"))
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class VanillaEncoderForTokenClassification(TokenClassificationHead, VanillaEncoderPreTrainedModel):
    """The encoder with one label per token."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaEncoderModel(config, add_pooling_layer=False)
        self.add_token_classification_head(config)
        self.post_init()


class VanillaEncoderForQuestionAnswering(QuestionAnsweringHead, VanillaEncoderPreTrainedModel):
    """The encoder with the first and last token of an answer."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaEncoderModel(config, add_pooling_layer=False)
        self.add_question_answering_head(config)
        self.post_init()


class VanillaEncoderForMultipleChoice(VanillaEncoderPreTrainedModel):
    """The encoder that chooses one of several texts, each encoded together with the question."""

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.model = VanillaEncoderModel(config, add_pooling_layer=config.classifier_pooling == "first")
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size * POOLED_VECTORS[config.classifier_pooling], 1)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MultipleChoiceModelOutput:
        """Choose.

        Args:
            input_ids: (batch, choices, length); so are attention_mask, token_type_ids and position_ids.
            inputs_embeds: (batch, choices, length, hidden), instead of input_ids.
            labels: (batch,), the number of the correct choice.
            **kwargs: as in `VanillaEncoderForMaskedLM`.

        Returns:
            `loss` and `logits` (batch, choices).
        """
        choices = (input_ids if input_ids is not None else inputs_embeds).shape[1]

        def flat(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return tensor.flatten(0, 1) if tensor is not None and tensor.dim() > 1 else tensor

        ids, mask, embeds = flat(input_ids), flat(attention_mask), flat(inputs_embeds)
        outputs = self.model(
            ids,
            attention_mask=mask,
            token_type_ids=flat(token_type_ids),
            position_ids=flat(position_ids),
            inputs_embeds=embeds,
            return_dict=True,
            **kwargs,
        )
        pooled = pooled_text(self.config, outputs, ids, mask, embeds)
        logits = self.classifier(self.dropout(pooled)).view(-1, choices)
        loss = token_cross_entropy(logits, labels, kwargs.get("num_items_in_batch")) if labels is not None else None
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


__all__ = [
    "VanillaEncoderForMaskedLM",
    "VanillaEncoderForMultipleChoice",
    "VanillaEncoderForPreTraining",
    "VanillaEncoderForPreTrainingOutput",
    "VanillaEncoderForQuestionAnswering",
    "VanillaEncoderForSequenceClassification",
    "VanillaEncoderForTokenClassification",
    "VanillaEncoderModel",
    "VanillaEncoderPreTrainedModel",
]
