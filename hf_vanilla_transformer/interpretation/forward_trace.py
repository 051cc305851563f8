"""One forward pass of a sentence, with what enters and leaves every sublayer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation_mode import evaluation_mode
from ..models.attention_vanilla import MultiHeadAttention
from ..models.layers_vanilla import TransformerLayer
from ..models.modeling_vanilla_encoder import VanillaEncoderForMultipleChoice
from ..models.stack_vanilla import VanillaPreTrainedModel, VanillaStack
from .attention_map import decoder_tokens, eager_attention, target_language

# A page with the attention of every head grows with the square of this.
LONGEST = 64
_CANDIDATES = 5


@dataclass(frozen=True)
class Step:
    """One tensor on the way through a stack.

    Attributes:
        name: what it is, such as "sum".
        equation: how it is made of earlier ones, such as "x + attention(x)".
        code: the module or method that makes it, such as `SelfAttention.q_proj`.
        tokens: of its positions.
        shape: of the tensor as the code has it; the batch has one row.
        norms: (positions,), the Euclidean length of the vector of each position.
        weights: of an attention, (heads, queries, keys); None for other steps.
        keys: the tokens that an attention reads.
    """

    name: str
    equation: str
    code: str
    tokens: tuple[str, ...]
    shape: tuple[int, ...]
    norms: torch.Tensor
    weights: torch.Tensor | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackTrace:
    """The way through one stack.

    Attributes:
        name: "encoder" or "decoder".
        tokens: of the sentence, special tokens included.
        ids: of these tokens.
        embedding: the steps before the first layer.
        layers: the steps of each layer.
        final: the last normalisation of a pre-norm stack, else empty.
    """

    name: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    embedding: tuple[Step, ...]
    layers: tuple[tuple[Step, ...], ...]
    final: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return (*self.embedding, *(step for layer in self.layers for step in layer), *self.final)


@dataclass(frozen=True)
class Prediction:
    """What the head says at one position, or about the entire text.

    Attributes:
        place: the token of the position; empty for the entire text.
        candidates: the most probable answers with their probabilities, the best first.
    """

    place: str
    candidates: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ForwardTrace:
    """One forward pass.

    Attributes:
        model: name of the model's class.
        parameters: their number.
        norm_first: whether the layers are pre-norm.
        heads: attention heads of a layer.
        stacks: one, or the encoder and the decoder.
        predictions: of the head; empty for a model without a head that has classes.
    """

    model: str
    parameters: int
    norm_first: bool
    heads: int
    stacks: tuple[StackTrace, ...]
    predictions: tuple[Prediction, ...]


@torch.no_grad()
def trace_forward(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    target: str | None = None,
    **generate_kwargs: Any,
) -> ForwardTrace:
    """Runs a model once on one sentence and records every step.

    The model runs in evaluation mode, with the eager implementation of attention and without a cache; afterwards it is
    as before. Sums are computed from what the modules return, as the layer computes them.

    Args:
        model: one of this package, with or without a head.
        tokenizer: its tokenizer.
        text: a sentence.
        target: of an encoder-decoder, what the decoder reads (teacher forcing); None for the model's own answer.
        **generate_kwargs: for the model's own answer, such as `num_beams=4`.

    Raises:
        ValueError: the model is of another package or does not read text, `target` is given for a single stack, or a
            text is empty or longer than 64 tokens.
    """
    _check_model(model, target)
    ids = _checked_ids("text", tokenizer(text, verbose=False)["input_ids"], text)
    inputs: dict[str, Any] = {"input_ids": torch.tensor([ids], device=model.device)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    sentences = [ids]
    with evaluation_mode(model), eager_attention(model):
        if model.config.is_encoder_decoder:
            # The target shifted right: position i reads the tokens before i and predicts token i.
            if target is not None:
                start, target_ids, _ = decoder_tokens(model, tokenizer, target)
                sentences.append([start, *_checked_ids("target", target_ids, target)[:-1]])
            elif model.can_generate():
                options = {**target_language(tokenizer), "max_new_tokens": LONGEST, **generate_kwargs}
                sentences.append(model.generate(**inputs, **options)[0, :-1].tolist())
            else:
                raise ValueError(f"{type(model).__name__} has no head that answers: give the target.")
            inputs["decoder_input_ids"] = torch.tensor([sentences[-1]], device=model.device)
            inputs["use_cache"] = False
        stacks = _stacks(model)
        with _recorded(stacks) as records:
            # The head for multiple choice reads several texts for each row; its stack reads one.
            runs = model.base_model if isinstance(model, VanillaEncoderForMultipleChoice) else model
            outputs = runs(**inputs, return_dict=True)
    tokens = [tuple(_shown(tokenizer, number) for number in sentence) for sentence in sentences]
    traces = []
    for (name, stack), words, sentence in zip(stacks, tokens, sentences):
        source = tokens[0] if name == "decoder" and len(stacks) > 1 else ()
        traces.append(_stack_trace(name, stack, words, tuple(sentence), source, records))
    return ForwardTrace(
        model=type(model).__name__,
        parameters=model.num_parameters(),
        norm_first=model.config.norm_first,
        heads=model.config.num_attention_heads,
        stacks=tuple(traces),
        predictions=_predictions(model, tokenizer, outputs, tokens[-1]),
    )


def _check_model(model: PreTrainedModel, target: str | None) -> None:
    if not isinstance(model, VanillaPreTrainedModel):
        raise ValueError(
            f"model is a {type(model).__name__}: give a model of this package, such as from_transformers(model) or the "
            "folder that hf-vanilla convert writes."
        )
    if model.main_input_name != "input_ids":
        raise ValueError(f"{type(model).__name__} reads {model.main_input_name}, not text.")
    if target is not None and not model.config.is_encoder_decoder:
        raise ValueError(f"target={target!r} is for an encoder-decoder, but {type(model).__name__} has one stack.")


def _checked_ids(name: str, ids: list[int], text: str) -> list[int]:
    if not text.strip() or not ids:
        raise ValueError(f"{name}={text!r} has no tokens; give a sentence.")
    if len(ids) > LONGEST:
        raise ValueError(
            f"{name} has {len(ids)} tokens, but a page that people can read has at most {LONGEST}: give one sentence."
        )
    return list(ids)


def _stacks(model: PreTrainedModel) -> list[tuple[str, VanillaStack]]:
    if model.config.is_encoder_decoder:
        return [("encoder", model.get_encoder()), ("decoder", model.get_decoder())]
    stack = model.base_model
    return [("decoder" if stack.layers[0].self_attn.is_causal else "encoder", stack)]


def _shown(tokenizer: PreTrainedTokenizerBase, number: int) -> str:
    """A token as people write it; its name in the vocabulary where it is no complete character, or only a space."""
    text = tokenizer.decode([number]).strip()
    return text if text and "\ufffd" not in text else str(tokenizer.convert_ids_to_tokens(number))


class _Record:
    """The first tensor that enters a module and what leaves it."""

    def __init__(self, inputs: torch.Tensor, outputs: Any) -> None:
        self.inputs = inputs
        self.output = outputs[0] if isinstance(outputs, tuple) else outputs
        self.weights = outputs[1] if isinstance(outputs, tuple) else None


@contextmanager
def _recorded(stacks: list[tuple[str, VanillaStack]]) -> Iterator[dict[nn.Module, _Record]]:
    """Records every module of these stacks; the hooks are removed at the end, also after an error."""
    records: dict[nn.Module, _Record] = {}

    def record(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        if inputs:
            records[module] = _Record(inputs[0], outputs)

    handles = [module.register_forward_hook(record) for _, stack in stacks for module in stack.modules()]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


def _stack_trace(
    name: str,
    stack: VanillaStack,
    tokens: tuple[str, ...],
    ids: tuple[int, ...],
    source: tuple[str, ...],
    records: dict[nn.Module, _Record],
) -> StackTrace:
    layers = tuple(_layer_steps(layer, tokens, source, records) for layer in stack.layers)
    embedding = _embedding_steps(stack, tokens, records)
    final = ()
    if stack.config.norm_first:
        final = (_step("output", "norm(x)", "VanillaStack.norm", tokens, records[stack.norm].output),)
    return StackTrace(name, tokens, ids, embedding, layers, final)


def _step(
    name: str,
    equation: str,
    code: str,
    tokens: tuple[str, ...],
    states: torch.Tensor,
    *,
    shape: tuple[int, ...] | None = None,
    weights: torch.Tensor | None = None,
    keys: tuple[str, ...] = (),
) -> Step:
    """A step whose norms are those of `states` (1, positions, width)."""
    norms = states[0].float().norm(dim=-1).cpu().expand(len(tokens))
    weights = None if weights is None else weights[0].float().cpu()
    return Step(name, equation, code, tokens, shape or tuple(states.shape), norms, weights, keys)


def _embedding_steps(
    stack: VanillaStack, tokens: tuple[str, ...], records: dict[nn.Module, _Record]
) -> tuple[Step, ...]:
    """Sections 3.4 and 3.5 of the paper: scaled tokens, plus segments, plus positions."""

    def step(name: str, equation: str, code: str, states: torch.Tensor) -> None:
        steps.append(_step(name, equation, code, tokens, states))

    steps: list[Step] = []
    embedded = records[stack.embed_tokens].output
    step("token embeddings", "E[token]", "VanillaStack.embed_tokens", embedded)
    if stack.embed_scale != 1.0:
        step("scaled", "√d · E[token]", "VanillaStack.embed_scale", embedded * stack.embed_scale)
    if stack.config.type_vocab_size:
        step("segments", "S[segment]", "VanillaStack.embed_token_types", records[stack.embed_token_types].output)
    step("positions", "P[position]", "VanillaStack.embed_positions", records[stack.embed_positions].output)
    # What enters the next module is the sum, because dropout is off.
    if stack.config.layernorm_embedding:
        step("sum", "all of the above", "VanillaStack.embed", records[stack.embed_norm].inputs)
        step("normalised", "norm(sum)", "VanillaStack.embed_norm", records[stack.embed_norm].output)
    step("input of the first layer", "x", "VanillaStack.embed", records[stack.layers[0]].inputs)
    return tuple(steps)


def _layer_steps(
    layer: TransformerLayer, tokens: tuple[str, ...], source: tuple[str, ...], records: dict[nn.Module, _Record]
) -> tuple[Step, ...]:
    """Figure 1, one layer: each sublayer with its residual connection and normalisation."""
    states = records[layer].inputs
    steps = [_step("input", "x", "TransformerLayer", tokens, states)]
    sublayers: list[tuple[str, nn.Module, nn.Module]] = [("self-attention", layer.self_attn, layer.self_attn_norm)]
    if source:
        sublayers.append(("cross-attention", layer.cross_attn, layer.cross_attn_norm))
    sublayers.append(("feed-forward", layer.mlp, layer.mlp_norm))
    for name, sublayer, norm in sublayers:
        normalised = records[norm].output
        norm_name = f"{name}: norm"
        if layer.norm_first:
            steps.append(_step(norm_name, "norm(x)", "TransformerLayer.residual", tokens, normalised))
        if isinstance(sublayer, MultiHeadAttention):
            steps += _attention_steps(
                name, sublayer, tokens, source if sublayer.is_cross_attention else tokens, records
            )
        else:
            inner = records[sublayer.fc2].inputs
            steps.append(_step(f"{name}: inner", "activation(x W₁ + b₁)", "FeedForward.fc1", tokens, inner))
            output = records[sublayer].output
            steps.append(_step(f"{name}: output", "inner W₂ + b₂", "FeedForward.fc2", tokens, output))
        total = states + records[sublayer].output
        steps.append(_step(f"{name}: sum", "x + output", "TransformerLayer.residual", tokens, total))
        if not layer.norm_first:
            steps.append(_step(norm_name, "norm(sum)", "TransformerLayer.residual", tokens, normalised))
        states = total if layer.norm_first else normalised
    return tuple(steps)


def _attention_steps(
    name: str,
    attention: MultiHeadAttention,
    tokens: tuple[str, ...],
    keys: tuple[str, ...],
    records: dict[nn.Module, _Record],
) -> list[Step]:
    kind = type(attention).__name__
    steps = []
    for what, module, words in (
        ("query", attention.q_proj, tokens),
        ("key", attention.k_proj, keys),
        ("value", attention.v_proj, keys),
    ):
        states = records[module].output
        letter = what[0].upper()
        source = "encoder(source)" if attention.is_cross_attention and what != "query" else "x"
        steps.append(
            _step(
                f"{name}: {what}",
                f"{letter} = {source} W_{letter}",
                f"{kind}.{what[0]}_proj",
                words,
                states,
                shape=tuple(attention.split_heads(states).shape),
            )
        )
    joined = records[attention.o_proj].inputs
    steps.append(
        _step(
            f"{name}: heads",
            "softmax(Q Kᵀ / √d_k) V",
            f"{kind}.attend",
            tokens,
            joined,
            weights=records[attention].weights,
            keys=keys,
        )
    )
    steps.append(_step(f"{name}: output", "heads W_O", f"{kind}.o_proj", tokens, records[attention].output))
    return steps


def _predictions(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, outputs: Any, tokens: tuple[str, ...]
) -> tuple[Prediction, ...]:
    logits = getattr(outputs, "logits", None)
    problem = getattr(model.config, "problem_type", None)
    if logits is None or problem in ("regression", "multi_label_classification") or logits.shape[-1] == 1:
        return ()
    of_tokens = model.get_output_embeddings() is not None
    names = model.config.id2label
    probabilities = logits.float().softmax(-1).cpu()
    rows = probabilities[0] if logits.dim() == 3 else probabilities
    places = tokens if logits.dim() == 3 else ("",)
    best = rows.topk(min(_CANDIDATES, rows.shape[-1]))
    return tuple(
        Prediction(
            place,
            tuple(
                (_shown(tokenizer, number) if of_tokens else str(names.get(number, number)), probability)
                for number, probability in zip(numbers, values)
            ),
        )
        for place, numbers, values in zip(places, best.indices.tolist(), best.values.tolist())
    )


__all__ = ["ForwardTrace", "Prediction", "StackTrace", "Step", "trace_forward"]
