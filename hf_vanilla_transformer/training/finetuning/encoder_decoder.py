"""An encoder-decoder to fine-tune: a trained one, or a trained encoder and a trained decoder side by side."""

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

# What each stack has of its own, or what does not matter to the other one. Segments are looked at apart.
_OWN = {"tie_word_embeddings", "lm_head_bias", "lm_head_transform", "type_vocab_size"}
_OWN |= {"bos_token_id", "eos_token_id", "pad_token_id"}


def sequence_model(recipe: FinetuneRecipe, base_model: BaseModel) -> VanillaTransformerForConditionalGeneration:
    """The model of a sequence-to-sequence task.

    Raises:
        ValueError: there is one stack only, or the two do not match.
    """
    if base_model.stack == "encoder_decoder":
        if recipe.decoder_base_model is not None:
            raise ValueError(
                f"decoder_base_model={recipe.decoder_base_model!r} belongs beside an encoder, but the base model "
                f"{base_model.source} "
                "has a decoder already; leave it out."
            )
        config = base_model.head_config(**recipe.head.config)
        torch.manual_seed(recipe.training.seed)
        model = VanillaTransformerForConditionalGeneration(config)
        base_model.put_into(model)
        if base_model.generation_config is not None:
            model.generation_config = copy.deepcopy(base_model.generation_config)
    elif recipe.decoder_base_model is None:
        raise ValueError(
            f"The base model {base_model.source} is an encoder, which writes nothing: put a causal language model "
            "beside it, "
            "decoder_base_model=FOLDER (--set decoder_base_model=FOLDER), trained with the same tokenizer and width."
        )
    else:
        model = _side_by_side(recipe, base_model)
    check_dropout(recipe, model)
    model.generation_config.max_new_tokens = recipe.text_length.max_target_tokens
    model.generation_config.max_length = None
    return model


def start_and_end(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """What a target begins after and ends with; of an encoder's tokenizer the marks around its text.

    Raises:
        ValueError: the tokenizer has no such tokens.
    """
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if start is None or end is None:
        raise ValueError(
            "A text to write needs a start and an end mark, but the tokenizer has neither bos_token nor cls_token, or "
            "neither eos_token nor sep_token; set them and save it."
        )
    return start, end


def _side_by_side(recipe: FinetuneRecipe, encoder: BaseModel) -> VanillaTransformerForConditionalGeneration:
    """The keys of the stacks are those of the models they come from; only the cross-attention is new."""
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
            # A stack without segments adds nothing; so does this one then.
            torch.nn.init.zeros_(stack.embed_token_types.weight)
    model.tie_weights()
    count_as_head(value for name, value in model.named_parameters() if ".cross_attn" in name)
    return model


def _check_pair(recipe: FinetuneRecipe, encoder: BaseModel, decoder: BaseModel) -> None:
    name = recipe.decoder_base_model
    if decoder.stack != "decoder":
        raise ValueError(f"decoder_base_model={name!r} is no causal language model.")
    if decoder.reads_backward:
        raise ValueError(f"decoder_base_model={name!r} writes texts backwards; take one that was trained forwards.")
    if recipe.backbone.train != "full":
        raise ValueError(
            f"backbone.train={recipe.backbone.train!r} would leave the new cross-attention between "
            f"{encoder.source} and {name} "
            "as it is drawn; set backbone.train: full."
        )
    if encoder.tokenizer.get_vocab() != decoder.tokenizer.get_vocab():
        raise ValueError(
            f"decoder_base_model={name!r} has another vocabulary than {encoder.source}: train both with the "
            "same tokenizer "
            "(tokenizer.path)."
        )
    config = decoder.config
    if not config.tie_word_embeddings or config.lm_head_bias or config.lm_head_transform:
        raise ValueError(
            f"decoder_base_model={name!r} has a map to the vocabulary of its own (tie_word_embeddings="
            f"{config.tie_word_embeddings}, lm_head_bias={config.lm_head_bias}, lm_head_transform="
            f"{config.lm_head_transform}); take one whose map is its embedding matrix."
        )
    wrong = differences(encoder.config, config, VanillaConfig, MAY_DIFFER | _OWN)
    if wrong:
        raise ValueError(
            f"decoder_base_model={name!r} cannot stand beside {encoder.source} in one model: {'; '.join(wrong)}. Train "
            "both with the same model.config."
        )
