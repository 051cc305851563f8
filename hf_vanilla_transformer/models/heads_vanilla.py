"""Heads on top of a stack: the map to the vocabulary with its loss, labels of tokens, and answer spans."""

import torch
from torch import nn
from transformers.modeling_outputs import QuestionAnsweringModelOutput, TokenClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .configuration_vanilla import VanillaConfig
from .kernels_activation_vanilla import activation
from .kernels_dropout_vanilla import Dropout
from .kernels_linear_vanilla import linear
from .kernels_loss_vanilla import (
    chunking_is_faster,
    compiler_needs_chunks,
    divided_head_needs_chunks,
    labelled_rows,
    linear_cross_entropy,
    recomputed_cross_entropy,
)
from .losses_vanilla import IGNORED_LABEL, class_numbers, span_loss, token_cross_entropy
from .outputs_vanilla import PendingLogits
from .plain_values_vanilla import has_plain_cpu_values
from .stack_vanilla import VanillaStack


class LanguageModelTransform(nn.Module):
    """BERT's dense layer, activation and layer normalisation before the map to the vocabulary.

    The output has the width of the embeddings, to which the map may be tied.
    """

    def __init__(self, config: VanillaConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_width)
        self.activation = activation(config.hidden_act)
        self.norm = nn.LayerNorm(config.embedding_width, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(..., hidden) to (..., width of the embeddings)."""
        return self.norm(self.activation(linear(self.dense, hidden_states)))


class LanguageModelHead:
    """The map from hidden states to the vocabulary, and the loss.

    A mixin for models that predict tokens. It adds `lm_head`, and `lm_head_transform` if the configuration has one.
    """

    config: VanillaConfig
    lm_head: nn.Linear
    training: bool

    def add_language_model_head(self, config: VanillaConfig) -> None:
        """Create the modules of the head. The map is the embedding matrix if the configuration ties them."""
        if config.lm_head_transform:
            self.lm_head_transform = LanguageModelTransform(config)
        # Only the transform can change the width of the states.
        width = config.embedding_width if config.lm_head_transform else config.hidden_size
        self.lm_head = nn.Linear(width, config.vocab_size, bias=config.lm_head_bias)

    def logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(..., hidden) to (..., vocabulary)."""
        return linear(self.lm_head, self.transformed(hidden_states))

    def transformed(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(..., hidden) to (..., width of `lm_head`)."""
        return self.lm_head_transform(hidden_states) if self.config.lm_head_transform else hidden_states

    def loss_and_logits(
        self,
        hidden_states: torch.Tensor,
        labels: torch.Tensor | None,
        return_logits: bool | None,
        logits_to_keep: int | torch.Tensor = 0,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | PendingLogits | None]:
        """The loss if there are labels, and the logits.

        Args:
            hidden_states: (batch, length, hidden).
            labels: (batch, length), the token to predict at each position; -100 is ignored.
            return_logits: whether to return logits. None: yes, unless a training step computes the loss in chunks; then
                `PendingLogits`, or None in a compiler.
            logits_to_keep: compute logits only for the last n positions, or for the positions in a tensor; 0 for all.
            num_items_in_batch: divisor of the sum of the losses.

        Raises:
            ValueError: labels has another shape than the hidden states, or an id beyond the vocabulary.
        """
        if labels is None:
            return None, self.logits(at_positions(hidden_states, logits_to_keep))
        labels = class_numbers(labels).to(hidden_states.device)
        self._check_labels(labels, hidden_states)
        smoothing = self.config.label_smoothing if self.training else 0.0
        may_wait = return_logits is False or (return_logits is None and self.training)
        if may_wait and chunking_is_faster(self.lm_head, hidden_states, labels):
            states, labels = labelled_rows(hidden_states, labels)
            weight, bias = self.lm_head.weight, self.lm_head.bias
            loss = linear_cross_entropy(self.transformed(states), weight, bias, labels, num_items_in_batch, smoothing)
            return loss, None if return_logits is False else self._pending_logits(hidden_states, logits_to_keep)
        if may_wait and divided_head_needs_chunks(self.lm_head, hidden_states, labels):
            states, labels = labelled_rows(hidden_states, labels)
            loss = recomputed_cross_entropy(self.logits, states, labels, num_items_in_batch, smoothing)
            return loss, None if return_logits is False else self._pending_logits(hidden_states, logits_to_keep)
        if may_wait and compiler_needs_chunks(labels, self.config.vocab_size):
            return recomputed_cross_entropy(self.logits, hidden_states, labels, num_items_in_batch, smoothing), None
        logits = self.logits(hidden_states)
        loss = token_cross_entropy(logits, labels, num_items_in_batch, smoothing)
        if return_logits is False:
            return loss, None
        # Return the tensor that the loss used; a slice would not be part of its graph.
        keeps_all = isinstance(logits_to_keep, int) and logits_to_keep == 0
        return loss, logits if keeps_all else at_positions(logits, logits_to_keep)

    def _pending_logits(self, hidden_states: torch.Tensor, logits_to_keep: int | torch.Tensor) -> PendingLogits:
        weights = list(self.lm_head.parameters())
        if self.config.lm_head_transform:
            weights += self.lm_head_transform.parameters()
        return PendingLogits(lambda states: self.logits(at_positions(states, logits_to_keep)), hidden_states, weights)

    def _check_labels(self, labels: torch.Tensor, hidden_states: torch.Tensor) -> None:
        if labels.shape != hidden_states.shape[:-1]:
            raise ValueError(
                f"labels has the shape {tuple(labels.shape)}, but there are {tuple(hidden_states.shape[:-1])} "
                "predictions; give one label per position, -100 to ignore it."
            )
        if labels.numel() and has_plain_cpu_values(labels):
            low, high = (int(bound) for bound in torch.aminmax(labels))
            if high >= self.config.vocab_size or (low < 0 and low != IGNORED_LABEL):
                wrong = high if high >= self.config.vocab_size else low
                raise ValueError(
                    f"labels has the id {wrong}; ids are 0 to {self.config.vocab_size - 1}, and -100 is ignored."
                )


class TokenClassificationHead:
    """One label per token. A mixin for a model of either stack; a decoder takes its other arguments as keywords."""

    config: VanillaConfig
    model: VanillaStack

    def add_token_classification_head(self, config: VanillaConfig) -> None:
        """Create the modules of the head."""
        self.num_labels = config.num_labels
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

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
        **kwargs: Unpack[TransformersKwargs],
    ) -> TokenClassifierOutput:
        """Classify each token.

        Args:
            labels: (batch, length); -100 is ignored.
            **kwargs: `num_items_in_batch` for the loss, other arguments of the stack. The rest as in the stack.

        Returns:
            `loss` and `logits` (batch, length, labels).
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
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = token_cross_entropy(logits, labels, kwargs.get("num_items_in_batch")) if labels is not None else None
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class QuestionAnsweringHead:
    """The first and last token of an answer. A mixin for a model of either stack, as `TokenClassificationHead`."""

    config: VanillaConfig
    model: VanillaStack

    def add_question_answering_head(self, config: VanillaConfig) -> None:
        """Create the module of the head."""
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        seq_idx: torch.LongTensor | None = None,
        start_positions: torch.LongTensor | None = None,
        end_positions: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> QuestionAnsweringModelOutput:
        """Find the answer.

        Args:
            start_positions: (batch,), the first token of the answer; positions outside the sequence are ignored.
            end_positions: (batch,), its last token.
            **kwargs: `num_items_in_batch` for the loss, other arguments of the stack. The rest as in the stack.

        Returns:
            `loss`, `start_logits` and `end_logits` (batch, length).
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
        start_logits, end_logits = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            num_items_in_batch = kwargs.get("num_items_in_batch")
            loss = span_loss(start_logits, end_logits, start_positions, end_positions, num_items_in_batch)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits.contiguous(),
            end_logits=end_logits.contiguous(),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def classifier_dropout(config: VanillaConfig) -> Dropout:
    """The dropout before a classification head."""
    return Dropout(config.dropout if config.classifier_dropout is None else config.classifier_dropout)


def at_positions(states: torch.Tensor, logits_to_keep: int | torch.Tensor) -> torch.Tensor:
    """The positions of `states` (batch, length, ...) that the argument `logits_to_keep` selects.

    Args:
        logits_to_keep: n for the last n positions, 0 for all. Or a tensor of positions, the same for all rows
            (positions,) or for each row (batch, positions). Or a boolean mask (batch, length), which gives
            (number of true, ...).
    """
    if isinstance(logits_to_keep, int):
        return states[:, -logits_to_keep:]
    if logits_to_keep.dtype == torch.bool and logits_to_keep.dim() == 2:
        return states[logits_to_keep]
    if logits_to_keep.dim() == 2:
        rows = torch.arange(states.shape[0], device=states.device)[:, None]
        return states[rows, logits_to_keep]
    return states[:, logits_to_keep]


__all__ = [
    "LanguageModelHead",
    "LanguageModelTransform",
    "QuestionAnsweringHead",
    "TokenClassificationHead",
    "at_positions",
    "classifier_dropout",
]
