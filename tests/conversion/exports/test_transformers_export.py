"""Exports to transformers' own classes: whole folders, which load without our package and compute the same."""

import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoTokenizer

from hf_vanilla_transformer import VanillaEncoderForMaskedLM, VanillaEncoderModel, export_to
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.conversion.exports import to_transformers as target
from tests.conversion.exports.small import small_folder, small_model, small_tokenizer

CASES = {
    "encoder": ("encoder", {}, "BertForMaskedLM", "AutoModelForMaskedLM"),
    "roberta": ("encoder", {"positions_from_mask": True}, "RobertaForMaskedLM", "AutoModelForMaskedLM"),
    "decoder": ("decoder", {}, "GPT2LMHeadModel", "AutoModelForCausalLM"),
    "opt": ("decoder", {"positions_from_mask": True}, "OPTForCausalLM", "AutoModelForCausalLM"),
    "sinusoids": (
        "decoder",
        {"position_embedding_type": "sinusoidal", "scale_embedding": True},
        "GPT2LMHeadModel",
        "AutoModelForCausalLM",
    ),
    "seq2seq": ("seq2seq", {}, "MarianMTModel", "AutoModelForSeq2SeqLM"),
    "bart": ("seq2seq", {"layernorm_embedding": True}, "BartForConditionalGeneration", "AutoModelForSeq2SeqLM"),
    "m2m100": (
        "seq2seq",
        {"norm_first": True, "position_embedding_type": "sinusoidal_t2t", "position_offset": 1},
        "M2M100ForConditionalGeneration",
        "AutoModelForSeq2SeqLM",
    ),
}
# What the receiver does, in a process that never hears of our package.
RECEIVER = """
import sys, torch, transformers
folder, auto_class = sys.argv[1:]
model = getattr(transformers, auto_class).from_pretrained(folder).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
batch = tokenizer(["Two dogs .", "A woman opens the letter ."], padding=True, padding_side="right", return_tensors="pt")
batch.pop("token_type_ids", None)
if model.config.is_encoder_decoder:
    batch["decoder_input_ids"] = batch["input_ids"]
with torch.no_grad():
    torch.save(model(**batch).logits, folder + "/logits.pt")
assert not [name for name in sys.modules if name.startswith("hf_vanilla_transformer")]
print(type(model).__name__)
"""


@pytest.mark.parametrize("case", CASES)
def test_the_exported_folder_computes_the_same(case, tmp_path, capsys):
    stack, fields, kind, _ = CASES[case]
    folder = small_folder(tmp_path / "ours", stack, **fields)
    assert main(["export", str(folder), "--output", str(tmp_path / "transformers")]) == 0
    printed = capsys.readouterr().out
    assert f"exported as {kind}" in printed
    record = json.loads((tmp_path / "transformers" / "export_report.json").read_text())
    assert record["kind"] == kind
    assert record["checks"][0]["difference"] <= 1e-4
    for check in record["checks"][1:]:
        assert check["same"] == check["total"] == 12
    assert len(record["checks"]) == (1 if stack == "encoder" else 3)
    # The small encoders and decoders count columns for positions; the encoder-decoders count tokens without padding.
    noted = stack == "seq2seq" and kind != "M2M100ForConditionalGeneration"
    assert any("counts columns" in note for note in record["notes"]) == noted
    saved = json.loads((tmp_path / "transformers" / "config.json").read_text())
    assert "auto_map" not in saved
    assert not list((tmp_path / "transformers").glob("*.py"))
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "transformers")("a dog")["input_ids"]
        == small_tokenizer(stack)("a dog")["input_ids"]
    )


@pytest.mark.parametrize(
    "case",
    [pytest.param("encoder", marks=pytest.mark.slow), pytest.param("decoder", marks=pytest.mark.slow), "seq2seq"],
)
def test_the_export_loads_without_our_package(case, tmp_path):
    stack, fields, kind, auto_class = CASES[case]
    tokenizer = small_tokenizer(stack)
    model = small_model(stack, tokenizer, **fields)
    folder = tmp_path / "transformers"
    export_to(model, folder, "transformers", tokenizer=tokenizer)
    answer = subprocess.run(
        [sys.executable, "-I", "-c", RECEIVER, str(folder), auto_class],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert answer.stdout.strip() == kind
    texts = ["Two dogs .", "A woman opens the letter ."]
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    batch.pop("token_type_ids", None)
    if stack == "seq2seq":
        batch["decoder_input_ids"] = batch["input_ids"]
    with torch.no_grad():
        expected = model(**batch).logits
    difference = (torch.load(folder / "logits.pt", weights_only=True) - expected)[batch["attention_mask"].bool()]
    assert float(difference.abs().max()) <= 2e-5


def test_a_family_can_be_requested(tmp_path):
    folder = small_folder(tmp_path / "ours", "decoder")
    assert export_to(folder, tmp_path / "opt", family="opt").kind == "OPTForCausalLM"
    with pytest.raises(ValueError, match=r"family='bert'.*vanilla_decoder"):
        export_to(folder, tmp_path / "bert", family="bert")
    assert not (tmp_path / "bert").exists()


def test_an_unsupported_field_is_named_and_nothing_is_written(tmp_path, capsys):
    folder = small_folder(tmp_path / "ours", "decoder", type_vocab_size=2)
    assert main(["export", str(folder), "--output", str(tmp_path / "transformers")]) == 2
    assert "type_vocab_size=2 " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours"]


def test_without_a_tokenizer_random_tokens_are_compared(tmp_path):
    report = export_to(small_model("encoder"), tmp_path / "transformers")
    assert report.compared_on == "8 rows of random tokens"
    with pytest.raises(ValueError, match="sentences="):
        export_to(small_model("encoder"), tmp_path / "other", sentences=["one"])


def test_given_sentences(tmp_path, capsys):
    folder = small_folder(tmp_path / "ours", "seq2seq")
    (tmp_path / "lines.txt").write_text("one dog\n\ntwo dogs\n", encoding="utf-8")
    arguments = ["export", str(folder), "--output", str(tmp_path / "transformers"), "--verify-with"]
    assert main([*arguments, str(tmp_path / "lines.txt")]) == 0
    assert "compared with the model on 2 given sentences" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "missing.txt"), "--overwrite"]) == 2
    assert "missing.txt" in capsys.readouterr().err


def test_an_earlier_export_is_replaced_only_with_overwrite(tmp_path):
    model = small_model("encoder")
    export_to(model, tmp_path / "transformers")
    export_to(model, tmp_path / "transformers")  # with the same content
    other = small_model("encoder", seed=1)
    with pytest.raises(ValueError, match=r"/transformers'.*overwrite"):
        export_to(other, tmp_path / "transformers")
    export_to(other, tmp_path / "transformers", overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="/other' is not empty"):
        export_to(model, tmp_path / "other", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "transformers"]


def test_an_export_with_other_outputs_is_not_written(tmp_path, monkeypatch):
    def wrong(model, family):
        exported = to_transformers(model, family)
        with torch.no_grad():
            exported.get_input_embeddings().weight[5] += 1
        return exported

    to_transformers = target.to_transformers
    monkeypatch.setattr(target, "to_transformers", wrong)
    tokenizer = small_tokenizer("encoder")
    with pytest.raises(ValueError, match=r"BertForMaskedLM .*outputs in float32: largest difference"):
        export_to(small_model("encoder", tokenizer), tmp_path / "transformers", tokenizer=tokenizer)
    assert not list(tmp_path.iterdir())


def test_all_heads_of_the_encoder_are_compared(tmp_path):
    config = small_model("encoder").config
    for model in (VanillaEncoderModel(config), VanillaEncoderForMaskedLM(config)):
        assert export_to(model, tmp_path / type(model).__name__).checks[0].passed
        assert model.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "tensorflow"}, "to='tensorflow'"),
        ({"quantization": "int3"}, r"quantization='int3' .*to='transformers'"),
    ],
)
def test_invalid_arguments_are_named(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_to(small_model("encoder"), tmp_path / "transformers", **arguments)


def test_folders_without_a_model_of_ours_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        export_to(tmp_path / "nowhere", tmp_path / "transformers")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        export_to(tmp_path / "empty", tmp_path / "transformers")
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(ValueError, match="model_type='bert'"):
        export_to(tmp_path / "empty", tmp_path / "transformers")
