import gzip
from pathlib import Path

import datasets
import pytest

from hf_vanilla_transformer.data import load_labelled, load_pairs, load_texts
from hf_vanilla_transformer.data.readers.splits import available_splits, choose_split, split_files, split_name
from hf_vanilla_transformer.data.readers.tables import TABLES

TEXTS = [f"Satz {number}" for number in range(30)]


@pytest.fixture
def sharded(tmp_path):
    """A folder in which eleven Parquet files make up the training split, named as on the Hub."""
    rows = datasets.Dataset.from_dict(
        {
            "text": TEXTS,
            "label": [number % 2 for number in range(30)],
            "en": TEXTS,
            "de": [text.upper() for text in TEXTS],
        },
        features=datasets.Features(
            {
                "text": datasets.Value("string"),
                "label": datasets.ClassLabel(names=["bad", "good"]),
                "en": datasets.Value("string"),
                "de": datasets.Value("string"),
            }
        ),
    )
    for number in range(11):
        shard = rows.shard(11, number, contiguous=True)
        shard.to_parquet(tmp_path / f"train-{number}-of-11.parquet")
    rows.select(range(3)).to_parquet(tmp_path / "test-00000-of-00001-0a1b2c.parquet")
    (tmp_path / "README.md").write_text("About the data.")
    (tmp_path / ".gitattributes").write_text("*.parquet")
    (tmp_path / "dataset_infos.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("train", "train"),
        ("train.tsv", "train"),
        ("train.jsonl.gz", "train"),
        ("train.de.gz", "train"),
        ("train.tok.de", "train.tok"),
        ("train-00003-of-00010.parquet", "train"),
        ("train-00003-of-00010-0a1b2c.parquet", "train"),
        ("c4-train.00003-of-01024.json.gz", "c4-train"),
        ("test-2016.tsv", "test-2016"),
    ],
)
def test_the_name_of_a_file_gives_its_split(file, split):
    assert split_name(Path(file)) == split


def test_the_shards_of_a_split_are_ordered_by_number(sharded):
    assert available_splits(str(sharded)) == ["test", "train"]
    assert [file.name.split("-")[1] for file in split_files(sharded, "train")] == [str(number) for number in range(11)]
    assert split_files(sharded / "missing", "train") == []


def test_every_reader_takes_sharded_parquet(sharded):
    labelled, report = load_labelled(sharded)
    assert list(labelled["text"]) == TEXTS and report.kept == 30
    assert labelled.features["label"].names == ["bad", "good"]
    assert list(load_texts(sharded)[0]["text"]) == TEXTS
    pairs, _ = load_pairs(sharded)
    assert list(pairs["source"]) == TEXTS and pairs[29]["target"] == "SATZ 29"
    assert len(load_labelled(sharded, split="test")[0]) == 3


def test_parallel_files_may_be_sharded_and_packed(tmp_path):
    for number in range(2):
        (tmp_path / f"train-{number}-of-2.en").write_text(f"line {number}\n")
        (tmp_path / f"train-{number}-of-2.de.gz").write_bytes(gzip.compress(f"Zeile {number}\n".encode()))
    pairs, report = load_pairs(tmp_path)
    assert list(pairs["source"]) == ["line 0", "line 1"] and list(pairs["target"]) == ["Zeile 0", "Zeile 1"]
    assert report.rows == 2
    (tmp_path / "train-1-of-2.en").unlink()
    with pytest.raises(ValueError, match=r"train.*\[1\].*'en', 'de'"):
        load_pairs(tmp_path)


def test_a_folder_of_folders_is_asked_as_a_data_set(tmp_path):
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict({"text": TEXTS}).to_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet")
    assert available_splits(str(tmp_path)) == ["validation"]
    assert list(load_texts(tmp_path, split="validation")[0]["text"]) == TEXTS


def test_the_first_existing_name_is_chosen(sharded):
    assert choose_split(str(sharded), None, ["training", "train"], "train") == (str(sharded), "train")
    assert choose_split(str(sharded), None, ["dev"], "validation", required=False) is None
    with pytest.raises(FileNotFoundError, match=r"data\.path.*'dev' or 'valid'.*'test', 'train'.*data\.validation"):
        choose_split(str(sharded), None, ["dev", "valid"], "validation")


def test_a_file_may_be_named_instead_of_a_split(sharded, tmp_path):
    file = tmp_path / "dev.csv"
    file.write_text("text,label\n")
    assert choose_split(str(sharded), None, [str(file)], "validation") == (str(file), "validation")
    with pytest.raises(FileNotFoundError, match=r"data\.validation.*missing/dev\.csv"):
        choose_split(str(sharded), None, ["missing/dev.csv"], "validation")


def test_a_single_file_holds_the_training_split_only(tmp_path):
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n")
    assert available_splits(file) is None
    assert choose_split(str(file), None, ["train"], "train") == (str(file), "train")
    assert choose_split(str(file), None, ["test"], "test", required=False) is None


@pytest.mark.parametrize(
    "path", ["/nowhere/texts", "./texts", "one/two/three", "texts.TSV", *(f"texts{suffix}" for suffix in TABLES)]
)
def test_a_mistyped_path_is_not_looked_up_on_the_hub(path, monkeypatch):
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *arguments: pytest.fail("asked the Hub"))
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: pytest.fail("asked the Hub"))
    with pytest.raises(FileNotFoundError, match=rf"data\.path.*{path}"):
        available_splits(path)
    with pytest.raises(FileNotFoundError, match=rf"source.*{path}"):
        load_texts(path)


def test_names_on_the_hub(monkeypatch):
    asked = []

    def hub(path, config):
        asked.append((path, config))
        if path == "no/such":
            raise ConnectionError("offline")
        return ["train", "test"]

    monkeypatch.setattr(datasets, "get_dataset_split_names", hub)
    assert choose_split("wmt/wmt14", "de-en", ["test"], "test") == ("wmt/wmt14", "test")
    assert asked == [("wmt/wmt14", "de-en")]
    with pytest.raises(FileNotFoundError, match=r"data\.path.*no/such.*offline"):
        available_splits("no/such")
