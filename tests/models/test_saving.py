"""What a folder of a model keeps, who may read it, and errors for folders of another model."""

import os

import pytest
from transformers import BertConfig, BertForMaskedLM

import hf_vanilla_transformer as vanilla

from ..tiny_models import tiny_model

_MODELS = [
    vanilla.VanillaEncoderForMaskedLM,
    vanilla.VanillaDecoderForCausalLM,
    vanilla.VanillaTransformerForConditionalGeneration,
]


@pytest.mark.parametrize("model_class", _MODELS)
def test_a_note_in_the_configuration_comes_back(model_class, tmp_path):
    model = tiny_model(model_class)
    model.config.training_note = {"run": 7}
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    assert loaded.config.training_note == {"run": 7}
    loaded.save_pretrained(tmp_path / "again")
    assert model_class.from_pretrained(tmp_path / "again").config.training_note == {"run": 7}


def test_an_attribute_that_resembles_a_field_is_not_saved(tmp_path):
    model = tiny_model("encoder")
    model.config.hidden_sise = 32
    with pytest.raises(ValueError, match=r"hidden_sise.*hidden_size"):
        model.save_pretrained(tmp_path)


def test_a_mistyped_field_in_a_file_is_named():
    with pytest.raises(TypeError, match=r"hidden_sise.*hidden_size"):
        vanilla.VanillaEncoderConfig.from_dict({"hidden_sise": 32})


@pytest.mark.parametrize("model_class", _MODELS)
def test_weights_are_as_readable_as_the_other_files(model_class, tmp_path):
    old = os.umask(0o022)
    try:
        tiny_model(model_class).save_pretrained(tmp_path, max_shard_size="4KB")
    finally:
        os.umask(old)
    weights = list(tmp_path.glob("*.safetensors"))
    assert len(weights) > 1
    assert {path.stat().st_mode & 0o777 for path in [*weights, tmp_path / "config.json"]} == {0o644}


@pytest.mark.parametrize(
    "model_class, half",
    [
        (vanilla.VanillaEncoderModel, "get_encoder"),
        (vanilla.VanillaEncoderForSequenceClassification, "get_encoder"),
        (vanilla.VanillaDecoderForCausalLM, "get_decoder"),
    ],
)
def test_a_single_stack_from_a_folder_of_both_says_how(model_class, half, tmp_path):
    model = tiny_model("seq2seq")
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"vanilla_transformer.*VanillaTransformerModel.*{half}"):
        model_class.from_pretrained(tmp_path)
    stack = getattr(vanilla.VanillaTransformerModel.from_pretrained(tmp_path), half)()
    assert stack.config.model_type == model_class.config_class.model_type


def test_a_folder_of_the_other_stack_is_named(tmp_path):
    tiny_model("encoder").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"vanilla_decoder.*vanilla_encoder.*VanillaEncoderForMaskedLM"):
        vanilla.VanillaDecoderForCausalLM.from_pretrained(tmp_path)


def test_a_folder_of_transformers_is_sent_to_the_conversion(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=50, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"bert.*BertForMaskedLM.*from_checkpoint"):
        vanilla.VanillaEncoderForMaskedLM.from_pretrained(tmp_path)
