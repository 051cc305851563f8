import json
import logging

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_vanilla_transformer.data import BadRow, RowReport, load_pairs, load_texts

GOOD = b"one dog\tein Hund\n"


def test_each_bad_row_is_counted_with_its_location(tmp_path, caplog):
    path = tmp_path / "corpus.tsv"
    path.write_bytes(
        GOOD  # 1
        + b"no tab\n"
        + b"empty target\t  \n"  # 3
        + b"\n"
        + b"b\xe4d\tschlecht\n"  # 5
        + b"yes\t" + b"very long " * 20 + b"\n"
        + b"\tleft out\n"  # 7
        + "\u2028line\tseparator\n".encode()
        + GOOD
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        dataset, report = load_pairs(path)
    assert dataset["source"][:] == ["one dog", "\u2028line", "one dog"]
    assert report.rows == 9 and report.kept == 3
    assert report.counts == {
        BadRow.MISSING: 1,
        BadRow.EMPTY: 3,
        BadRow.NOT_UTF8: 1,
        BadRow.LENGTH_RATIO: 1,
    }
    assert report.examples[BadRow.EMPTY] == [f"{path}:3", f"{path}:4", f"{path}:7"]
    assert report.examples[BadRow.NOT_UTF8] == [f"{path}:5"]
    assert report.examples[BadRow.LENGTH_RATIO] == [f"{path}:6"]
    # The log contains the same report.
    assert str(report) in caplog.text
    lines = str(report).splitlines()
    assert lines[0] == f"{path}: 3 of 9 rows kept"
    assert lines[2].split()[:2] == ["empty", "3"] and lines[2].endswith(f"{path}:3, {path}:4, {path}:7")
    assert len(lines) == 6 and len({line.index(str(path)) for line in lines[2:]}) == 1


def test_a_bad_row_raises_an_error_on_request(tmp_path):
    path = tmp_path / "corpus.tsv"
    path.write_bytes(GOOD * 3 + b"no tab\n" + GOOD)
    with pytest.raises(ValueError, match=r"corpus\.tsv:4: missing side \('no tab', None\).*on_bad_row='skip'"):
        load_pairs(path, on_bad_row="error")
    stream, _ = load_pairs(path, on_bad_row="error", streaming=True)
    with pytest.raises(ValueError, match=r"corpus\.tsv:4"):
        list(stream)
    path.write_bytes(GOOD + b"\xff\tx\n")
    with pytest.raises(ValueError, match=r"corpus\.tsv:2: not UTF-8 \(undecodable, undecodable\)"):
        load_pairs(path, on_bad_row="error")


def test_parallel_files_of_different_length(tmp_path):
    (tmp_path / "train.en").write_text("one two\nthree four\nfive six\n")
    (tmp_path / "train.de").write_text("eins zwei\ndrei vier\n")
    dataset, report = load_pairs((tmp_path / "train.en", tmp_path / "train.de"))
    assert len(dataset) == 2
    assert report.examples == {BadRow.MISSING: [f"{tmp_path}/train.{{en,de}}:3"]}


def test_bad_rows_of_json_lines(tmp_path):
    path = tmp_path / "corpus.jsonl"
    lines = [
        "{broken",
        "[1, 2]",
        "",
        json.dumps({"translation": {"en": "a dog", "de": "ein Hund"}}),
        json.dumps({"translation": {"en": "a dog"}}),
        json.dumps({"translation": None}),
        json.dumps({"translation": {"en": 3, "de": "drei"}}),
        '{"translation": {"en": "half \\ud83d", "de": "ein halbes"}}',
    ]
    path.write_text("\n".join(lines))
    dataset, report = load_pairs(path)
    assert list(dataset) == [{"source": "a dog", "target": "ein Hund"}]
    assert report.counts == {
        BadRow.NOT_JSON: 2,
        BadRow.EMPTY: 1,
        BadRow.MISSING: 2,
        BadRow.NOT_TEXT: 1,
        BadRow.NOT_UTF8: 1,
    }
    assert report.examples[BadRow.NOT_UTF8] == [f"{path}:8"]


def test_bad_rows_of_tables(tmp_path):
    bad = [("a dog", "ein Hund"), (None, "x"), ("y", ""), ("ok", "gut")]
    table = pa.table({"en": [a for a, _ in bad], "de": [b for _, b in bad]})
    pq.write_table(table, tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", datasets.Dataset(table), datasets.Dataset(table).to_iterable_dataset()):
        dataset, report = load_pairs(source)
        assert [row["source"] for row in dataset] == ["a dog", "ok"]
        assert report.counts == {BadRow.MISSING: 1, BadRow.EMPTY: 1}
        assert [places[0].rsplit(":")[-1] for places in report.examples.values()] == ["1", "2"]
    # Arrow does not check its strings; one that is not UTF-8 must not prevent reading the others.
    raw = pa.array([b"good", b"b\xe4d"], pa.binary())
    broken = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"text": broken}), tmp_path / "broken.parquet")
    dataset, report = load_texts(tmp_path / "broken.parquet")
    assert dataset["text"][:] == ["good"] and report.examples == {BadRow.NOT_UTF8: [f"{tmp_path}/broken.parquet:1"]}


def test_pairs_of_very_different_lengths(tmp_path):
    (tmp_path / "c.tsv").write_text("a\tbbbb\nab\tcdef\n")
    assert len(load_pairs(tmp_path / "c.tsv")[0]) == 2
    assert len(load_pairs(tmp_path / "c.tsv", max_length_ratio=3)[0]) == 1
    assert len(load_pairs(tmp_path / "c.tsv", max_length_ratio=None)[0]) == 2
    with pytest.raises(ValueError, match=r"max_length_ratio.*0\.5"):
        load_pairs(tmp_path / "c.tsv", max_length_ratio=0.5)


def test_unreadable_sources_are_refused(tmp_path):
    for missing in (tmp_path / "no.tsv", str(tmp_path / "no"), "no.parquet", (tmp_path / "a.en", tmp_path / "a.de")):
        with pytest.raises(FileNotFoundError, match=r"no|a\.en"):
            load_pairs(missing)
    empty = tmp_path / "empty.tsv"
    empty.write_text("")
    with pytest.raises(ValueError, match=r"empty\.tsv"):
        load_pairs(empty)
    empty.write_text("one side\nanother\n")
    with pytest.raises(ValueError, match=r"empty\.tsv.*single column"):
        load_pairs(empty)
    (tmp_path / "x.xml").write_text("<a/>")
    with pytest.raises(ValueError, match=r"x\.xml.*\.tsv"):
        load_pairs(tmp_path / "x.xml")
    (tmp_path / "x.parquet").write_text("not a table")
    with pytest.raises(ValueError, match=r"x\.parquet.*Parquet"):
        load_pairs(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="data set"):
        load_pairs(datasets.IterableDataset.from_generator(lambda: iter(())))
    with pytest.raises(ValueError, match=r"source=\[\]"):
        load_pairs([])
    with pytest.raises(ValueError, match=r"source.*42"):
        load_pairs(42)


def test_missing_columns_are_named(tmp_path):
    table = datasets.Dataset.from_dict({"translation": [{"en": "a", "fr": "b"}], "id": [1]})
    with pytest.raises(ValueError, match=r"\('en', 'de'\).*\['id', 'translation.en', 'translation.fr'\]"):
        load_pairs(table)
    with pytest.raises(ValueError, match=r"'english' and 'french'"):
        load_pairs(table, source_column="english", target_column="french")
    with pytest.raises(ValueError, match=r"source_column='en'.*target_column=None"):
        load_pairs(table, source_column="en")
    with pytest.raises(ValueError, match=r"source_column.*target_column.*'en'"):
        load_pairs(table, source_column="en", target_column="en")
    with pytest.raises(ValueError, match=r"languages.*\('en', 'en'\)"):
        load_pairs(table, languages=("en", "en"))
    with pytest.raises(ValueError, match=r"'text'.*\['id', "):
        load_texts(table)
    with pytest.raises(ValueError, match=r"split 'train'.*\['dev'\]"):
        load_pairs(datasets.DatasetDict({"dev": table}))
    (tmp_path / "t.tsv").write_text("a\tb\n")
    with pytest.raises(ValueError, match=r"t\.tsv.*'en' and 'de'"):
        load_pairs(tmp_path / "t.tsv", source_column="en", target_column="de")
    with pytest.raises(ValueError, match=r"on_bad_row.*'ignore'"):
        load_pairs(table, on_bad_row="ignore")
    with pytest.raises(ValueError, match=r"sample_by.*'word'"):
        load_texts(table, sample_by="word")


def test_the_report_of_a_source_without_bad_rows():
    assert str(RowReport("corpus", rows=1234)) == "corpus: 1,234 of 1,234 rows kept"
