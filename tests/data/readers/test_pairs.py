import gzip
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_vanilla_transformer.data import load_pairs


def rows(dataset):
    return [(row["source"], row["target"]) for row in dataset]


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def as_tsv(folder, pairs):
    return write_lines(folder / "pairs.tsv", [f"{source}\t{target}\tlicence" for source, target in pairs])


def as_tsv_with_header(folder, pairs):
    return write_lines(folder / "pairs.tab", ["id\tde\ten", *(f"7\t{target}\t{source}" for source, target in pairs)])


def as_json_lines(folder, pairs):
    lines = [json.dumps({"translation": {"de": target, "en": source}}) for source, target in pairs]
    return write_lines(folder / "pairs.jsonl", lines)


def as_flat_json_lines(folder, pairs):
    lines = [json.dumps({"de": target, "en": source}, ensure_ascii=False) for source, target in pairs]
    path = folder / "pairs.json.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def as_parquet(folder, pairs):
    table = pa.table(
        {"id": range(len(pairs)), "translation": [{"de": target, "en": source} for source, target in pairs]}
    )
    pq.write_table(table, folder / "pairs.parquet", row_group_size=5)
    return folder / "pairs.parquet"


def as_two_files(folder, pairs):
    first = write_lines(folder / "pairs.en", [source for source, _ in pairs])
    second = folder / "pairs.de.gz"
    second.write_bytes(gzip.compress("\r\n".join(target for _, target in pairs).encode("utf-8-sig")))
    return [first, str(second)]


def as_stem_of_two_files(folder, pairs):
    write_lines(folder / "corpus.tok.en", [source for source, _ in pairs])
    write_lines(folder / "corpus.tok.de", [target for _, target in pairs])
    return str(folder / "corpus.tok")


def as_several_tables(folder, pairs):
    (folder / "more").mkdir()
    return [as_tsv(folder, pairs[:4]), as_parquet(folder / "more", pairs[4:])]


def as_folder_of_splits(folder, pairs):
    as_tsv(folder, pairs).rename(folder / "train.tsv")
    write_lines(folder / "test.tsv", ["other\tanderes"])
    return folder


def as_folder_of_parallel_splits(folder, pairs):
    write_lines(folder / "train.en", [source for source, _ in pairs])
    write_lines(folder / "train.de", [target for _, target in pairs])
    write_lines(folder / "test.en", ["other"])
    return str(folder)


def as_hub_folder(folder, pairs):
    """The files of a data set on the Hub, in a subfolder."""
    (folder / "data").mkdir()
    as_parquet(folder, pairs).rename(folder / "data" / "train-00000-of-00001.parquet")
    return str(folder)


def as_dataset(folder, pairs):
    features = datasets.Features({"translation": datasets.Translation(("de", "en")), "id": datasets.Value("int64")})
    table = {"translation": [{"de": target, "en": source} for source, target in pairs], "id": range(len(pairs))}
    return datasets.Dataset.from_dict(table, features=features)


def as_dataset_with_crossed_names(folder, pairs):
    """The German side is called `source`; renaming must not confuse the columns."""
    table = {"source": [target for _, target in pairs], "en": [source for source, _ in pairs]}
    return datasets.DatasetDict({"train": datasets.Dataset.from_dict(table).rename_column("source", "de")})


def as_stream(folder, pairs):
    return as_dataset(folder, pairs).to_iterable_dataset(num_shards=3)


def as_stream_without_features(folder, pairs):
    return datasets.IterableDataset.from_generator(
        lambda: ({"translation": {"en": source, "de": target}} for source, target in pairs)
    )


FORMS = [value for name, value in sorted(globals().items()) if name.startswith("as_")]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_all_forms_give_the_same_pairs(form, streaming, pairs, tmp_path):
    source = form(tmp_path, pairs)
    dataset, report = load_pairs(source, streaming=streaming)
    streamed = streaming and not isinstance(source, (datasets.Dataset, datasets.DatasetDict))
    assert isinstance(dataset, datasets.IterableDataset if streamed or "stream" in form.__name__ else datasets.Dataset)
    assert rows(dataset) == pairs
    assert rows(dataset) == pairs  # a stream starts again
    assert dataset.column_names in (["source", "target"], None)
    assert (report.rows, report.kept, report.skipped) == (len(pairs), len(pairs), 0)


def test_the_opposite_direction_and_named_columns(pairs, tmp_path):
    flipped = [(target, source) for source, target in pairs]
    assert rows(load_pairs(as_parquet(tmp_path, pairs), languages=("de", "en"))[0]) == flipped
    assert rows(load_pairs(as_tsv(tmp_path, pairs), source_column=1, target_column=0)[0]) == flipped
    with_header = as_tsv_with_header(tmp_path, pairs)
    assert rows(load_pairs(with_header, source_column="de", target_column="en")[0]) == flipped
    nested = {"source_column": "translation.de", "target_column": "translation.en"}
    assert rows(load_pairs(as_parquet(tmp_path, pairs), **nested)[0]) == flipped
    assert rows(load_pairs(as_dataset(tmp_path, pairs), **nested)[0]) == flipped
    crossed = datasets.Dataset.from_dict({"target": ["a b"], "source": ["c d"]})
    assert rows(load_pairs(crossed, source_column="target", target_column="source")[0]) == [("a b", "c d")]


def test_splits_are_read_by_name(pairs, tmp_path):
    assert rows(load_pairs(as_folder_of_splits(tmp_path, pairs), split="test")[0]) == [("other", "anderes")]
    splits = datasets.DatasetDict({"dev": as_dataset(tmp_path, pairs)})
    assert rows(load_pairs(splits, split="dev")[0]) == pairs


def test_a_loaded_data_set_stays_on_disk(pairs, tmp_path):
    as_dataset(tmp_path, [*pairs, ("", "leer")]).save_to_disk(tmp_path / "saved")
    dataset, report = load_pairs(datasets.load_from_disk(tmp_path / "saved"))
    assert rows(dataset) == pairs and report.skipped == 1
    assert dataset.cache_files


def test_streams_are_read_while_iterating(tmp_path):
    def generate():
        for number in range(10**9):
            yield {"en": f"line {number}", "de": "" if number % 3 == 0 else f"Zeile {number}"}

    dataset, report = load_pairs(datasets.IterableDataset.from_generator(generate))
    assert [row["source"] for row in dataset.take(3)] == ["line 1", "line 2", "line 4"]
    assert 0 < report.rows < 10_000 and report.skipped > 0


@pytest.mark.parametrize("streaming", [False, True])
def test_names_on_the_hub(streaming, pairs, tmp_path, monkeypatch):
    asked = []

    def hub(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        dataset = as_dataset(tmp_path, pairs)
        return dataset.to_iterable_dataset() if streaming else dataset

    monkeypatch.setattr(datasets, "load_dataset", hub)
    dataset, report = load_pairs("wmt/wmt14", config_name="de-en", split="validation", streaming=streaming)
    assert asked == [("wmt/wmt14", "de-en", "validation", streaming)]
    assert rows(dataset) == pairs
    assert str(report).startswith("wmt/wmt14[validation]: ")


@pytest.mark.parametrize("error", [ConnectionError, datasets.exceptions.DatasetNotFoundError])
def test_names_that_do_not_exist_on_the_hub(error, monkeypatch):
    def hub(*arguments, **options):
        raise error("nothing there")

    monkeypatch.setattr(datasets, "load_dataset", hub)
    with pytest.raises(FileNotFoundError, match=r"source='no/such'.*nothing there"):
        load_pairs("no/such")


def test_no_real_pair_is_skipped(shared_data):
    for name, languages, split, expected in (
        ("multi30k", ("en", "de"), "validation", 1014),
        ("multi30k_tok", ("en", "fr"), "test_2016_flickr", 1000),
        ("korean_english", ("ko", "en"), "train", 2993),
    ):
        dataset, report = load_pairs(shared_data / name, languages=languages, split=split)
        assert len(dataset) == report.rows == expected
