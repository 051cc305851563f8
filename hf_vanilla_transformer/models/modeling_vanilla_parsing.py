"""The encoder as a dependency parser: the deep biaffine parser of Dozat and Manning 2017 on top of the Transformer."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .biaffine_vanilla import ArcScorer, LabelScorer, word_weights
from .configuration_vanilla import VanillaEncoderConfig
from .heads_vanilla import classifier_dropout
from .losses_vanilla import IGNORED_LABEL, token_cross_entropy
from .modeling_vanilla_encoder import VanillaEncoderModel, VanillaEncoderPreTrainedModel
from .plain_values_vanilla import has_plain_cpu_values
from .spanning_tree_vanilla import maximum_spanning_tree


@dataclass
class VanillaEncoderForDependencyParsingOutput(ModelOutput):
    """Scores of arcs and of labels.

    Args:
        loss: the cross-entropy of the heads plus that of the labels, each a mean over words.
        arc_logits: (batch, words, words + 1), the score of each head for each word: column 0 is the root, column k the
            k-th word. Words that do not exist have the least number of the type.
        label_logits: (batch, words, labels), for the arc to each word from its given head, or from the best one.
        hidden_states: one (batch, length, hidden) for the embeddings and each layer.
        attentions: one (batch, heads, length, length) per layer.
    """

    loss: torch.FloatTensor | None = None
    arc_logits: torch.FloatTensor | None = None
    label_logits: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass(frozen=True)
class DependencyTree:
    """The tree of one sentence, in lists with one value per word.

    Attributes:
        heads: the head of each word, counted from 1; 0 for the root.
        labels: the number of the label of each arc.
        scores: the probability of each arc with its label.
    """

    heads: list[int]
    labels: list[int]
    scores: list[float]


class VanillaEncoderForDependencyParsing(VanillaEncoderPreTrainedModel):
    """The encoder with a head and a label for each word: the word it depends on, and the relation.

    transformers has no Auto class for parsing, so load this class by its own `from_pretrained`. To start training, any
    folder of an encoder will do. `config.num_labels` is the number of relations.
    """

    def __init__(self, config: VanillaEncoderConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = VanillaEncoderModel(config, add_pooling_layer=False)
        self.dropout = classifier_dropout(config)
        # The root is not a word of the sentence, and not every tokenizer has a token that could represent it.
        self.root = nn.Embedding(1, config.hidden_size)
        self.arc_scorer = ArcScorer(config)
        self.label_scorer = LabelScorer(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        word_ids: torch.LongTensor | None = None,
        heads: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> VanillaEncoderForDependencyParsingOutput:
        """Score arcs and labels.

        Args:
            word_ids: (batch, length), the number of the word that each token belongs to, from 0; negative for special
                tokens and padding. None: each token that the mask keeps is a word.
            heads: (batch, words), the head of each word, counted from 1; 0 for the root; -100 is ignored.
            labels: (batch, words), the relation of each word to its head; -100 is ignored.
            **kwargs: `num_items_in_batch` (the number of labels) for the loss, the rest for the attention. Other
                arguments as in the model.

        Raises:
            ValueError: heads or labels has another shape than the words, or a number beyond the words or relations; or
                there are labels without heads.
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
        states = self.dropout(outputs.last_hidden_state)
        word_ids, count = _words_of(word_ids, attention_mask, states, heads)
        self._check(heads, labels, (states.shape[0], count))
        words, candidates, arc_logits = self._arcs(states, word_ids, count)
        chosen = arc_logits.detach().argmax(-1) if heads is None else heads.to(words.device).clamp(min=0)
        label_logits = self.label_scorer(words, _at_heads(candidates, chosen))
        loss = None
        if heads is not None:
            items = kwargs.get("num_items_in_batch")
            loss = token_cross_entropy(arc_logits, heads, items)
            if labels is not None:
                loss = loss + token_cross_entropy(label_logits, labels, items)
        return VanillaEncoderForDependencyParsingOutput(
            loss=loss,
            arc_logits=arc_logits,
            label_logits=label_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @torch.no_grad()
    def parse(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        word_ids: torch.LongTensor | None = None,
        single_root: bool = True,
        **inputs: Any,
    ) -> list[DependencyTree]:
        """The best tree of each sentence: the maximum spanning tree of the arcs, then the best label of each arc.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length).
            word_ids: as in `forward`. The greatest number in a row tells how many words the sentence has.
            single_root: whether exactly one word depends on the root.
            **inputs: other arguments of the encoder.
        """
        states = self.model(input_ids, attention_mask=attention_mask, return_dict=True, **inputs).last_hidden_state
        word_ids, count = _words_of(word_ids, attention_mask, states, None)
        words, candidates, arc_logits = self._arcs(self.dropout(states), word_ids, count)
        lengths = (word_ids.amax(-1) + 1).clamp(min=0).tolist()
        arc_scores = arc_logits.to(torch.promote_types(arc_logits.dtype, torch.float32)).log_softmax(-1)
        heads = torch.zeros(arc_logits.shape[:2], dtype=torch.long)
        for row, length in enumerate(lengths):
            scores = arc_scores[row, :length, : length + 1].cpu().numpy()
            heads[row, :length] = torch.from_numpy(maximum_spanning_tree(scores, single_root))
        heads = heads.to(words.device)
        label_logits = self.label_scorer(words, _at_heads(candidates, heads))
        label_scores, labels = label_logits.to(arc_scores.dtype).log_softmax(-1).max(-1)
        scores = (arc_scores.gather(-1, heads[..., None]).squeeze(-1) + label_scores).exp()
        columns = zip(heads.tolist(), labels.tolist(), scores.tolist(), lengths)
        return [DependencyTree(head[:n], label[:n], score[:n]) for head, label, score, n in columns]

    def _arcs(
        self, states: torch.Tensor, word_ids: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Words (batch, words, hidden), those with the root before them, and the scores of arcs between them."""
        weights = word_weights(word_ids, count, self.config.word_pooling)
        words = weights.to(states.dtype) @ states
        # `len(words)` would be a constant in an exported graph.
        root = self.root(torch.zeros(1, 1, dtype=torch.long, device=states.device))
        root = root.to(states.dtype).expand(words.shape[0], 1, -1)
        candidates = torch.cat([root, words], dim=1)
        arc_logits = self.arc_scorer(words, candidates)
        # A tokenizer may drop characters, so a word may have no token. The greatest number still counts it.
        numbers = torch.arange(count, device=states.device)
        absent = numbers > word_ids.amax(-1, keepdim=True)  # (batch, words)
        impossible = absent[:, None, :] | (numbers[:, None] == numbers)  # no word is its own head
        impossible = nn.functional.pad(impossible, (1, 0))  # (batch, words, words + 1); the root is always there
        return words, candidates, arc_logits.masked_fill(impossible, torch.finfo(arc_logits.dtype).min)

    def _check(self, heads: torch.Tensor | None, labels: torch.Tensor | None, shape: tuple[int, int]) -> None:
        if heads is None:
            if labels is not None:
                raise ValueError("labels is given without heads; a label belongs to the arc from a head.")
            return
        for name, values, limit in (("heads", heads, shape[1] + 1), ("labels", labels, self.num_labels)):
            if values is None:
                continue
            if values.shape != shape:
                raise ValueError(
                    f"{name} has the shape {tuple(values.shape)}, but there are {shape} words; give one number per "
                    "word, -100 to ignore it."
                )
            if values.numel() and has_plain_cpu_values(values):
                low, high = (int(bound) for bound in torch.aminmax(values))
                if high >= limit or (low < 0 and low != IGNORED_LABEL):
                    raise ValueError(
                        f"{name} has the number {high if high >= limit else low}; numbers are 0 to {limit - 1}, and "
                        "-100 is ignored."
                    )


def _words_of(
    word_ids: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    states: torch.Tensor,
    heads: torch.Tensor | None,
) -> tuple[torch.Tensor, int]:
    """Word ids (batch, length), by default one word per unmasked token, and the number of words in the longest row.

    The number is that of the columns of `heads`, if that is enough for the word ids.
    """
    batch, length = states.shape[:2]
    if word_ids is None:
        if attention_mask is None or attention_mask.dim() != 2:
            return torch.arange(length, device=states.device).expand(batch, length), length
        kept = attention_mask.to(states.device).long()
        return torch.where(kept == 1, kept.cumsum(-1) - 1, -1), length
    word_ids = word_ids.to(states.device)
    if word_ids.shape != (batch, length):
        raise ValueError(
            f"word_ids has the shape {tuple(word_ids.shape)}, but there are {(batch, length)} tokens; give the number "
            "of the word of each token, -1 for none."
        )
    count = max(1, int(word_ids.max()) + 1)
    if heads is not None and heads.dim() == 2 and heads.shape[1] > count:
        count = heads.shape[1]
    return word_ids, count


def _at_heads(candidates: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
    """Select the states of the heads: (batch, words + 1, hidden) and (batch, words) to (batch, words, hidden)."""
    return candidates.gather(1, heads[..., None].expand(-1, -1, candidates.shape[-1]))


__all__ = [
    "DependencyTree",
    "VanillaEncoderForDependencyParsing",
    "VanillaEncoderForDependencyParsingOutput",
]
