"""Tiny models of every class of ours with inputs and labels for each, for the tests of single properties."""

from __future__ import annotations

from typing import Any

import torch

import hf_vanilla_transformer as ours

from ..tiny_models import stack_of, tiny_config, tiny_model

TINY = {
    "vocab_size": 61,
    "max_position_embeddings": 40,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

ENCODER_HEADS = (
    ours.VanillaEncoderForMaskedLM,
    ours.VanillaEncoderForPreTraining,
    ours.VanillaEncoderForSequenceClassification,
    ours.VanillaEncoderForTokenClassification,
    ours.VanillaEncoderForQuestionAnswering,
    ours.VanillaEncoderForMultipleChoice,
    ours.VanillaEncoderForDependencyParsing,
)
DECODER_HEADS = (
    ours.VanillaDecoderForCausalLM,
    ours.VanillaDecoderForSequenceClassification,
    ours.VanillaDecoderForTokenClassification,
    ours.VanillaDecoderForQuestionAnswering,
)
HEADS = (*ENCODER_HEADS, *DECODER_HEADS, ours.VanillaTransformerForConditionalGeneration)
LANGUAGE_MODELS = (
    ours.VanillaEncoderForMaskedLM,
    ours.VanillaDecoderForCausalLM,
    ours.VanillaTransformerForConditionalGeneration,
)
BASE_MODELS = (ours.VanillaEncoderModel, ours.VanillaDecoderModel, ours.VanillaTransformerModel)


def config_for(model_class: type, **more: Any) -> Any:
    """A tiny config of the stack that a class belongs to."""
    return tiny_config(model_class, **_fields(model_class) | more)


def build(model_class: type, seed: int = 0, **more: Any) -> Any:
    """A tiny model of a class, in evaluation mode, with every weight moved away from its initial value."""
    return tiny_model(model_class, seed=seed, noise=0.1, **_fields(model_class) | more)


def _fields(model_class: type) -> dict[str, Any]:
    own = {
        "seq2seq": {"decoder_start_token_id": 1},
        "encoder": {"parser_arc_size": 12, "parser_label_size": 8, "parser_dropout": 0.0},
        "decoder": {},
    }
    return TINY | own[stack_of(model_class)]


def inputs_for(model_class: type, rows: int = 3, length: int = 9, seed: int = 1) -> dict[str, torch.Tensor]:
    """Inputs with padding on the right of some rows, and on both sides of an encoder-decoder."""
    generator = torch.Generator().manual_seed(seed)

    def padded(columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.randint(3, TINY["vocab_size"], (rows, columns), generator=generator)
        mask = torch.ones_like(ids)
        for row in range(rows):
            mask[row, columns - row % 4 :] = 0
        return ids * mask, mask

    ids, mask = padded(length)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if model_class.__name__.startswith("VanillaTransformer"):
        inputs["decoder_input_ids"], inputs["decoder_attention_mask"] = padded(length - 2)
    if model_class.__name__.endswith("ForMultipleChoice"):
        inputs = {name: value[:, None].repeat(1, 2, 1) for name, value in inputs.items()}
        inputs["input_ids"][:, 1, :2] = inputs["input_ids"][:, 1, :2].flip(-1)
    return inputs


def labels_for(model_class: type, inputs: dict[str, torch.Tensor], seed: int = 2) -> dict[str, torch.Tensor]:
    """Labels for a head, in different numbers in each row where a row can have several."""
    generator = torch.Generator().manual_seed(seed)
    ids, rows = inputs["input_ids"], len(inputs["input_ids"])
    name = model_class.__name__
    if name.endswith("QuestionAnswering"):
        places = torch.arange(rows) % 4
        return {"start_positions": places, "end_positions": places + 1}
    if name.endswith(("SequenceClassification", "MultipleChoice")):
        return {"labels": torch.arange(rows) % 2}
    mask = inputs.get("decoder_attention_mask", inputs["attention_mask"])
    classes = 2 if name.endswith(("TokenClassification", "DependencyParsing")) else TINY["vocab_size"]
    labels = torch.randint(0, classes, mask.shape, generator=generator)
    labels = labels.masked_fill(mask == 0, -100)
    if name.endswith("DependencyParsing"):  # each token is a word, which depends on the one before it
        return {"heads": (mask.cumsum(-1) - 1).masked_fill(mask == 0, -100), "labels": labels}
    labels[::2, 1::2] = -100
    extra = {"next_sentence_label": torch.arange(rows) % 2} if name.endswith("PreTraining") else {}
    assert ids.shape[0] == labels.shape[0]
    return {"labels": labels, **extra}


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Copies of all gradients, by parameter name."""
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
