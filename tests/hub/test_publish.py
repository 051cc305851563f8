"""`hf-vanilla publish`: dry run, upload to a local Hub and download, and `push_to_hub` of transformers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from hf_vanilla_transformer import models
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.hub import auto_map
from hf_vanilla_transformer.models.registration import AUTO_CLASSES

from .loopback import TOKEN, Fault, LoopbackHub
from .tiny import STACKS, model_for, tokenizer_for

CODE = {path.name for path in Path(models.__file__).parent.glob("*_vanilla*.py")}
MODEL = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
RESULTS = {
    "test_loss": 2.5,
    "test_bleu": 12.5,
    "test_bleu_signature": "nrefs:1|tok:13a",
    "steps": 100,
    "tokens": 12345,
    "training_seconds": 3725.0,
    "hardware": "2 cores of a machine",
    "finished": "2026-11-21",
}
RECIPE = """task: translation
description: Learns five sentences.
model: {start_from: null}
data: {path: /home/somebody/corpus, source: en, target: fr}
output: {output_dir: ~/runs/tiny}
"""


@pytest.fixture
def run(tmp_path):
    """A folder like the output of `hf-vanilla train`."""
    folder = tmp_path / "run"
    tokenizer = tokenizer_for("seq2seq")
    model_for("seq2seq", tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "results.json").write_text(json.dumps(RESULTS))
    (folder / "metrics.jsonl").write_text('{"step": 1}\n')
    (folder / "curves.png").write_bytes(b"\x89PNG")
    (folder / "test.translations.txt").write_text("la la\n")
    (folder / "checkpoints").mkdir()
    return folder


@pytest.mark.parametrize("stack", STACKS)
def test_save_pretrained_writes_code_and_auto_map(stack, tmp_path):
    model = model_for(stack, tokenizer_for(stack))
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.glob("*.py")} == CODE
    saved = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert saved == auto_map(model.config)
    assert set(saved) == {"AutoConfig", *AUTO_CLASSES[type(model.config)]}
    assert not hasattr(model.config, "auto_map"), "saving changed the configuration in memory"
    again = type(model).from_pretrained(tmp_path).config.to_dict()
    assert again | {"_name_or_path": ""} == model.config.to_dict() | {"_name_or_path": ""}


def test_a_foreign_configuration_gets_no_auto_map(tmp_path):
    from hf_vanilla_transformer import VanillaEncoderConfig

    class Theirs(VanillaEncoderConfig):
        model_type = "theirs"

    Theirs().save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())


def test_a_dry_run_writes_the_files_to_publish(run, tmp_path, capsys):
    before = {path.name for path in run.iterdir()}
    assert main(["publish", str(run), "someone/tiny", "--dry-run", "--license", "cc-by-4.0"]) == 0
    printed = capsys.readouterr().out
    written = tmp_path / "run-to-publish"
    names = {path.name for path in written.iterdir()}
    run_files = {"README.md", "card.yaml", "recipe.yaml", "results.json", "metrics.jsonl", "curves.png"}
    assert names == MODEL | CODE | run_files | {"generation_config.json"}
    assert all(name in printed for name in names) and "nothing was uploaded" in printed
    assert {path.name for path in run.iterdir()} == before

    recipe = yaml.safe_load((written / "recipe.yaml").read_text())
    assert recipe["data"]["path"] == "corpus" and recipe["output"]["output_dir"] == "tiny", "a local path is published"
    card = ModelCard.load(written / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.language == ["en", "fr"]
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("bleu", 12.5, "test")
    assert result.metric_args == {"signature": "nrefs:1|tok:13a", "date": "2026-11-21"}
    for expected in (
        "Learns five sentences.",
        "1 h 02 min",
        "12,345",
        "2 cores of a machine",
        "someone/tiny",
        "2026-11-21",
    ):
        assert expected in card.text
    assert "home/somebody" not in "".join(path.read_text(errors="replace") for path in written.iterdir())


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_and_tokenizer_are_published_unchanged(stack, dtype, tmp_path):
    tokenizer = tokenizer_for(stack)
    model_for(stack, tokenizer).to(dtype).save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    arguments = ["publish", str(tmp_path / "saved"), "someone/tiny", "--dry-run", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--license", "none"]) == 0
    for name in MODEL | CODE:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "saved" / name).read_bytes(), name


def test_a_transformers_class_needs_no_code(run, tmp_path):
    arguments = [
        "publish",
        str(run),
        "someone/tiny",
        "--dry-run",
        "--output",
        str(tmp_path / "transformers"),
        "--transformers-class",
    ]
    assert main([*arguments, "--license", "none"]) == 0
    names = {path.name for path in (tmp_path / "transformers").iterdir()}
    assert names >= MODEL and not names & CODE
    config = json.loads((tmp_path / "transformers/config.json").read_text())
    assert config["architectures"] == ["MarianMTModel"] and "auto_map" not in config
    card = ModelCard.load(tmp_path / "transformers/README.md")
    assert "trust_remote_code" not in card.text and "MarianMTModel" in card.text
    assert "MarianMTModel counts columns" in card.text and "Pad on the right." in card.text
    assert card.data.license is None and "license of these weights is unknown" in card.text


def test_the_license_is_asked_for_and_never_guessed(run, capsys, monkeypatch):
    assert main(["publish", str(run), "someone/tiny", "--dry-run"]) == 2
    assert "--license" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "MIT")
    assert main(["publish", str(run), "someone/tiny", "--dry-run"]) == 0
    assert ModelCard.load(run.with_name("run-to-publish") / "README.md").data.license == "mit"


def test_the_card_can_be_changed_or_replaced(run, tmp_path):
    target = tmp_path / "out"
    arguments = ["publish", str(run), "someone/tiny", "--dry-run", "--output", str(target)]
    changes = [
        "--set",
        "limitations=Five sentences.",
        "--set",
        "languages=en, de",
        "--set",
        "base_model=someone/base",
    ]
    assert main([*arguments, "--license", "mit", *changes]) == 0
    card = ModelCard.load(target / "README.md")
    assert card.data.language == ["en", "de"] and card.data.base_model == "someone/base"
    assert "Five sentences." in card.text and "started from `someone/base`" in card.text
    # card.yaml keeps the content, so the written folder can be published again.
    assert main(["publish", str(target), "someone/other", "--dry-run", "--output", str(tmp_path / "again")]) == 0
    again = ModelCard.load(tmp_path / "again/README.md")
    assert again.data.license == "mit" and "Five sentences." in again.text and "# someone/other" in again.text

    (tmp_path / "mine.md").write_text("---\nlicense: mit\n---\nMine.\n")
    assert main([*arguments, "--card", str(tmp_path / "mine.md")]) == 0
    assert (target / "README.md").read_text() == "---\nlicense: mit\n---\nMine.\n"


def test_card_writes_a_file_and_its_pictures(run, tmp_path, capsys):
    assert main(["card", str(run), "--output", str(tmp_path / "cards/tiny.md"), "--license", "mit"]) == 0
    assert sorted(path.name for path in (tmp_path / "cards").iterdir()) == ["tiny-curves.png", "tiny.md"]
    assert "](tiny-curves.png)" in (tmp_path / "cards/tiny.md").read_text()
    assert "tiny.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "{run}", "tiny", "--license", "mit"], "repository='tiny'"),
        (["publish", "{run}/checkpoints", "someone/tiny", "--license", "mit"], "There is no config.json in"),
        (["publish", "{run}/nowhere", "someone/tiny"], "There is no folder"),
        (["publish", "{run}", "someone/tiny", "--dry-run", "--license", "mit", "--set", "colour=red"], "colour=red"),
        (["publish", "{run}", "someone/tiny", "--dry-run", "--card", "{run}/none.md"], "none.md"),
        (
            ["publish", "{run}", "someone/tiny", "--dry-run", "--output", "{run}", "--license", "mit"],
            "/run is not empty",
        ),
    ],
)
def test_bad_arguments(run, arguments, message, capsys):
    assert main([argument.replace("{run}", str(run)) for argument in arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="links need privileges on Windows")
@pytest.mark.parametrize("name", ["leak.png", "metrics.jsonl", "results.json", "recipe.yaml"])
def test_private_files_are_not_published_through_links(name, run, tmp_path, capsys):
    (tmp_path / "private").write_text('{"password": "secret"}')
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(tmp_path / "private")
    for command in (["publish", str(run), "someone/tiny", "--dry-run"], ["card", str(run)]):
        arguments = [*command, "--output", str(tmp_path / "out" / "card.md"), "--license", "mit"]
        assert main(arguments) == 2
        assert f"{name} is a link to {tmp_path / 'private'}, outside of the folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_incomplete_weights_are_not_published(run, capsys):
    from safetensors.torch import load_file, save_file

    weights = load_file(run / "model.safetensors")
    lost = next(name for name in weights if "fc1" in name)
    del weights[lost]
    save_file(weights, run / "model.safetensors", metadata={"format": "pt"})
    assert main(["publish", str(run), "someone/tiny", "--dry-run", "--license", "mit"]) == 2
    assert f"lack {lost}, which config.json requires" in capsys.readouterr().err


# Runs in its own process, because huggingface_hub reads the address of the Hub when it is imported.
CLIENT = """
import sys
run, work = sys.argv[1:]
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, Trainer, TrainingArguments
from hf_vanilla_transformer.commands.main import main
import torch

print("first", main(["publish", run, "someone/tiny", "--license", "mit"]))
print("second", main(["publish", run, "someone/tiny", "--license", "mit"]))
print("third", main(["publish", run, "someone/tiny", "--license", "mit"]))
arguments = ["--license", "mit", "--transformers-class", "--private"]
print("transformers", main(["publish", run, "someone/transformers", *arguments]))
ours = AutoModelForSeq2SeqLM.from_pretrained(run).eval()
ids = torch.tensor([[5, 6, 7]])
with torch.no_grad():
    logits = ours(input_ids=ids, decoder_input_ids=ids).logits
    for name in ("someone/tiny", "someone/transformers"):
        loaded = AutoModelForSeq2SeqLM.from_pretrained(name).eval()
        torch.testing.assert_close(loaded(input_ids=ids, decoder_input_ids=ids).logits, logits, atol=1e-5, rtol=0)
        print("loaded", name, type(loaded).__name__)
tokenizer = AutoTokenizer.from_pretrained("someone/tiny")
ours.push_to_hub("someone/pushed")
arguments = TrainingArguments(
    output_dir=work + "/trained", push_to_hub=True, hub_model_id="someone/trained", max_steps=1, report_to="none",
    use_cpu=True, save_strategy="no", disable_tqdm=True,
)
row = {"input_ids": [5, 6], "labels": [6, 5]}
trainer = Trainer(ours, arguments, train_dataset=[row] * 8, processing_class=tokenizer)
trainer.train()
trainer.push_to_hub()
"""


def test_from_the_folder_to_the_hub_and_back(run, tmp_path):
    with LoopbackHub() as hub:
        hub.faults.append(Fault("POST", "/commit/", 503))
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(run), str(tmp_path)],
            env={
                **os.environ,
                "HF_ENDPOINT": hub.url,
                "HF_TOKEN": TOKEN,
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_OFFLINE": "0",
                # The local Hub does not support Xet.
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "NO_PROXY": "127.0.0.1",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    for line in ("first 1", "second 0", "third 0", "transformers 0", "loaded someone/transformers MarianMTModel"):
        assert line in done.stdout.splitlines(), done.stdout + done.stderr[-3000:]
    assert "loaded someone/tiny VanillaTransformerForConditionalGeneration" in done.stdout
    assert "HTTP 503" in done.stderr and "Traceback" not in done.stderr
    assert "already published" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert "HTTP Request" not in done.stderr and f"{hub.url}/api" not in done.stderr

    assert [commit.message for commit in hub.repositories["someone/tiny"].commits][1:] == ["Publish the model"]
    assert not hub.repositories["someone/tiny"].private and hub.repositories["someone/transformers"].private
    assert not hub.visible("someone/transformers") & CODE
    for name, needed in (("pushed", MODEL - {"tokenizer.json", "tokenizer_config.json"}), ("trained", MODEL)):
        assert needed | CODE <= hub.visible(f"someone/{name}"), name
        config = json.loads(hub.repositories[f"someone/{name}"].head.files["config.json"])
        assert set(config["auto_map"]) == {
            "AutoConfig",
            "AutoModel",
            "AutoModelForSeq2SeqLM",
            "AutoModelForSpeechSeq2Seq",
        }
