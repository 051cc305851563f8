"""The report of a fine-tuned model: its numbers come from the records, and its pictures are drawn beside it."""

import re

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.image import imread

from hf_vanilla_transformer.reports import fonts, task_pictures
from hf_vanilla_transformer.reports.markdown import cell
from hf_vanilla_transformer.reports.task_pictures import plot_history, plot_tree
from hf_vanilla_transformer.reports.task_report import ReportRecords, kind_of, write_report

HISTORY = [{"step": 10 * i, "loss": 1.0 / i, "learning_rate": 1e-3} for i in range(1, 9)] + [
    {"step": 40, "eval_loss": 0.5, "eval_accuracy": 0.7},
    {"step": 80, "eval_loss": 0.4, "eval_accuracy": 0.8},
]


def classified(names=("neg", "pos"), rows=200, seed=0):
    draw = np.random.default_rng(seed)
    records = []
    for number in range(rows):
        probabilities = draw.dirichlet(np.ones(len(names)))
        predicted = names[int(probabilities.argmax())]
        gold = predicted if draw.uniform() < 0.8 else names[int(draw.integers(len(names)))]
        records.append(
            {
                "text": f"review {number}: a | bar, <br /> and *stars*\nin two lines",
                "gold": gold,
                "predicted": predicted,
                "probability": float(probabilities.max()),
                "probabilities": dict(zip(names, probabilities.tolist())),
            }
        )
    return records


def report_of(folder, kind, predictions, **fields):
    fields = {"title": "t", "kind": kind, "metric": "accuracy", "metrics": {}, "predictions": predictions, **fields}
    text = write_report(folder, ReportRecords(**fields)).read_text(encoding="utf-8")
    for name in re.findall(r"\]\((report-[\w-]+\.png)\)", text):
        assert imread(folder / name).shape[0] > 100, name
    return text


def sections(text):
    return re.findall(r"^## (.*)$", text, re.M)


def test_a_report_on_classes(tmp_path):
    predictions = classified()
    text = report_of(
        tmp_path,
        "classes",
        {"validation": classified(seed=1), "test": predictions},
        metrics={"validation_accuracy": 0.81, "test_accuracy": 0.8, "test_loss": 0.5, "steps": 80},
        history=HISTORY,
        labels=["neg", "pos"],
        facts={"base model": "`encoder`", "command": "`hf-vanilla finetune`", "nothing": ""},
        trainable="from update  trainable\n0  head",
        unfrozen={40: "layer 3"},
        notes=["labels of test: 2 of 202 rows left out\n  place test:3"],
    )
    assert sections(text) == [
        "Learning curves",
        "Classes",
        "Confusion matrix",
        "Calibration",
        "Most confident errors",
        "Trainable parameters over time",
        "Notes on the data",
    ]
    tp = sum(one["gold"] == one["predicted"] for one in predictions)
    assert f"{tp} of 200 rows are correct" in text and "| **accuracy** | 0.81 | 0.8 |" in text and "nothing" not in text
    wrong = [one for one in predictions if one["gold"] != one["predicted"]]
    surest = max(wrong, key=lambda one: one["probability"])
    first = next(line for line in text.splitlines() if "review" in line)
    assert f"{surest['probability']:.1%}" in first and cell(surest["text"]) in first
    assert first.count(" | ") == 3 and "<br" not in first  # the text is escaped
    precision = sum(one["gold"] == "neg" for one in predictions if one["predicted"] == "neg")
    precision /= sum(one["predicted"] == "neg" for one in predictions)
    assert f"| neg | {precision:.3f} |" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report-calibration.png", "report-confusion.png", "report-history.png", "report.md",
    ]  # fmt: skip
    # A second report replaces the first.
    assert "Learning curves" not in report_of(
        tmp_path, "classes", {"test": [one for one in predictions if one not in wrong]}
    )
    assert "All of" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_many_classes_have_a_table_instead_of_a_matrix(tmp_path):
    text = report_of(tmp_path, "classes", {"test": classified([f"class {n}" for n in range(40)])})
    assert "Most confused classes" in sections(text) and not (tmp_path / "report-confusion.png").exists()


def test_a_report_on_several_classes(tmp_path):
    names = ["a", "b", "c"]
    draw = np.random.default_rng(0)
    records = []
    for _ in range(50):
        scores = draw.uniform(0, 1, 3)
        predicted = [name for name, score in zip(names, scores) if score >= 0.5]
        gold = [name for name in names if draw.uniform() < 0.5]
        records.append(
            {
                "text": "x",
                "gold": gold,
                "predicted": predicted,
                "probability": 0.5,
                "probabilities": dict(zip(names, scores)),
            }
        )
    assert kind_of(records) == "several_classes"
    text = report_of(tmp_path, "several_classes", {"test": records}, labels=names)
    assert "150 decisions" in text and "Confusion matrix" not in sections(text)


def test_a_report_on_numbers(tmp_path):
    records = [{"text": f"t{n}", "gold": n / 10, "predicted": n / 10 + (n == 7)} for n in range(30)]
    assert kind_of(records) == "number"
    text = report_of(tmp_path, "number", {"validation": records}, metric="pearson")
    assert (tmp_path / "report-numbers.png").is_file()
    assert "| 1.7 | 0.7 | t7 |" in text.split("Largest errors")[1].splitlines()[4]


def test_a_report_on_tags(tmp_path):
    records = [
        {
            "text": ["the", "dog", "barks"],
            "gold": ["DET", "NOUN", "VERB"],
            "predicted": ["DET", "VERB" if n % 2 else "NOUN", "VERB"],
            "extra": {"probabilities": [0.9, 0.6, 0.8]},
        }
        for n in range(10)
    ]
    assert kind_of(records) == "tags"
    text = report_of(tmp_path, "tags", {"test": records})
    rows = [line for line in text.splitlines() if line.startswith(("| DET", "| NOUN", "| VERB"))]
    assert [row.split(" | ")[0] for row in rows] == ["| NOUN", "| VERB", "| DET"]  # worst first
    assert "| NOUN | 1.000 | 0.500 | 0.667 | 10 |" in text and "83.3% have the correct tag" in text
    assert "dog (**VERB**, NOUN)" in text and "30 decisions" in text
    with pytest.raises(ValueError, match="2 predicted and 3 gold tags"):
        report_of(tmp_path, "tags", {"test": [{**records[0], "predicted": ["DET", "VERB"]}]})


def trees(words, gold, predicted):
    return {
        "text": words,
        "gold": {"heads": gold[0], "relations": gold[1]},
        "predicted": {"heads": predicted[0], "relations": predicted[1]},
    }


def test_a_report_on_trees(tmp_path):
    words = ["The", "old", "dog", "barks", "loudly"]
    relations = ["det", "amod", "nsubj", "root", "advmod"]
    gold = ([3, 3, 4, 0, 4], relations)
    records = [
        trees(words, gold, ([3, 3, 4, 0, 3], relations)),
        trees(words, gold, ([3, 3, 4, 0, 4], ["det", "det", "nsubj", "root", "advmod"])),
        trees(words, gold, gold),
    ] * 3
    assert kind_of(records) == "trees"
    text = report_of(tmp_path, "trees", {"test": records}, metric="las")
    assert "| advmod | 0.667 | 0.667 | 9 |" in text and "| amod | 1.000 | 0.667 | 9 |" in text
    assert text.count("report-tree-") == 4
    with pytest.raises(ValueError, match="4 arcs for 5 words"):
        plot_tree(words, [(0, "root")] * 4, [(0, "root")] * 5, tmp_path / "t.png")
    with pytest.raises(ValueError, match="head 6"):
        plot_tree(words, [(0, "root")] * 5, [(6, "root")] * 5, tmp_path / "t.png")


def test_a_report_on_texts(tmp_path):
    records = [{"text": ["a question", "a long text"], "gold": "this", "predicted": "that", "probability": 0.3}]
    assert kind_of(records) == "text"
    assert "| that | this | a question — a long text |" in report_of(tmp_path, "text", {"test": records})


def test_korean_names_are_drawn_or_numbered(tmp_path, monkeypatch):
    predictions = classified(("긍정", "부정"))
    if fonts.families_for(["긍정"]) is None:
        text = report_of(tmp_path, "classes", {"test": predictions})
        assert "1 긍정, 2 부정" in text and "fonts-nanum" in text
    else:
        assert "No font" not in report_of(tmp_path, "classes", {"test": predictions})
    monkeypatch.setattr(task_pictures, "families_for", lambda names: None)
    words = ["개가", "크게", "짖는다"]
    tree = ([3, 3, 0], ["nsubj", "advmod", "root"])
    record = trees(words, tree, ([2, 3, 0], tree[1]))
    record["text"].append(".")
    for side in ("gold", "predicted"):
        record[side] = {"heads": [*record[side]["heads"], 3], "relations": [*record[side]["relations"], "punct"]}
    assert "1 개가, 2 크게, 3 짖는다" in report_of(tmp_path, "trees", {"test": [record] * 6})


def test_fonts_are_combined_until_all_characters_are_covered():
    assert fonts.families_for(["plain, é, ß"]) == [fonts.DEFAULT]
    assert fonts.families_for(["\U0010fffd"]) is None  # for private use, so no font has it
    default = fonts._characters(fonts._path(fonts.DEFAULT))
    other = next(
        (name for name in sorted({entry.name for entry in font_manager.fontManager.ttflist})
         if fonts._characters(fonts._path(name)) - default), None,
    )  # fmt: skip
    if other is not None:
        character = min(fonts._characters(fonts._path(other)) - default)
        families = fonts.families_for([f"a{character}"])
        assert families[0] == fonts.DEFAULT and len(families) == 2


def test_records_without_content(tmp_path):
    assert sections(report_of(tmp_path, "classes", {})) == []
    with pytest.raises(ValueError, match="history has 1 records"):
        plot_history([{"step": 1}], tmp_path / "c.png")
    with pytest.raises(ValueError, match="1 predictions has a gold answer"):
        kind_of([{"text": "a", "gold": None, "predicted": "b"}])
    assert not list(tmp_path.glob("*.png")) and not list(tmp_path.glob(".*"))
