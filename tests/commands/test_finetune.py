"""`hf-vanilla finetune` on the command line."""

import json
import re

import pytest

from hf_vanilla_transformer.commands.main import main


@pytest.fixture
def reviews(tmp_path):
    rows = ["a good film,pos", "a bad film,neg"] * 10
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def finetune(parent, reviews, output, *options):
    return main(
        ["finetune", str(parent), "--task", "classification", "--data.path", str(reviews), "--output", str(output),
         "--training.num_train_epochs", "1", "--output.plot", "false", *options]
    )  # fmt: skip


def test_a_csv_file_becomes_a_fine_tuned_model(masked_lm, reviews, tmp_path, capsys):
    assert finetune(masked_lm, reviews, tmp_path / "run") == 0
    printed = capsys.readouterr().err
    assert "validation:" in printed and "trainable" in printed and 'pipeline("text-classification"' in printed
    assert json.loads((tmp_path / "run" / "results.json").read_text())["main_metric"] == "accuracy"
    before = (tmp_path / "run" / "results.json").read_text()
    assert finetune(masked_lm, reviews, tmp_path / "run") == 0
    assert str(tmp_path / "run") in (said := capsys.readouterr().err) and "is finished" in said
    assert main(["finetune", "--resume", str(tmp_path / "run")]) == 0
    assert "results.json" in capsys.readouterr().err
    assert (tmp_path / "run" / "results.json").read_text() == before


def test_a_dry_run_writes_nothing(masked_lm, reviews, tmp_path, capsys):
    assert finetune(masked_lm, reviews, tmp_path / "run", "--dry-run") == 0
    assert "updates" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_fields_are_listed(capsys):
    assert main(["finetune", "--fields"]) == 0
    listed = capsys.readouterr().out
    for name in (
        "rates.layerwise_lr_decay",
        "unfreezing.mode",
        "head.pooling",
        "backbone.train",
        "data.max_labels",
        "backward_base_model",
    ):
        assert name in listed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rates.layerwise_decay", "2"], r"rates\.layerwise_decay.*'rates\.layerwise_lr_decay'"),
        (["--task", "clasification"], "task .*'clasification'.*'classification'"),
        (["--head.pooling", "max"], r"head\.pooling .*'max'"),
        (["--unfreezing.mode", "gradual", "--backbone.train", "frozen"], r"unfreezing\.mode='gradual'.*'frozen'"),
        (["--set", "from_scratch=true", "--backbone.train", "lora"], r"from_scratch=true.*backbone\.train='lora'"),
        (["--rates.layerwise_lr_decay", "0.5"], r"rates\.layerwise_lr_decay .*at least 1.*0\.5"),
        (["--data.path", "nowhere.csv"], r"nowhere\.csv"),
        (
            ["--text_length.overlap", "20", "--text_length.max_tokens", "16"],
            r"text_length\.overlap=20.*text_length\.max_tokens=16.*at most 8",
        ),
        (["--comparison.start", "before"], r"recipe\.yaml"),
    ],
)
def test_mistakes_are_reported_before_the_work(masked_lm, reviews, tmp_path, capsys, options, message):
    assert finetune(masked_lm, reviews, tmp_path / "run", *options) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_a_base_model_is_needed(capsys):
    assert main(["finetune", "--task", "classification"]) == 2
    assert "BASE_MODEL" in capsys.readouterr().err
