"""Export to CTranslate2, which translates and generates without torch, in float32 or with quantized weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .protocol import Check, Exported, Request, require
from .reference import compare_sequences, end_token, greedy, prompts, step_limit
from .samples import Samples
from .saved_tokenizer import save_tokenizer

__all__ = ["QUANTIZATIONS", "export", "requirements"]

QUANTIZATIONS = ("float32", "int8", "int16", "float16", "bfloat16")

# Relative to the largest compared number; CTranslate2 implements exp, tanh and erf itself.
_TOLERANCE = 1e-4
_ENCODERS = "vanilla_encoder"


def requirements() -> None:
    """Needs ctranslate2."""
    require("ctranslate2", extra="ctranslate2", purpose="to='ctranslate2'")


def export(request: Request, folder: Path) -> Exported:
    """Writes model, vocabulary and tokenizer, loads them with CTranslate2, and compares both models.

    Raises:
        ValueError: CTranslate2 cannot compute the model; the message names the configuration field.
    """
    from .ctranslate2_specification import ACTIVATIONS, specification

    model, tokenizer = request.model, request.tokenizer
    notes = list(_refuse(model, tokenizer, tuple(ACTIVATIONS)))
    spec = specification(model)
    vocabulary = _vocabulary(model, tokenizer)
    _describe_tokens(spec.config, model, tokenizer, vocabulary)
    if model.config.is_encoder_decoder:
        spec.register_source_vocabulary(vocabulary)
        spec.register_target_vocabulary(vocabulary)
    else:
        spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization=request.quantization)
    spec.save(str(folder))
    save_tokenizer(tokenizer, folder)
    kind, _ = _RUNNERS[model.config.model_type]
    checks = _checks(request, folder, vocabulary)
    notes.append(f"texts are limited to max_position_embeddings={model.config.max_position_embeddings} tokens")
    return Exported(f"ctranslate2.{kind} in {request.quantization}", tuple(checks), tuple(notes))


def _checks(request: Request, folder: Path, vocabulary: Sequence[str]) -> list[Check]:
    """Outputs of CTranslate2 against the model; for quantized weights also with float32 arithmetic."""
    import ctranslate2

    kind, compare = _RUNNERS[request.model.config.model_type]

    def run(compute_type: str) -> tuple[str, list[Check]]:
        runner = getattr(ctranslate2, kind)(str(folder), device="cpu", compute_type=compute_type)
        exact = request.quantization == "float32"
        return runner.compute_type, compare(request.model, runner, vocabulary, request.samples, exact)

    computed, (numbers, *tokens) = run("default")
    if request.quantization == "float32":
        return [numbers, *tokens]
    rounded = f"{numbers.what}, weights in {request.quantization}"
    checks = [replace(numbers, what=f"{rounded}, computed in {computed}"), *tokens]
    if computed != "float32":
        # Separates the quantization from the integer arithmetic: CPUs without VNNI accumulate integers coarsely.
        checks.insert(0, replace(run("float32")[1][0], what=f"{rounded}, computed in float32"))
    return checks


def _refuse(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, activations: Sequence[str]) -> list[str]:
    """Raises ValueError for unsupported models; returns notes on parts that are left out (heads of an encoder)."""
    config, name = model.config, type(model).__name__
    notes = []
    if config.model_type == _ENCODERS:
        if config.embedding_width != config.hidden_size:
            raise ValueError(
                f"CTranslate2 cannot compute this model: embedding_size={config.embedding_size} would have to be None "
                "or hidden_size."
            )
        if hasattr(model, "model"):
            notes.append(f"CTranslate2 has no heads: of {name} only the encoder is exported; it returns hidden states")
    elif not name.endswith(("ForCausalLM", "ForConditionalGeneration")):
        raise ValueError(
            f"CTranslate2 has no counterpart of {name}. It supports encoder-decoders and decoders with a "
            "language-model head, and encoders without a head."
        )
    else:
        wanted = {"type_vocab_size": 0, "lm_head_transform": False}
        if config.model_type == "vanilla_decoder":
            wanted["add_cross_attention"] = False
        for field, value in wanted.items():
            if getattr(config, field) != value:
                raise ValueError(
                    f"CTranslate2 cannot compute this model: {field}={getattr(config, field)!r} would have to be "
                    f"{value!r}."
                )
    has_pooler = config.model_type == _ENCODERS and getattr(model, "model", model).pooler is not None
    for field in ("hidden_act", "pooler_act") if has_pooler else ("hidden_act",):
        if getattr(config, field) not in activations:
            raise ValueError(
                f"CTranslate2 cannot compute this model: {field}={getattr(config, field)!r} would have to be one of "
                f"{', '.join(activations)}."
            )
    end_token(model)
    if tokenizer is None:
        raise ValueError("tokenizer=None: CTranslate2 saves the vocabulary with the model; pass tokenizer=.")
    return notes


def _vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """All tokens by id. Embeddings without a token get a placeholder."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return tokens + [f"<unused_{number}>" for number in range(len(tokens), model.config.vocab_size)]


def _describe_tokens(
    config: Any, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, vocabulary: Sequence[str]
) -> None:
    """Sets the special tokens. The tokenizer adds them to texts, so CTranslate2 must not."""
    eos = end_token(model)
    end = vocabulary[eos] if eos is not None else tokenizer.eos_token or tokenizer.sep_token
    if end is None and model.config.model_type != _ENCODERS:
        raise ValueError("CTranslate2 needs an end token: eos_token_id=None would have to be an id.")
    config.eos_token = end or vocabulary[0]
    config.unk_token = tokenizer.unk_token or config.eos_token
    begin = model.config.bos_token_id
    config.bos_token = vocabulary[begin] if begin is not None else tokenizer.bos_token or config.eos_token
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        if start is None:
            raise ValueError("decoder_start_token_id=None would have to be the id of the first decoder token.")
        config.decoder_start_token = vocabulary[start]


def _texts(rows: Sequence[Sequence[int]], vocabulary: Sequence[str]) -> list[list[str]]:
    return [[vocabulary[token] for token in row] for row in rows]


def _bounded(what: str, worst: float, largest: float, exact: bool) -> Check:
    return Check(what, difference=worst, tolerance=_TOLERANCE * max(1.0, largest) if exact else None)


@torch.no_grad()
def _check_translator(
    model: PreTrainedModel, translator: Any, vocabulary: Sequence[str], samples: Samples, exact: bool
) -> list[Check]:
    """Log-probabilities of the tokens of our outputs, and the outputs of greedy search."""
    steps, sources = step_limit(model), prompts(model, samples.rows)
    # One step less, because the end token is scored too.
    outputs = [greedy(model, row, steps)[: steps - 1] for row in sources]
    texts = _texts(sources, vocabulary)
    scores = translator.score_batch(texts, _texts(outputs, vocabulary))
    worst, largest = 0.0, 0.0
    for source, output, score in zip(sources, outputs, scores, strict=True):
        reads = [model.config.decoder_start_token_id, *output]
        logits = model(
            input_ids=torch.tensor([source], device=model.device),
            decoder_input_ids=torch.tensor([reads], device=model.device),
        ).logits
        expected = logits[0].float().cpu().log_softmax(-1)
        labels = torch.tensor([*output, end_token(model)])
        expected = expected.gather(1, labels[:, None])[:, 0]
        actual = torch.tensor(score.log_probs)
        if len(actual) != len(expected):
            raise ValueError(f"CTranslate2 scored {len(actual)} tokens of a sentence that has {len(expected)}.")
        worst = max(worst, float((expected - actual).abs().max()))
        largest = max(largest, float(expected.abs().max()))
    found = translator.translate_batch(texts, beam_size=1, max_decoding_length=steps)
    ids = {token: number for number, token in enumerate(vocabulary)}
    theirs = [[ids[token] for token in result.hypotheses[0]] for result in found]
    ours = [greedy(model, row, steps) for row in sources]
    return [
        _bounded("log-probabilities of tokens", worst, largest, exact),
        *compare_sequences("greedy search", ours, theirs),
    ]


@torch.no_grad()
def _check_generator(
    model: PreTrainedModel, generator: Any, vocabulary: Sequence[str], samples: Samples, exact: bool
) -> list[Check]:
    """Logits at every position, and the outputs of greedy search."""
    import numpy

    worst, largest = 0.0, 0.0
    for row in samples.rows:
        expected = model(input_ids=torch.tensor([row], device=model.device)).logits[0].float().cpu()
        actual = torch.from_numpy(numpy.array(generator.forward_batch([list(row)]))[0].copy()).float()
        worst = max(worst, float((expected - actual).abs().max()))
        largest = max(largest, float(expected.abs().max()))
    steps, starts = step_limit(model), prompts(model, samples.rows)
    found = generator.generate_batch(
        _texts(starts, vocabulary), beam_size=1, max_length=steps, include_prompt_in_result=False
    )
    theirs = [result.sequences_ids[0] for result in found]
    ours = [greedy(model, row, steps) for row in starts]
    return [_bounded("logits", worst, largest, exact), *compare_sequences("greedy search", ours, theirs)]


@torch.no_grad()
def _check_encoder(
    model: PreTrainedModel, encoder: Any, vocabulary: Sequence[str], samples: Samples, exact: bool
) -> list[Check]:
    """Hidden states at every position, and the output of the pooler if there is one."""
    import numpy

    stack = getattr(model, "model", model)
    worst, largest = 0.0, 0.0
    for row in samples.rows:
        expected = stack(input_ids=torch.tensor([row], device=model.device))
        actual = encoder.forward_batch([list(row)])
        pairs = [(expected.last_hidden_state, actual.last_hidden_state)]
        if stack.pooler is not None:
            pairs.append((expected.pooler_output, actual.pooler_output))
        for mine, theirs in pairs:
            mine = mine.float().cpu()
            worst = max(worst, float((mine - torch.from_numpy(numpy.array(theirs).copy())).abs().max()))
            largest = max(largest, float(mine.abs().max()))
    return [_bounded("hidden states", worst, largest, exact)]


# CTranslate2's class for each stack, and the comparison with ours.
_RUNNERS = {
    "vanilla_encoder": ("Encoder", _check_encoder),
    "vanilla_decoder": ("Generator", _check_generator),
    "vanilla_transformer": ("Translator", _check_translator),
}
