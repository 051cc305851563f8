"""Exports to CTranslate2, run by CTranslate2."""

import json

import pytest
import torch

from hf_vanilla_transformer import VanillaDecoderForSequenceClassification, VanillaEncoderModel, export_to
from hf_vanilla_transformer.commands.main import main
from tests.conversion.exports.small import small_folder, small_model, small_tokenizer

pytest.importorskip("ctranslate2")

LAYOUTS = {
    "paper": {},
    "pre-norm": {"norm_first": True, "lm_head_bias": True, "hidden_act": "gelu"},
    "learned": {"position_embedding_type": "learned", "layernorm_embedding": True, "hidden_act": "gelu_new"},
    "concat": {"position_embedding_type": "sinusoidal_concat", "hidden_act": "silu", "scale_embedding": False},
    "t2t": {"position_embedding_type": "sinusoidal_t2t", "position_offset": 2, "tie_word_embeddings": False},
    "two vocabularies": {"share_encoder_decoder_embeddings": False},
}


def exact(report, total=12):
    numbers, *tokens = report.checks
    assert numbers.difference <= 1e-4
    assert all(check.same == check.total for check in tokens)
    if tokens:
        assert tokens[0].total == total and tokens[1].total > 2 * total
    return True


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_encoder_decoder(layout, tmp_path):
    folder = small_folder(tmp_path / "ours", "seq2seq", **LAYOUTS[layout])
    report = export_to(folder, tmp_path / "exported", "ctranslate2")
    assert report.kind == "ctranslate2.Translator in float32"
    assert exact(report)


@pytest.mark.parametrize(
    "fields",
    [{}, {"norm_first": False, "position_embedding_type": "sinusoidal", "scale_embedding": True}],
    ids=["gpt2", "post-norm"],
)
def test_a_decoder(fields, tmp_path):
    folder = small_folder(tmp_path / "ours", "decoder", **fields)
    report = export_to(folder, tmp_path / "exported", "ctranslate2")
    assert report.kind == "ctranslate2.Generator in float32"
    assert exact(report)


@pytest.mark.parametrize("segments", [2, 0])
def test_an_encoder(segments, tmp_path):
    tokenizer = small_tokenizer("encoder")
    masked = small_model("encoder", tokenizer, type_vocab_size=segments)
    report = export_to(masked, tmp_path / "masked", "ctranslate2", tokenizer=tokenizer)
    assert report.kind == "ctranslate2.Encoder in float32"
    assert "CTranslate2 has no heads" in report.notes[0]
    assert exact(report)
    pooled = VanillaEncoderModel(masked.config)
    assert exact(export_to(pooled, tmp_path / "pooled", "ctranslate2", tokenizer=tokenizer))


@pytest.mark.parametrize("pooler_act", ["gelu", "relu"])
def test_a_pooler_of_another_family(pooler_act, tmp_path):
    tokenizer = small_tokenizer("encoder")
    config = small_model("encoder", tokenizer, pooler_act=pooler_act).config
    assert exact(export_to(VanillaEncoderModel(config), tmp_path / "exported", "ctranslate2", tokenizer=tokenizer))


def test_int8_is_smaller_and_close(tmp_path, capsys):
    folder = small_folder(tmp_path / "ours", "seq2seq")
    arguments = [
        "export",
        str(folder),
        "--output",
        str(tmp_path / "int8"),
        "--to",
        "ctranslate2",
        "--quantization",
        "int8",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "ctranslate2.Translator in int8" in printed and "log-probabilities of tokens" in printed
    record = json.loads((tmp_path / "int8" / "export_report.json").read_text())
    rounded, computed = record["checks"][:2]
    assert rounded["what"].endswith("weights in int8, computed in float32")
    assert "weights in int8, computed in int8" in computed["what"]
    # Random weights amplify rounding more than trained ones, and CPUs without VNNI accumulate integers coarsely. Lost
    # scales would give differences of several hundred.
    assert 1e-4 < rounded["difference"] < 1.0
    assert 1e-4 < computed["difference"] < 10.0
    assert record["versions"]["ctranslate2"]
    export_to(folder, tmp_path / "float32", "ctranslate2")
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("int8", "float32")]
    assert sizes[0] < 0.6 * sizes[1]


def test_special_tokens_and_vocabulary(tmp_path):
    folder = small_folder(tmp_path / "ours", "seq2seq")
    export_to(folder, tmp_path / "exported", "ctranslate2")
    config = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert (config["eos_token"], config["unk_token"], config["decoder_start_token"]) == ("</s>", "<unk>", "<s>")
    assert not config["add_source_eos"]
    vocabulary = json.loads((tmp_path / "exported" / "shared_vocabulary.json").read_text())
    assert vocabulary == small_tokenizer("seq2seq").convert_ids_to_tokens(range(len(vocabulary)))


@pytest.mark.parametrize(
    ("stack", "fields", "message"),
    [
        ("decoder", {"type_vocab_size": 2}, r"type_vocab_size=2 .*0"),
        ("decoder", {"add_cross_attention": True}, r"add_cross_attention=True .*False"),
        ("seq2seq", {"lm_head_transform": True}, r"lm_head_transform=True .*False"),
        ("encoder", {"embedding_size": 16}, r"embedding_size=16 .*None or hidden_size"),
        ("seq2seq", {"hidden_act": "mish"}, r"hidden_act='mish' .*one of relu"),
        ("seq2seq", {"eos_token_id": [1, 2]}, r"eos_token_id=\[1, 2\] .*a single id"),
        ("seq2seq", {"decoder_start_token_id": None}, "decoder_start_token_id=None"),
    ],
)
def test_unsupported_fields_are_named(stack, fields, message, tmp_path):
    tokenizer = small_tokenizer(stack)
    with pytest.raises(ValueError, match=message):
        export_to(small_model(stack, tokenizer, **fields), tmp_path / "x", "ctranslate2", tokenizer=tokenizer)
    assert not list(tmp_path.iterdir())


def test_the_activation_of_the_pooler_is_named_if_there_is_a_pooler(tmp_path):
    tokenizer = small_tokenizer("encoder")
    masked = small_model("encoder", tokenizer, pooler_act="mish")
    with pytest.raises(ValueError, match=r"pooler_act='mish' .*one of relu"):
        export_to(VanillaEncoderModel(masked.config), tmp_path / "x", "ctranslate2", tokenizer=tokenizer)
    assert not list(tmp_path.iterdir())
    assert exact(export_to(masked, tmp_path / "masked", "ctranslate2", tokenizer=tokenizer))


def test_other_heads_and_models_without_a_tokenizer(tmp_path):
    tokenizer = small_tokenizer("decoder")
    classifier = VanillaDecoderForSequenceClassification(small_model("decoder", tokenizer).config)
    with pytest.raises(ValueError, match="VanillaDecoderForSequenceClassification"):
        export_to(classifier, tmp_path / "x", "ctranslate2", tokenizer=tokenizer)
    with pytest.raises(ValueError, match="tokenizer=None"):
        export_to(small_model("decoder"), tmp_path / "x", "ctranslate2")


@pytest.mark.parametrize("quantization", ["int8", "int16"])
def test_the_model_is_not_changed(quantization, tmp_path):
    tokenizer = small_tokenizer("decoder")
    model = small_model("decoder", tokenizer)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_to(model, tmp_path / "exported", "ctranslate2", tokenizer=tokenizer, quantization=quantization)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
