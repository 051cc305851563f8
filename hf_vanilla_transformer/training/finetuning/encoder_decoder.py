"""An encoder-decoder to fine-tune: a trained one, or a combination of a trained encoder and a trained decoder."""

from __future__ import annotations

import copy
import dataclasses

import torch
from transformers import PreTrainedTokenizerBase

from ...models.configuration_vanilla import VanillaConfig, VanillaTransformerConfig
from ...models.modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from ..recipes.finetuning_recipe import FinetuneRecipe
from .base_model import BaseModel, open_base_model
from .heads import MAY_DIFFER, check_dropout, differences
from .parameter_groups import count_as_head

# Fields in which encoder and decoder may differ, because each stack has its own or only one uses it.
_OWN = {"tie_word_embeddings", "lm_head_bias", "lm_head_transform", "type_vocab_size"}
_OWN |= {"bos_token_id", "eos_token_id", "pad_token_id"}


def sequence_model(recipe: FinetuneRecipe, base_model: BaseModel) -> VanillaTransformerForConditionalGeneration:
    """The model of a sequence-to-sequence task.

    Raises:
        ValueError: one stack is missing, or the two do not match.
    """
    if base_model.stack == "encoder_decoder":
        if recipe.decoder_base_model is not None:
            raise ValueError(
                f"decoder_base_model={recipe.decoder_base_model!r} is for an encoder as base model, but "
                f"{base_model.source} already has a decoder; remove it."
            )
        config = base_model.head_config(**recipe.head.config)
        torch.manual_seed(recipe.training.seed)
        model = VanillaTransformerForConditionalGeneration(config)
        base_model.put_into(model)
        if base_model.generation_config is not None:
            model.generation_config = copy.deepcopy(base_model.generation_config)
    elif recipe.decoder_base_model is None:
        raise ValueError(
            f"The base model {base_model.source} is an encoder and cannot generate text: add a causal language model "
            "that was trained with the same tokenizer and width, --set decoder_base_model=FOLDER."
        )
    else:
        model = _side_by_side(recipe, base_model)
    check_dropout(recipe, model)
    model.generation_config.max_new_tokens = recipe.text_length.max_target_tokens
    model.generation_config.max_length = None
    return model


def start_and_end(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The ids of the start and the end token of a target; for an encoder's tokenizer, `cls_token` and `sep_token`.

    Raises:
        ValueError: the tokenizer has no such tokens.
    """
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if start is None or end is None:
        raise ValueError(
            "Targets need a start and an end token, but the tokenizer has neither bos_token nor cls_token, or neither "
            "eos_token nor sep_token; set them and save the tokenizer."
        )
    return start, end


def _side_by_side(recipe: FinetuneRecipe, encoder: BaseModel) -> VanillaTransformerForConditionalGeneration:
    """Combines the weights of both base models in one model; only the cross-attention is new."""
    decoder = open_base_model(
        recipe.decoder_base_model, random_weights=recipe.from_scratch, attention=recipe.attn_implementation
    )
    _check_pair(recipe, encoder, decoder)
    start, end = start_and_end(encoder.tokenizer)
    shared = {entry.name for entry in dataclasses.fields(VanillaConfig)} - {"architectures"}
    values = {name: getattr(encoder.config, name) for name in shared if hasattr(encoder.config, name)}
    values |= {
        "encoder_layers": encoder.config.num_hidden_layers,
        "decoder_layers": decoder.config.num_hidden_layers,
        "type_vocab_size": max(encoder.config.type_vocab_size, decoder.config.type_vocab_size),
        "share_encoder_decoder_embeddings": False,
        "tie_word_embeddings": True,
        "lm_head_bias": False,
        "lm_head_transform": False,
        "is_encoder_decoder": True,
        "pad_token_id": encoder.tokenizer.pad_token_id,
        "bos_token_id": start,
        "eos_token_id": end,
        "decoder_start_token_id": start,
        **recipe.head.config,
    }
    for name in ("id2label", "label2id", "problem_type"):
        values.pop(name, None)
    config = VanillaTransformerConfig(**values)
    config._attn_implementation = recipe.attn_implementation
    torch.manual_seed(recipe.training.seed)
    model = VanillaTransformerForConditionalGeneration(config)
    for stack, base_model in ((model.model.encoder, encoder), (model.model.decoder, decoder)):
        missing = base_model.put_into(stack)
        if base_model.weights and "embed_token_types.weight" in missing:
            # A base model without segments adds no segment embeddings: zeros keep its outputs.
            torch.nn.init.zeros_(stack.embed_token_types.weight)
    model.tie_weights()
    count_as_head(value for name, value in model.named_parameters() if ".cross_attn" in name)
    return model


def _check_pair(recipe: FinetuneRecipe, encoder: BaseModel, decoder: BaseModel) -> None:
    name = recipe.decoder_base_model
    if decoder.stack != "decoder":
        raise ValueError(f"decoder_base_model={name!r} is not a causal language model; choose one.")
    if decoder.reads_backward:
        raise ValueError(
            f"decoder_base_model={name!r} generates reversed texts; choose one trained with data.reverse: false."
        )
    if recipe.backbone.train != "full":
        raise ValueError(
            f"backbone.train={recipe.backbone.train!r} would not train the new cross-attention between "
            f"{encoder.source} and {name}; set backbone.train: full."
        )
    if encoder.tokenizer.get_vocab() != decoder.tokenizer.get_vocab():
        raise ValueError(
            f"decoder_base_model={name!r} has another vocabulary than {encoder.source}: train both with the same "
            "tokenizer (tokenizer.path)."
        )
    config = decoder.config
    if not config.tie_word_embeddings or config.lm_head_bias or config.lm_head_transform:
        raise ValueError(
            f"decoder_base_model={name!r} has an LM head with weights of its own (tie_word_embeddings="
            f"{config.tie_word_embeddings}, lm_head_bias={config.lm_head_bias}, lm_head_transform="
            f"{config.lm_head_transform}); choose one whose LM head is its embedding matrix."
        )
    different = differences(encoder.config, config, VanillaConfig, MAY_DIFFER | _OWN)
    if different:
        raise ValueError(
            f"decoder_base_model={name!r} does not fit the encoder {encoder.source}: {'; '.join(different)}. Train "
            "both with the same model.config."
        )
