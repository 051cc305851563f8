"""`hf-vanilla finetune` on the command line."""

import json
import re
import unicodedata

import pyarrow
import pytest
from pyarrow import parquet

from hf_vanilla_transformer.commands.main import main

from ..tiny_models import tiny_folder, tiny_tokenizer


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


def test_a_csv_file_becomes_a_fine_tuned_model(masked_lm, reviews, tmp_path, capsys, caplog):
    assert finetune(masked_lm, reviews, tmp_path / "run") == 0
    printed = capsys.readouterr().err
    assert "validation:" in printed and "trainable" in printed and 'pipeline("text-classification"' in printed
    assert "1 update in all is few" in caplog.text and "--training.num_train_epochs 16" in caplog.text
    assert json.loads((tmp_path / "run" / "results.json").read_text())["main_metric"] == "accuracy"
    before = (tmp_path / "run" / "results.json").read_text()
    assert finetune(masked_lm, reviews, tmp_path / "run") == 0
    assert str(tmp_path / "run") in (said := capsys.readouterr().err) and "is finished" in said
    assert main(["finetune", "--resume", str(tmp_path / "run")]) == 0
    assert "results.json" in capsys.readouterr().err
    assert (tmp_path / "run" / "results.json").read_text() == before


def test_a_dry_run_writes_nothing(masked_lm, reviews, tmp_path, capsys):
    assert finetune(masked_lm, reviews, tmp_path / "run", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "1 update in all is few" in printed and "--training.num_train_epochs 16" in printed
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


def test_answers_in_decomposed_korean_from_shards(tmp_path, capsys):
    """Hangul and their offsets as macOS writes them (NFD), in Parquet files with the names of the Hub."""
    contexts = ["서울은 한국의 수도이다.", "노인이 강가에서 책을 읽는다."]
    answers = [("한국의 수도는?", contexts[0], "서울"), ("누가 읽는가?", contexts[1], "노인")]
    rows = []
    for texts in answers:
        question, context, answer = (unicodedata.normalize("NFD", text) for text in texts)
        found = {"text": [answer], "answer_start": [context.index(answer)]}
        rows.append({"question": question, "context": context, "answers": found})
    folder = tmp_path / "data"
    folder.mkdir()
    table = pyarrow.Table.from_pylist(rows * 8)
    for shard in range(2):
        parquet.write_table(table.slice(8 * shard, 8), folder / f"train-{shard:05}-of-00002.parquet")
    parquet.write_table(table.slice(0, 4), folder / "validation-00000-of-00001.parquet")
    tokenizer = tiny_tokenizer("encoder", contexts + [question for question, _, _ in answers])
    base = tiny_folder(tmp_path / "base", "encoder", tokenizer, noise=0.0, layers=1)
    status = main(
        ["finetune", str(base), "--task", "question_answering", "--data.path", str(folder), "--output",
         str(tmp_path / "run"), "--rates.learning_rate", "2e-2", "--training.num_train_epochs", "20",
         "--evaluation.eval_steps", "1000", "--output.plot", "false"]
    )  # fmt: skip
    assert status == 0, capsys.readouterr().err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["run"]["train_rows"] == 16 and results["validation_exact_match"] == 1.0
    assert json.loads((tmp_path / "run" / "notes.json").read_text()) == []  # no span was counted as misplaced
    predictions = [json.loads(line) for line in (tmp_path / "run" / "predictions_validation.jsonl").open()]
    assert {one["predicted"] for one in predictions} == {row["answers"]["text"][0] for row in rows}
