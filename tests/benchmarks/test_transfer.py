"""The transfer benchmarks on toy data: all cells run, finished cells are not repeated, tables come from files."""

import csv
import json
import random

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from transformers import AutoTokenizer

from benchmarks.transfer import (
    ablation,
    bag_of_words,
    cells,
    corpora,
    forgetting,
    label_efficiency,
    new_user,
    published_encoder,
    shakespeare,
    tagging_parsing,
)
from benchmarks.transfer import report as transfer_report
from benchmarks.transfer.cells import Cell, grouped, run_cells, shown

GOOD, BAD = ("fine", "lovely", "great"), ("dull", "awful", "poor")
KOREAN = {"fine": "좋은", "lovely": "멋진", "great": "훌륭한", "dull": "지루한", "awful": "끔찍한", "poor": "나쁜"}


def reviews(count, seed, korean=False):
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = number % 2
        words = [draw.choice(GOOD if label else BAD) for _ in range(3)] + draw.sample(
            ["film", "plot", "end", "cast"], 3
        )
        draw.shuffle(words)
        text = " ".join(KOREAN.get(word, word) if korean else word for word in words) + f" {number} {seed}<br />."
        rows.append({"text": text, "label": label, "id": str(number)})
    return rows


def sentences(count, seed):
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        noun, verb = draw.choice(["dog", "cat", "man"]), draw.choice(["runs", "sleeps"])
        rows.append(
            {
                "tokens": ["the", noun, verb, "."],
                "upos": ["DET", "NOUN", "VERB", "PUNCT"],
                "head": [2, 3, 0, 3],
                "deprel": ["det", "nsubj", "root", "punct"],
                "chunk_tags": ["B-NP", "I-NP", "B-VP", "O"],
                "text": f"the {noun} {verb} .",
                "sent_id": f"{seed}-{number}",
            }
        )
    return rows


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder for HF_VANILLA_DATA."""
    folder = tmp_path_factory.mktemp("data")
    texts = [{"text": row["text"], "category": "news" if n % 2 else "fiction", "article": n} for n, row in
             enumerate(reviews(80, 5))]  # fmt: skip
    pairs = [{"translation": {"en": "a dog", "ko": row["text"]}} for row in reviews(40, 6, korean=True)]
    sets = {
        "imdb/train": reviews(100, 1), "imdb/test": reviews(30, 2),
        "imdb/unsupervised": [{**row, "label": -1} for row in reviews(100, 3)],
        "rt_polarity/train": reviews(100, 1), "rt_polarity/validation": reviews(20, 8),
        "rt_polarity/test": reviews(30, 2),
        "nsmc/train": reviews(100, 1, True), "nsmc/test": reviews(30, 2, True),
        "brown/train": texts, "brown/validation": texts[:20],
        "wikitext2_small/train": texts, "wikitext2_small/validation": texts[:20],
        "ud_korean_gsd/train": sentences(60, 1), "ud_korean_gsd/validation": sentences(20, 2),
        "ud_english_ewt/train": sentences(60, 3), "ud_english_ewt/validation": sentences(20, 4),
        "conll2000/train": sentences(60, 5), "conll2000/test": sentences(20, 6),
        "korean_english/train": pairs, "korean_english/school_dev": pairs, "korean_english/news_dev": pairs,
    }  # fmt: skip
    for name, rows in sets.items():
        (folder / name).parent.mkdir(exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    (folder / "tiny_shakespeare").mkdir()
    for split, count in (("train", 60), ("validation", 20)):
        text = "\n".join(row["text"] for row in reviews(count, 7))
        (folder / "tiny_shakespeare" / f"{split}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def use_toy_data(toy, monkeypatch):
    monkeypatch.setenv("HF_VANILLA_DATA", str(toy))


def test_interrupted_cells_resume(tmp_path):
    done = []

    def cell(name, fails=False, needs=()):
        def run():
            if fails:
                raise KeyboardInterrupt
            done.append(name)
            return {"score": 0.5}

        return Cell(name, {"arm": name}, run, needs)

    with pytest.raises(KeyboardInterrupt):
        run_cells([cell("a"), cell("b", fails=True), cell("c")], tmp_path)
    records = run_cells([cell("a"), cell("b"), cell("c")], tmp_path)
    assert done == ["a", "b", "c"] and [record["arm"] for record in records] == ["a", "b", "c"]
    # A cell without a needed measurement is run again.
    run_cells([cell("a", needs=["test"])], tmp_path)
    assert done == ["a", "b", "c", "a"]
    with pytest.raises(ValueError, match="'a'"):
        run_cells([cell("a"), cell("a")], tmp_path)
    assert shown([0.5, 0.7]) == "60.0 ± 14.1" and shown([0.5]) == "50.0" and shown(None) == ""
    assert grouped(records, ("arm",), "score") == {("a",): [0.5], ("b",): [0.5], ("c",): [0.5]}
    assert cells.mean_and_spread([1.0]) == (1.0, 0.0)


def test_results_of_missing_folders_are_copied_from_the_record(tmp_path):
    record, setting = tmp_path / "record.json", {"labels": (20, None)}
    done = [{"cell": "a", "score": 0.5}, {"cell": "b", "score": 0.7}]
    record.write_text(json.dumps({"setting": {"labels": [20, None]}, "cells": done}), encoding="utf-8")
    assert cells.take_over(record, tmp_path / "other", {"labels": (30,)}) == 0  # a record of another setting is ignored
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "b.json").write_text('{"cell": "b", "score": 0.9}', encoding="utf-8")
    assert cells.take_over(record, tmp_path / "cells", setting) == 1
    records = cells.finished([Cell(name, {}, dict) for name in "abc"], tmp_path / "cells")
    assert [(one["cell"], one["score"]) for one in records] == [("a", 0.5), ("b", 0.9)]
    assert cells.take_over(tmp_path / "missing.json", tmp_path / "cells", setting) == 0


def test_no_text_is_in_two_splits(tmp_path, toy):
    test = parquet.read_table(toy / "imdb" / "test.parquet").to_pylist()
    train = [*reviews(50, 1), *reviews(50, 1), {**test[0], "text": test[0]["text"].upper()}]
    splits = corpora._split_rows(train, test, 10)
    keys = [corpora._key(row) for rows in splits.values() for row in rows]
    assert len(keys) == len(set(keys)) == 80 and len(splits["validation"]) == 10
    assert corpora.plain("= = Title = =") == "Title"
    assert corpora.plain("it was 1 @,@ 000 `` well @-@ known '' <unk>") == 'it was 1,000 " well-known "'
    with pytest.raises(FileNotFoundError, match="HF_VANILLA_DATA"):
        corpora._read("imdb/nothing.parquet", ["text"], None)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "objective"), [("imdb", "causal"), ("nsmc", "masked")])
def test_label_efficiency(tmp_path, data, objective, capsys):
    arguments = [data, "--quick", "--objective", objective, "--folder", str(tmp_path), "--labels", "0"]
    label_efficiency.main(arguments)
    folder = tmp_path / f"{data}-{objective}-quick"
    record = json.loads((folder / f"label_efficiency_{folder.name}.json").read_text())
    assert len(record["cells"]) == 3 and record["score"] == "validation_accuracy"
    assert "test_accuracy" not in record["cells"][0] and "| all (" in capsys.readouterr().out
    assert (folder / f"label_efficiency_{folder.name}.png").is_file()
    stamps = {file.name: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    label_efficiency.main([*arguments, "--table"])
    assert stamps == {file.name: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    with pytest.raises(SystemExit, match="test_accuracy"):
        label_efficiency.main([*arguments, "--table", "--test"])


def test_the_claims_follow_from_the_cells():
    groups = {(100, "scratch"): [0.5], (100, "adapted"): [0.7], (500, "adapted"): [0.8], (5000, "scratch"): [0.81]}
    lines = label_efficiency.claims(groups)
    assert "not as good as" in lines[0] and "+20.0 points" in lines[1]
    assert "are as good as" in label_efficiency.claims({**groups, (500, "adapted"): [0.82]})[0]
    assert label_efficiency.claims({}) == []


def test_a_bag_of_words_and_its_column(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bag_of_words, "LABELS", (None,))
    bag_of_words.main(["--quick", "--test", "--data", "rt_polarity", "nsmc", "--folder", str(tmp_path)])
    folder = tmp_path / "bag_of_words-quick"
    record = json.loads((folder / "transfer_bag_of_words_quick.json").read_text())
    assert len(record["cells"]) == 2 and (folder / "transfer_bag_of_words_quick.png").is_file()
    assert "| labels | NSMC | RT polarity |" in capsys.readouterr().out
    alone = [cell for cell in record["cells"] if cell["data"] == "nsmc" and cell["labels"] == "all"]
    assert alone[0]["test_accuracy"] > 0.9 and alone[0]["train_rows"] == 80
    trained = [{"arm": "adapted", "labels": "all", "seed": 0, "test_accuracy": 0.5, "train_rows": 80}]
    efficiency = {"data": "nsmc", "score": "test_accuracy", "cells": trained}
    table = label_efficiency.table(label_efficiency.with_bag_of_words(efficiency, record))
    assert "| labels | bag of words | from scratch |" in table
    assert f"| all (80) | {100 * alone[0]['test_accuracy']:.1f} |  |  | 50.0 |  |" in table
    assert (
        label_efficiency.with_bag_of_words({**efficiency, "score": "validation_accuracy"}, record)["cells"] == trained
    )


def test_shakespeare(tmp_path, capsys):
    shakespeare.main(["--quick", "--folder", str(tmp_path)])
    record = json.loads((tmp_path / "shakespeare-quick" / "transfer_shakespeare_quick.json").read_text())
    (cell,) = record["cells"]
    assert cell["steps"] == 20 and 1 < cell["validation_loss"] < 6
    assert "reached" in capsys.readouterr().out
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "shakespeare-quick" / "tokenizer")
    text = "great plot\n fine "
    assert len(tokenizer(text)["input_ids"]) == len(text)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    with pytest.raises(FileNotFoundError, match=r"train\.py"):
        shakespeare.nanogpt(tmp_path, 1)
    # A replacement of nanoGPT's train.py, which checks its arguments and its data.
    (tmp_path / "train.py").write_text(
        "import sys, pickle\nassert '--n_embd=128' in sys.argv\n"
        "assert pickle.load(open('data/shakespeare_char/meta.pkl', 'rb'))['vocab_size'] > 10\n"
        "print('step 7: train loss 1.5000, val loss 1.8800')\n"
    )
    assert shakespeare.nanogpt(tmp_path, 7)["validation_loss"] == 1.88


@pytest.mark.slow
def test_tagging_and_parsing(tmp_path, capsys):
    tagging_parsing.main(["--quick", "--folder", str(tmp_path), "--jobs", "chunks", "korean-trees"])
    assert capsys.readouterr().out.count("| trees, UD Korean GSD |") == 2  # LAS and UAS


@pytest.mark.slow
def test_ablation_and_forgetting(tmp_path, capsys):
    variants = [
        "unchanged",
        "gradual unfreezing",
        "domain embeddings without training",
        "forward and backward together",
    ]
    ablation.main(["--quick", "--folder", str(tmp_path), "--variants", *variants])
    assert capsys.readouterr().out.count("| gradual unfreezing |") == 1
    with pytest.raises(ValueError, match="no such trick"):
        ablation.main(["--quick", "--folder", str(tmp_path), "--variants", "no such trick"])
    forgetting.main(["--quick", "--folder", str(tmp_path)])
    shown_table = capsys.readouterr().out
    assert "| replay 20 % and L2-SP |" in shown_table and "| frozen backbone |" in shown_table
    frozen = next(line for line in shown_table.splitlines() if line.startswith("| frozen backbone |"))
    assert frozen.split(" | ")[3] == "0.0"  # a frozen backbone forgets nothing


@pytest.mark.slow
def test_learning_rates_of_a_published_encoder(tmp_path, masked_lm, capsys):
    arguments = ["--quick", "--folder", str(tmp_path), "--model", str(masked_lm), "--seeds", "2", "--pooling", "mean"]
    published_encoder.main(arguments)
    printed = capsys.readouterr().out
    assert printed.count("| 20 | 1 | 16 | 2 | mean | 1.0e-03 | 2 |") == 1 and "| default |" not in printed
    train, held = (
        parquet.read_table(tmp_path / "published-encoder-quick" / "data" / f"{split}.parquet")["text"].to_pylist()
        for split in ("train", "validation")
    )
    assert (len(train), len(held)) == (50, 10) and not set(train) & set(held)
    published_encoder.main([*arguments, "--table"])
    assert capsys.readouterr().out == printed


def test_the_files_and_commands_of_a_new_user(tmp_path):
    new_user.write_files(tmp_path, 20, None)
    with (tmp_path / "reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 and {row["label"] for row in rows} == {"긍정", "부정"}
    scored = (tmp_path / "test.csv").read_text(encoding="utf-8").splitlines()
    assert scored[0] == "text,label" and len(scored) == 31
    assert not {row["text"] for row in rows} & {line.rpartition(",")[0] for line in scored}
    assert (tmp_path / "general.txt").read_text(encoding="utf-8").count("\n") == 180
    commands = [words[words.index("hf-vanilla") + 1] for words in new_user.page_commands()]
    assert commands == ["pretrain", "adapt", "finetune", "finetune", "classify", "publish"]


def test_the_page_shows_the_records(tmp_path):
    page = tmp_path / "transfer.md"
    page.write_text(transfer_report.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    records = [
        {"cell": f"{arm}-{n}-{seed}", "arm": arm, "labels": n, "seed": seed, "test_accuracy": 0.6 + seed / 100,
         "train_rows": 24_000 if n == "all" else n}
        for arm in label_efficiency.ARMS for n in (100, "all") for seed in range(2)
    ]  # fmt: skip
    machine = {"cores": 2, "processor": "p", "capability": "AVX2", "torch": "2", "transformers": "5", "python": "3"}
    record = {"data": "imdb", "score": "test_accuracy", "machine": machine, "cells": records}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "label_efficiency_imdb-causal.json").write_text(json.dumps(record))
    label_efficiency.plot(record, tmp_path / "results" / "label_efficiency_imdb-causal.png")
    arguments = ["--results", str(tmp_path / "results"), "--page", str(page)]
    with pytest.raises(SystemExit, match=r"benchmarks\.transfer\.report"):
        transfer_report.main([*arguments, "--check"])
    transfer_report.main(arguments)
    text = page.read_text(encoding="utf-8")
    assert "| all (24,000) | 60.5 ± 0.7 |" in text and "(images/label_efficiency_imdb-causal.png)" in text
    assert (tmp_path / "images" / "label_efficiency_imdb-causal.png").is_file() and text.count("Not measured yet.") == 8
    transfer_report.main([*arguments, "--check"])
    # The page in the repository is up to date.
    transfer_report.main(["--check"])
