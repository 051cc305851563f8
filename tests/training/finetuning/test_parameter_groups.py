"""Discriminative learning rates: each layer has its own rate, which decreases with the distance from the head."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.training.finetuning.parameter_groups import (
    discriminative_groups,
    freeze_backbone,
    layer_names,
    layer_of,
    parameters_by_layer,
)

SIZE = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}


def heads():
    encoder = vanilla.VanillaEncoderConfig(**SIZE, num_hidden_layers=3)
    decoder = vanilla.VanillaDecoderConfig(**SIZE, num_hidden_layers=3)
    both = vanilla.VanillaTransformerConfig(**SIZE, encoder_layers=2, decoder_layers=3)
    return [
        vanilla.VanillaEncoderForSequenceClassification(encoder),
        vanilla.VanillaEncoderForTokenClassification(encoder),
        vanilla.VanillaEncoderForQuestionAnswering(encoder),
        vanilla.VanillaEncoderForMultipleChoice(encoder),
        vanilla.VanillaDecoderForSequenceClassification(decoder),
        vanilla.VanillaDecoderForCausalLM(decoder),
        vanilla.VanillaTransformerForConditionalGeneration(both),
        BertForSequenceClassification(BertConfig(**SIZE, num_hidden_layers=3)),
        GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=8, n_head=2, n_layer=3)),
    ]


@pytest.mark.parametrize(("width", "rate"), [(128, 5e-4), (768, 5e-4 / 6)])
def test_the_default_rate_is_inversely_proportional_to_the_width(width, rate):
    config = vanilla.VanillaEncoderConfig(**{**SIZE, "hidden_size": width, "num_attention_heads": 4})
    groups = discriminative_groups(vanilla.VanillaEncoderForTokenClassification(config), None, layerwise_lr_decay=1)
    assert [group["lr"] for group in groups] == pytest.approx([rate] * len(groups))


@pytest.mark.parametrize("model", heads(), ids=lambda model: type(model).__name__)
def test_every_parameter_is_in_one_group_with_the_rate_of_its_layer(model):
    groups = discriminative_groups(model, learning_rate=1.0, layerwise_lr_decay=2.0, weight_decay=0.5)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
    rates = {group["name"]: group["lr"] for group in groups}
    expected = {"head": 1.0, "layer 2": 0.5, "layer 1": 0.25, "layer 0": 0.125, "embeddings": 0.0625}
    # Where the head is the embeddings' matrix, there is no other head.
    assert rates == {name: expected[name] for name in rates} and set(expected) - set(rates) <= {"head"}
    for group in groups:
        assert group["weight_decay"] == (0.5 if group["params"][0].dim() >= 2 else 0.0)


def test_parts_are_recognised_by_name():
    assert layer_of("model.layers.2.mlp.fc1.weight", 3) == "layer 2"
    assert layer_of("base_model.model.model.layers.1.self_attn.q_proj.lora_A.default.weight", 3) == "layer 1"
    assert layer_of("model.encoder.layers.0.norm.weight", 3) == "layer 0"
    assert layer_of("model.embed_tokens.weight", 3) == "embeddings"
    assert layer_of("backward_model.embed_norm.bias", 3) == "embeddings"
    assert layer_of("model.norm.weight", 3) == "layer 2"
    assert layer_of("model.pooler.dense.weight", 3) == "head"
    assert layer_of("classifier.weight", 3) == "head"
    assert layer_of("lm_head_transform.norm.weight", 3) == "head"


def test_frozen_parameters_have_no_group():
    model = heads()[0]
    freeze_backbone(model)
    groups = discriminative_groups(model, learning_rate=1.0)
    assert {group["name"] for group in groups} == {"head"}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"classifier.weight", "classifier.bias", "model.pooler.dense.weight", "model.pooler.dense.bias"}


def test_parts_are_listed_from_the_head_down():
    model = heads()[0]
    assert layer_names(model) == ["head", "layer 2", "layer 1", "layer 0", "embeddings"]
    assert sum(len(parameters) for parameters in parameters_by_layer(model).values()) == len(list(model.parameters()))


def test_wrong_rates_and_models_are_refused():
    model = heads()[0]
    with pytest.raises(ValueError, match=r"layerwise_lr_decay.*0"):
        discriminative_groups(model, 1.0, layerwise_lr_decay=0)
    with pytest.raises(ValueError, match="learning_rate"):
        discriminative_groups(model, 0.0)
    with pytest.raises(ValueError, match=r"layers\.0"):
        layer_names(torch.nn.Linear(2, 2))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="gradient"):
        discriminative_groups(model, 1.0)
