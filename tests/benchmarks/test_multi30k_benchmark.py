"""The loop of Marian, the comparison with our runs, and the page of results, on toy data."""

import json

import numpy as np
import pytest
import yaml

from benchmarks import allocator, loss, multi30k, multi30k_ablation, multi30k_marian, report
from benchmarks.records import read_json, summary, write_json


@pytest.mark.slow
def test_marian_loop_trains_scores_and_averages(toy_data, tmp_path, monkeypatch):
    monkeypatch.setattr(multi30k_marian, "restart_tuned", lambda: None)
    output = tmp_path / "marian.json"
    arguments = ["--minutes", "0.02", "0.04", "--vocab-size", "300", "--beams", "2", "--max-tokens", "256"]
    arguments += [
        "--data",
        str(toy_data / "multi30k"),
        "--output",
        str(output),
        "--checkpoints",
        str(tmp_path / "runs"),
    ]
    multi30k_marian.main(arguments)
    record = read_json(output)
    assert record["complete"]
    names = [point["name"] for point in record["points"]]
    assert names[:2] == ["minute-0.02", "minute-0.04"]
    for point in record["points"]:
        assert point["steps"] > 0 and point["target_tokens"] > 0
        assert "tok:13a" in point["validation"]["signature"]
        assert point["test_2016_flickr"]["bleu"] >= 0
        assert (tmp_path / "runs" / f"{point['name']}.pt").is_file()


def test_batches_contain_each_row_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(3, 40, 500)
    made = multi30k_marian.batches(lengths, 256, np.random.default_rng(1))
    assert sorted(np.concatenate(made)) == list(range(500))
    assert all(len(rows) * lengths[rows].max() <= 256 for rows in made)


def test_missing_text_names_the_remedy(tmp_path):
    from benchmarks.corpora import load_multi30k

    with pytest.raises(FileNotFoundError, match="--data"):
        load_multi30k(tmp_path)


def marian_record() -> dict:
    points = [
        {
            "name": f"minute-{m}",
            "minutes": m,
            "steps": 100 * m,
            "target_tokens": 60_000 * m,
            "validation": {"bleu": b},
            "test_2016_flickr": {"bleu": b - 1},
        }
        for m, b in ((5, 29.5), (10, 34.8), (20, 38.0), (25, 39.4))
    ]
    return {"benchmark": "multi30k_marian", "points": points, "complete": True}


def our_run(folder, lowercase=False):
    folder.mkdir()
    recipe = {
        "tokenizer": {"lowercase": lowercase},
        "evaluation": {"bleu_tokenize": "13a", "num_beams": 1},
        "generation": {"num_beams": 5},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    lines = [{"step": 50, "epoch": 0.1, "tokens": 1, "training_seconds": 10.0, "loss": 5.0}]
    for minutes, bleu in ((2, 30.0), (5, 35.0), (9, 37.9)):
        seconds = 60.0 * minutes
        lines.append(
            {"step": 9 * minutes, "tokens": 7, "training_seconds": seconds, "eval_bleu": bleu, "eval_loss": 2.0}
        )
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    results = {"validation_bleu": 39.5, "test_bleu": 38.5, "training_seconds": 600.0, "steps": 90, "tokens": 900_000}
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_the_comparison_reports_when_each_side_reached_a_bleu(tmp_path, capsys):
    write_json(tmp_path / "marian.json", marian_record())
    run = our_run(tmp_path / "run")
    files = ["--marian", str(tmp_path / "marian.json"), "--output", str(tmp_path / "multi30k.json")]
    multi30k.main([*files, "--runs", str(run), "--plot", str(tmp_path / "multi30k.png")])
    record = read_json(tmp_path / "multi30k.json")
    minutes = {goal["bleu"]: (goal["marian"], goal["ours"]) for goal in record["reached"]}
    assert minutes == {29.5: (5, 2), 34.8: (10, 5), 38.0: (20, 10), 39.4: (25, 10)}
    assert (tmp_path / "multi30k.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "| Marian, minute-20 | 20.0 | 2,000 | 1,200,000 | 1,000 | 38.00 | 37.00 |" in printed
    assert "| ours, run | 10.0 | 90 | 900,000 | 1,500 | 39.50 | 38.50 |" in printed
    assert "| 38.0 | reference, 20 min | 20.0 | 10.0 | **0.50** | 1.50 | 1.33 |" in printed, "1.5 × 1.33 = 20 / 10"


def test_runs_on_other_text_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="lowercase=True"):
        multi30k.read_run(our_run(tmp_path / "run", lowercase=True))
    with pytest.raises(FileNotFoundError, match="--runs"):
        multi30k.read_run(tmp_path / "nothing")


def test_a_bleu_that_no_side_reached():
    assert multi30k.reached([(1.0, 10.0)], 20.0) is None
    record = multi30k.combine(marian_record(), {"short": {"points": [], "final": None}})
    assert "not reached" in multi30k.table(record)


def test_the_ablation_trains_missing_runs_and_reports_differences(tmp_path, monkeypatch, capsys):
    trained = []

    def train(minutes, folder, arguments):
        trained.append(arguments)
        folder.mkdir(parents=True)
        results = {
            "validation_bleu": 20.0 + len(trained), "validation_bleu_signature": "tok:13a", "validation_loss": 2.0,
            "steps": 10, "tokens": 6000, "training_seconds": 60.0 * minutes,
        }  # fmt: skip
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")

    monkeypatch.setattr(multi30k_ablation, "train", train)
    arguments = ["--folder", str(tmp_path / "runs"), "--output", str(tmp_path / "multi30k_ablation.json")]
    multi30k_ablation.main([*arguments, "--variants", "the recipe", "no dropout"])
    assert len(trained) == 2 and trained[1][-2:] == ["--model.config.dropout", "0.0"]
    assert "| no dropout | 22.00 | +1.00 | 10 | 40 |" in capsys.readouterr().out
    assert "+1.00" in report.sections(tmp_path)["multi30k_ablation"]
    multi30k_ablation.main([*arguments, "--variants", "the recipe", "--seeds", "2"])
    assert len(trained) == 3
    with pytest.raises(ValueError, match="no variant"):
        multi30k_ablation.main([*arguments, "--variants", "no variant"])


@pytest.mark.parametrize("variant", multi30k_ablation.VARIANTS)
def test_each_variant_changes_fields_of_the_recipe(variant, tmp_path):
    from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

    words = multi30k_ablation.overrides(variant)
    changes = [f"{field.removeprefix('--')}={value}" for field, value in zip(words[::2], words[1::2])]
    recipe = load_recipe(multi30k_ablation.RECIPE, changes)
    assert (recipe == load_recipe(multi30k_ablation.RECIPE)) == (not changes)


def test_the_loss_benchmark_measures_equal_losses(tmp_path, monkeypatch):
    monkeypatch.setitem(loss.CASES, "translation, vocabulary 10k", (512, 16, 20_000, 0.1))
    plain, chunked = (loss.measure(side, "translation, vocabulary 10k", 1) for side in loss.SIDES)
    assert chunked["loss"] == pytest.approx(plain["loss"], rel=1e-4)
    assert chunked["gradient_norms"] == pytest.approx(plain["gradient_norms"], rel=1e-4)


@pytest.mark.slow
def test_loss_command_writes_and_renders(tmp_path, capsys):
    arguments = ["--cases", "masked LM, vocabulary 16k", "--repeats", "1", "--steps", "1", "--allocators", "default"]
    loss.main([*arguments, "--output", str(tmp_path / "loss.json")])
    entry = read_json(tmp_path / "loss.json")["cases"]["masked LM, vocabulary 16k"]["default"]
    assert entry["chunked"]["memory"]["median"] < entry["plain"]["memory"]["median"]
    assert "614 × 256 → 16,000" in capsys.readouterr().out
    assert "614 × 256 → 16,000" in report.sections(tmp_path)["loss"]


def test_the_page_shows_the_records():
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.render(page, report.sections(report.RESULTS)) == page


def test_a_page_without_a_part_is_an_error(tmp_path):
    texts = report.sections(tmp_path)
    assert set(texts.values()) == {report.MISSING}
    with pytest.raises(ValueError, match="<!-- results: "):
        report.render("no parts", texts)


def test_check_fails_on_an_outdated_page(tmp_path):
    page = tmp_path / "page.md"
    parts = "\n".join(f"<!-- results: {name} -->\nold\n<!-- end: {name} -->" for name in report.sections(tmp_path))
    page.write_text(parts, encoding="utf-8")
    arguments = ["--results", str(tmp_path), "--page", str(page)]
    with pytest.raises(SystemExit, match=r"benchmarks\.report"):
        report.main([*arguments, "--check"])
    report.main(arguments)
    assert "old" not in page.read_text(encoding="utf-8")
    report.main([*arguments, "--check"])


def test_the_allocator_settings_equal_those_of_the_commands(monkeypatch):
    from hf_vanilla_transformer.commands.glibc_allocator import SETTINGS

    assert allocator.TUNED == SETTINGS
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    assert "MALLOC_MMAP_MAX_" not in allocator.environment("default")
    assert allocator.environment("tuned").items() >= SETTINGS.items()
    with pytest.raises(ValueError, match="best"):
        allocator.environment("best")


def test_empty_values_and_missing_records_are_errors(tmp_path):
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0, "values": [3.0, 1.0, 2.0]}
    with pytest.raises(ValueError, match="values"):
        summary([])
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        read_json(tmp_path / "absent.json")
