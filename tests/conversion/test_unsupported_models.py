"""Errors for unsupported models name the field, its value and a possible value, before any work."""

import logging

import pytest
import torch
import transformers

from benchmarks.parity import SMALL_CONFIGS, small_transformers_model
from hf_vanilla_transformer import (
    VanillaEncoderForPreTraining,
    VanillaTransformerModel,
    from_transformers,
    to_transformers,
)
from hf_vanilla_transformer.conversion.families import FAMILIES

from ..tiny_models import tiny_config, tiny_model
from .saved import main_head


def reference(family_name, class_name, **fields):
    config_class = getattr(transformers, FAMILIES[family_name].config_class)
    return getattr(transformers, class_name)(config_class(**SMALL_CONFIGS[family_name] | fields))


@pytest.mark.parametrize(
    ("family_name", "class_name", "fields", "message"),
    [
        ("gpt2", "GPT2LMHeadModel", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ("gpt2", "GPT2LMHeadModel", {"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn=True"),
        ("gpt2", "GPT2LMHeadModel", {"scale_attn_weights": False}, "scale_attn_weights=False"),
        ("gpt2", "GPT2LMHeadModel", {"add_cross_attention": True}, "add_cross_attention=True"),
        ("opt", "OPTForCausalLM", {"do_layer_norm_before": False}, "do_layer_norm_before=False"),
        ("opt", "OPTForCausalLM", {"enable_bias": False}, "enable_bias=False"),
        ("opt", "OPTForCausalLM", {"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine=False"),
        ("opt", "OPTForCausalLM", {"_remove_final_layer_norm": True}, "_remove_final_layer_norm=True"),
        ("opt", "OPTForCausalLM", {"word_embed_proj_dim": 16}, "word_embed_proj_dim=16"),
        ("bert", "BertForMaskedLM", {"is_decoder": True}, "is_decoder=True"),
        ("bert", "BertModel", {"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ("roberta", "RobertaForMaskedLM", {"hidden_act": "relu"}, "hidden_act='relu'"),
        ("bart", "BartModel", {"decoder_ffn_dim": 64}, "decoder_ffn_dim=64"),
        ("m2m_100", "M2M100Model", {"decoder_attention_heads": 8}, "decoder_attention_heads=8"),
        (
            "marian",
            "MarianMTModel",
            {"decoder_vocab_size": 80, "share_encoder_decoder_embeddings": False},
            "vocab_size=80",
        ),
    ],
)
def test_import_refuses_unsupported_fields(family_name, class_name, fields, message):
    with pytest.raises(ValueError, match=message):
        from_transformers(reference(family_name, class_name, **fields))


@pytest.mark.parametrize(
    ("family_name", "class_name", "works"),
    [
        ("bart", "BartForSequenceClassification", "BartForConditionalGeneration"),
        ("bart", "BartForCausalLM", "BartModel"),
        ("gpt2", "GPT2DoubleHeadsModel", "GPT2LMHeadModel"),
        ("bert", "BertForNextSentencePrediction", "BertForPreTraining"),
        ("mbart", "MBartForQuestionAnswering", "MBartForConditionalGeneration"),
    ],
)
def test_import_of_an_unsupported_head_names_supported_classes(family_name, class_name, works):
    with pytest.raises(ValueError, match=f"{class_name} .*{works}"):
        from_transformers(reference(family_name, class_name))


def test_import_of_an_unsupported_family_names_supported_families():
    config = transformers.T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match=r"model_type='t5' .*marian"):
        from_transformers(transformers.T5Model(config))


def test_import_of_an_arbitrary_module():
    with pytest.raises(ValueError, match="model_type='Linear'"):
        from_transformers(torch.nn.Linear(2, 2))


def test_a_model_without_one_of_its_layers_is_refused():
    model = reference("bert", "BertForMaskedLM")
    del model.bert.encoder.layer[1]
    with pytest.raises(ValueError, match=r"'bert\.encoder\.layer\.1\.attention"):
        from_transformers(model)


def test_a_model_with_a_wrong_size_in_its_configuration_is_refused():
    model = reference("gpt2", "GPT2LMHeadModel")
    model.config.n_positions = 30
    with pytest.raises(ValueError, match=r"embed_positions\.weight .*\(40, 32\).*\(30, 32\)"):
        from_transformers(model)


@pytest.mark.parametrize(
    "convert", [from_transformers, lambda model: to_transformers(from_transformers(model).to("meta"))]
)
def test_weights_on_the_meta_device(convert):
    model = reference("gpt2", "GPT2LMHeadModel")
    if convert is from_transformers:
        model = model.to("meta")
    with pytest.raises(ValueError, match=r"weight .*meta device"):
        convert(model)


def test_quantized_weights():
    model = reference("gpt2", "GPT2LMHeadModel")
    model.config.quantization_config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    with pytest.raises(ValueError, match=r"GPT2LMHeadModel .*quantization_config"):
        from_transformers(model)


@pytest.mark.parametrize(
    ("stack", "fields", "message"),
    [
        ("encoder", {"norm_first": True}, r"bert: norm_first=True .*False"),
        ("encoder", {"layernorm_embedding": False}, r"layernorm_embedding=False .*True"),
        ("encoder", {"lm_head_transform": False}, r"lm_head_transform=False .*True"),
        ("decoder", {"layernorm_embedding": True}, r"gpt2: layernorm_embedding=True .*False"),
        ("decoder", {"type_vocab_size": 2}, r"type_vocab_size=2 .*0"),
        ("decoder", {"lm_head_bias": True}, r"lm_head_bias=True .*False"),
        (
            "decoder",
            {"norm_first": False, "intermediate_size": 48},
            r"intermediate_size=48 .*four times hidden_size",
        ),
        (
            "decoder",
            {"norm_first": False, "intermediate_size": 64, "hidden_act": "tanh"},
            r"openai-gpt: hidden_act='tanh'.*gelu_new",
        ),
        ("seq2seq", {"layer_norm_eps": 1e-6}, r"marian: layer_norm_eps=1e-06 .*1e-05"),
        (
            "seq2seq",
            {"position_embedding_type": "learned"},
            r"'learned' .*'sinusoidal_concat'",
        ),
        ("seq2seq", {"position_offset": 2}, r"marian: position_offset=2 .*0"),
        (
            "seq2seq",
            {"position_embedding_type": "sinusoidal_t2t", "norm_first": True, "position_offset": 7},
            r"m2m_100: position_offset=7 .*pad_token_id",
        ),
        ("seq2seq", {"lm_head_transform": True}, r"lm_head_transform=True .*False"),
    ],
)
def test_export_names_every_unsupported_field(stack, fields, message):
    with pytest.raises(ValueError, match=f"Vanilla.*{message}"):
        to_transformers(tiny_model(stack, **fields))


def test_export_to_a_requested_family_names_only_this_family():
    with pytest.raises(ValueError, match=r"norm_first=True .*False") as error:
        to_transformers(tiny_model("decoder"), family="openai-gpt")
    assert "opt:" not in str(error.value)


def test_export_to_a_family_of_another_stack():
    with pytest.raises(ValueError, match=r"family='bert' .*vanilla_decoder.*gpt2"):
        to_transformers(tiny_model("decoder"), family="bert")


def test_export_of_a_transformers_model():
    with pytest.raises(ValueError, match="model_type='gpt2'"):
        to_transformers(reference("gpt2", "GPT2Model"))


def test_pretraining_heads_are_exported_to_bert_only():
    config = tiny_config("encoder")
    assert type(to_transformers(VanillaEncoderForPreTraining(config))).__name__ == "BertForPreTraining"
    with pytest.raises(ValueError, match="roberta: VanillaEncoderForPreTraining"):
        to_transformers(VanillaEncoderForPreTraining(config), family="roberta")


def test_tied_embeddings_of_pegasus_are_shared_between_source_and_target():
    config = tiny_config("seq2seq", norm_first=True, share_encoder_decoder_embeddings=False)
    with pytest.raises(ValueError, match=r"pegasus: share_encoder_decoder_embeddings=False .*tie_word_embeddings"):
        to_transformers(VanillaTransformerModel(config))


@pytest.mark.parametrize(
    ("family_name", "class_name", "fields", "message"),
    [
        ("bart", "BartModel", {"encoder_layerdrop": 0.1}, "encoder_layerdrop=0.1 "),
        ("opt", "OPTModel", {"layerdrop": 0.1}, "layerdrop=0.1 "),
        ("gpt2", "GPT2Model", {"embd_pdrop": 0.2}, "resid_pdrop=0.0 and embd_pdrop=0.2 become dropout=0.0"),
    ],
)
def test_import_warns_of_differences_in_training(family_name, class_name, fields, message, caplog):
    with caplog.at_level(logging.WARNING):
        from_transformers(reference(family_name, class_name, **fields))
    assert message in caplog.text


def test_export_warns_of_differences_in_training(caplog):
    with caplog.at_level(logging.WARNING):
        to_transformers(tiny_model("decoder", positions_from_mask=False, label_smoothing=0.1, activation_dropout=0.2))
    assert "label_smoothing=0.1 " in caplog.text
    assert "activation_dropout=0.2 " in caplog.text


@pytest.mark.parametrize("family_name", [name for name in FAMILIES if name not in ("m2m_100", "speech_to_text")])
def test_import_and_export_without_differences_log_no_warning(family_name, caplog):
    family = FAMILIES[family_name]
    with caplog.at_level(logging.WARNING):
        to_transformers(from_transformers(small_transformers_model(family, main_head(family))))
    assert not caplog.records
