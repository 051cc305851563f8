"""Exports to GGUF, loaded by the gguf library and by transformers."""

import json

import numpy
import pytest

from hf_vanilla_transformer import VanillaDecoderForSequenceClassification, export_to
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.conversion.exports.samples import SENTENCES
from hf_vanilla_transformer.tokenization import train_tokenizer
from tests.conversion.exports.small import small_folder, small_model, small_tokenizer

gguf = pytest.importorskip("gguf")


def metadata(folder):
    reader = gguf.GGUFReader(folder / "model.gguf")
    return {name: field.contents() for name, field in reader.fields.items()}, {
        tensor.name: tensor for tensor in reader.tensors
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"intermediate_size": 128, "layer_norm_eps": 1e-6},
        {"position_embedding_type": "sinusoidal", "scale_embedding": True},
        {"tie_word_embeddings": False, "vocab_size": 310},
    ],
    ids=["gpt2", "width", "sinusoids", "untied"],
)
def test_the_file_computes_the_same(fields, tmp_path, capsys):
    folder = small_folder(tmp_path / "ours", "decoder", **fields)
    assert main(["export", str(folder), "--output", str(tmp_path / "gguf"), "--to", "gguf"]) == 0
    assert "GGUF, architecture gpt2, in float32" in capsys.readouterr().out
    record = json.loads((tmp_path / "gguf" / "export_report.json").read_text())
    weights, logits, texts = record["checks"]
    assert weights["difference"] == 0
    assert logits["difference"] <= 1e-4
    assert texts["same"] == texts["total"] == len(SENTENCES)


def test_metadata_and_tensors_of_the_file(tmp_path):
    tokenizer = small_tokenizer("decoder")
    model = small_model("decoder", tokenizer)
    export_to(model, tmp_path / "gguf", "gguf", tokenizer=tokenizer)
    fields, tensors = metadata(tmp_path / "gguf")
    assert fields["general.architecture"] == "gpt2"
    assert fields["gpt2.context_length"] == 96
    assert fields["gpt2.block_count"] == 2
    assert fields["gpt2.attention.layer_norm_epsilon"] == pytest.approx(1e-5)
    assert fields["tokenizer.ggml.model"] == "gpt2"
    assert fields["tokenizer.ggml.tokens"] == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    kinds = fields["tokenizer.ggml.token_type"]
    assert [number for number, kind in enumerate(kinds) if kind == gguf.TokenType.CONTROL] == [0, 1, 2, 3]
    assert fields["tokenizer.ggml.bos_token_id"] == tokenizer.bos_token_id
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert fields["tokenizer.ggml.add_bos_token"] and not fields["tokenizer.ggml.add_eos_token"]
    assert "output.weight" not in tensors
    query = model.model.layers[1].self_attn.q_proj.weight.detach().numpy()
    numpy.testing.assert_array_equal(tensors["blk.1.attn_qkv.weight"].data[:32], query)


def test_quantized_weights(tmp_path):
    tokenizer = small_tokenizer("decoder")
    model = small_model("decoder", tokenizer, intermediate_size=64)
    sizes = {}
    for quantization in ("float32", "float16", "q8_0"):
        folder = tmp_path / quantization
        report = export_to(model, folder, "gguf", tokenizer=tokenizer, quantization=quantization)
        sizes[quantization] = (folder / "model.gguf").stat().st_size
        assert report.checks[0].difference < 0.02
        assert report.checks[1].difference < 0.5
    assert sizes["float32"] > sizes["float16"] > sizes["q8_0"]
    with pytest.raises(ValueError, match=r"intermediate_size=48 .*a multiple of 32"):
        export_to(small_model("decoder", tokenizer), tmp_path / "x", "gguf", tokenizer=tokenizer, quantization="q8_0")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_act": "relu"}, r"hidden_act='relu' .*'gelu_new'"),
        ({"norm_first": False}, r"norm_first=False .*True"),
        ({"lm_head_bias": True}, r"lm_head_bias=True .*False"),
        ({"eos_token_id": [1, 2]}, r"eos_token_id=\[1, 2\] .*a single id"),
    ],
)
def test_unsupported_fields_are_named(fields, message, tmp_path):
    tokenizer = small_tokenizer("decoder")
    with pytest.raises(ValueError, match=message):
        export_to(small_model("decoder", tokenizer, **fields), tmp_path / "x", "gguf", tokenizer=tokenizer)
    assert not list(tmp_path.iterdir())


def test_other_heads_and_other_tokenizers(tmp_path):
    tokenizer = small_tokenizer("decoder")
    model = small_model("decoder", tokenizer)
    classifier = VanillaDecoderForSequenceClassification(model.config)
    with pytest.raises(ValueError, match="VanillaDecoderForSequenceClassification"):
        export_to(classifier, tmp_path / "x", "gguf", tokenizer=tokenizer)
    with pytest.raises(ValueError, match="tokenizer=None"):
        export_to(model, tmp_path / "x", "gguf")
    for kind, message in (("unigram", "Unigram"), ("bpe", "splits text by")):
        other = train_tokenizer(SENTENCES, kind=kind, vocab_size=280, template="decoder", min_frequency=1)
        with pytest.raises(ValueError, match=message):
            export_to(small_model("decoder", other), tmp_path / "x", "gguf", tokenizer=other)
    lowercase = train_tokenizer(SENTENCES, vocab_size=280, template="decoder", min_frequency=1, lowercase=True)
    with pytest.raises(ValueError, match="Sequence"):
        export_to(small_model("decoder", lowercase), tmp_path / "x", "gguf", tokenizer=lowercase)
