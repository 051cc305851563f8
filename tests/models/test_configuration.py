"""Configurations: defaults, presets, and answers to fields that cannot be."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderModel,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
)


@pytest.mark.parametrize(
    ("model_class", "config", "published", "tolerance"),
    [
        # Vaswani et al. 2017, table 3, rounded there; the vocabulary of 37,000 is the paper's (section 5.1).
        (VanillaTransformerForConditionalGeneration, VanillaTransformerConfig.base(), 65e6, 0.03),
        (VanillaTransformerForConditionalGeneration, VanillaTransformerConfig.big(), 213e6, 0.01),
        # Devlin et al. 2018, section 3: 110 M and 340 M.
        (VanillaEncoderModel, VanillaEncoderConfig.bert_base(), 110e6, 0.01),
        (VanillaEncoderModel, VanillaEncoderConfig.bert_large(), 340e6, 0.02),
        # Radford et al. 2018; Radford et al. 2019 with the counts that OpenAI corrected later.
        (VanillaDecoderForCausalLM, VanillaDecoderConfig.gpt1(), 117e6, 0.01),
        (VanillaDecoderForCausalLM, VanillaDecoderConfig.gpt2(), 124e6, 0.01),
        (VanillaDecoderForCausalLM, VanillaDecoderConfig.gpt2_medium(), 355e6, 0.01),
        (VanillaDecoderForCausalLM, VanillaDecoderConfig.gpt2_large(), 774e6, 0.01),
        (VanillaDecoderForCausalLM, VanillaDecoderConfig.gpt2_xl(), 1558e6, 0.01),
    ],
)
def test_presets_have_the_published_number_of_parameters(model_class, config, published, tolerance):
    with torch.device("meta"):
        model = model_class(config)
    assert model.num_parameters() == pytest.approx(published, rel=tolerance)


def test_presets_take_overrides():
    config = VanillaTransformerConfig.big(dropout=0.1, vocab_size=100)
    assert (config.hidden_size, config.dropout, config.vocab_size) == (1024, 0.1, 100)


def test_names_of_other_configurations_read_the_same_fields():
    config = VanillaTransformerConfig(encoder_layers=3, decoder_layers=5)
    assert config.num_hidden_layers == 3
    assert config.get_text_config(decoder=True).num_hidden_layers == 5
    assert VanillaDecoderConfig(num_hidden_layers=7).decoder_layers == 7


@pytest.mark.parametrize("config_class", [VanillaEncoderConfig, VanillaDecoderConfig, VanillaTransformerConfig])
def test_a_mistyped_field_is_an_error_that_names_the_nearest(config_class):
    with pytest.raises(TypeError, match=r"hiden_size.*hidden_size"):
        config_class(hiden_size=64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 30}, "hidden_size=30.*num_attention_heads=8.*6"),
        ({"hidden_size": 15, "num_attention_heads": 5}, "hidden_size.*15"),
        ({"dropout": 1.0}, r"dropout.*1\.0"),
        ({"label_smoothing": -0.1}, r"label_smoothing.*-0\.1"),
        ({"encoder_layers": 0}, "encoder_layers.*0"),
        ({"vocab_size": 0}, "vocab_size.*0"),
        ({"pad_token_id": 99, "vocab_size": 50}, "pad_token_id=99.*vocab_size=50"),
        ({"decoder_start_token_id": 99, "vocab_size": 50}, "decoder_start_token_id=99.*vocab_size=50"),
        ({"layer_norm_eps": 0.0}, r"layer_norm_eps.*0\.0"),
        ({"position_embedding_type": "rotary"}, "position_embedding_type.*rotary"),
        ({"position_embedding_type": "learned", "position_offset": 2}, "position_offset=2"),
        ({"hidden_size": "512"}, "hidden_size"),
    ],
)
def test_invalid_values_are_refused_with_their_name_and_value(fields, message):
    with pytest.raises(StrictDataclassError, match=rf"(?s){message}"):
        VanillaTransformerConfig(**fields)


@pytest.mark.parametrize("config_class", [VanillaEncoderConfig, VanillaDecoderConfig, VanillaTransformerConfig])
def test_a_saved_configuration_comes_back_the_same(config_class, tmp_path):
    config = config_class(hidden_size=64, num_attention_heads=4, dropout=0, num_labels=3)
    config.save_pretrained(tmp_path)
    assert config_class.from_pretrained(tmp_path).to_dict() == config.to_dict()
