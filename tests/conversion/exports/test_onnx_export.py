"""Exports to ONNX by transformers' exporter, run by ONNX Runtime."""

import json

import pytest
import torch
import transformers

from hf_vanilla_transformer import VanillaEncoderForSequenceClassification, export_to
from hf_vanilla_transformer.commands.main import main
from tests.conversion.exports.small import small_folder, small_model, small_tokenizer

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)
if not hasattr(transformers.exporters, "ExportedModel"):
    pytest.skip("the exporter came with transformers 5.23", allow_module_level=True)


def exact(report):
    numbers, *tokens = report.checks
    assert numbers.difference <= 1e-4
    assert all(check.same == check.total for check in tokens)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"position_embedding_type": "sinusoidal"}], ids=["learned", "sinusoids"])
def test_a_decoder(fields, tmp_path, capsys):
    folder = small_folder(tmp_path / "ours", "decoder", **fields)
    assert main(["export", str(folder), "--output", str(tmp_path / "onnx"), "--to", "onnx"]) == 0
    printed = capsys.readouterr()
    assert "ONNX graphs prefill, decode" in printed.out
    assert "torch.onnx" not in printed.out + printed.err  # its progress is more than a hundred lines
    record = json.loads((tmp_path / "onnx" / "export_report.json").read_text())
    assert record["checks"][0]["difference"] <= 1e-4
    assert [check["same"] for check in record["checks"][1:]] == [check["total"] for check in record["checks"][1:]]
    names = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert names >= {"prefill.onnx", "decode.onnx", "model_config.json", "generation_config.json", "tokenizer.json"}
    assert "config.json" not in names and not any(name.endswith(".py") for name in names)


@pytest.mark.slow
def test_an_encoder_decoder(tmp_path):
    folder = small_folder(tmp_path / "ours", "seq2seq")
    report = export_to(folder, tmp_path / "onnx", "onnx")
    assert report.kind == "ONNX graphs encoder, prefill, decode"
    assert exact(report)


@pytest.mark.parametrize("segments", [pytest.param(2, marks=pytest.mark.slow), 0])
def test_an_encoder_and_its_heads(segments, tmp_path):
    tokenizer = small_tokenizer("encoder")
    masked = small_model("encoder", tokenizer, type_vocab_size=segments)
    assert exact(export_to(masked, tmp_path / "masked", "onnx", tokenizer=tokenizer))
    if segments:
        classifier = VanillaEncoderForSequenceClassification(masked.config).eval()
        report = export_to(classifier, tmp_path / "classifier", "onnx", tokenizer=tokenizer)
        assert report.kind == "ONNX graphs model"
        assert exact(report)


def test_onnxruntime_alone_runs_the_graph(tmp_path):
    import onnxruntime

    tokenizer = small_tokenizer("encoder")
    model = small_model("encoder", tokenizer)
    export_to(model, tmp_path / "onnx", "onnx", tokenizer=tokenizer)
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    batch = tokenizer(["Yes.", "Two children are playing in the snow."], padding=True, return_tensors="pt")
    names = {node.name for node in session.get_inputs()}
    outputs = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items() if name in names})
    with torch.no_grad():
        expected = model(**batch).logits
    kept = batch["attention_mask"].bool()
    torch.testing.assert_close(torch.from_numpy(outputs[0])[kept], expected[kept], rtol=0, atol=1e-4)
