"""Tables as other programs write them: long texts, repeated names, byte order marks, JSON arrays, damaged archives."""

import codecs
import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_vanilla_transformer.data import BadRow, CsvFormat, load_labelled, load_pairs, load_texts
from hf_vanilla_transformer.data.readers.labels import fit_labels


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def rows_of(dataset):
    return list(zip(dataset["text"], dataset["label"]))


def test_a_text_as_long_as_a_book_is_one_row(tmp_path):
    book = "a long line, with a comma\n" * 8000
    path = write(tmp_path / "r.csv", f'text,label\n"{book}",pos\nshort,neg\n')
    dataset, report = load_labelled(path)
    assert rows_of(dataset) == [(book, "pos"), ("short", "neg")] and report.skipped == 0


def test_the_rest_of_a_broken_record_is_not_a_row(tmp_path):
    path = write(tmp_path / "r.csv", 'text,label\nfine,pos\n"he said "no", and\nleft", neg\n"last",neg\n')
    dataset, report = load_labelled(path, csv_format=CsvFormat(delimiter=","))
    assert rows_of(dataset) == [("fine", "pos"), ("last", "neg")]
    assert report.examples == {BadRow.QUOTES: [f"{path}:3", f"{path}:4"]}


def test_a_carriage_return_outside_quotes_is_named(tmp_path):
    path = write(tmp_path / "r.csv", "text,label\nfine,pos\na\rb,pos\ngood,neg\n")
    assert load_labelled(path)[1].counts == {BadRow.CARRIAGE_RETURN: 1}


def test_repeated_column_names_do_not_shift_the_other_columns(tmp_path):
    text = "id\tid\ten\tde\n1\t2\ta dog\tein Hund\n3\t4\ta cat\teine Katze\n"
    for path in (write(tmp_path / "p.tsv", text), write(tmp_path / "p.csv", text.replace("\t", ","))):
        pairs, _ = load_pairs(path)
        assert pairs["source"][:] == ["a dog", "a cat"] and pairs["target"][:] == ["ein Hund", "eine Katze"]


def test_an_empty_cell_is_a_row_without_classes_where_several_are_possible(tmp_path):
    path = write(tmp_path / "r.csv", "text,label\nfirst,a|b\nsecond,\nthird,b\n")
    dataset, report = load_labelled(path, empty_labels=True)
    labels = fit_labels(dataset, "multi", separator="|")
    assert labels.encode(dataset, split="train")[0]["label"][:] == [[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]
    assert report.skipped == 0 and load_labelled(path)[1].counts == {BadRow.NO_LABEL: 1}


def test_blanks_before_a_quoted_field(tmp_path):
    text = 'text,label\n"a film, old", "pos"\nplain,pos\n"another", "neg"\n  "third", neg\n'
    dataset, report = load_labelled(write(tmp_path / "r.csv", text))
    assert [label for _, label in rows_of(dataset)] == ["pos", "pos", "neg", "neg"]
    assert dataset["text"][0] == "a film, old" and report.skipped == 0
    kept = write(tmp_path / "k.csv", "text,label\n  two blanks, pos\nnone,neg\n")
    assert load_labelled(kept)[0]["text"][0] == "  two blanks"
    late = write(tmp_path / "l.csv", "text,label\n" + "plain,pos\n" * 300 + 'late, "pos"\n')
    assert load_labelled(late)[1].examples == {BadRow.QUOTES: [f"{late}:302"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
def test_only_a_line_feed_ends_a_line_in_every_encoding(tmp_path, encoding):
    separated = "one\u2028two\x85three"
    path = write(tmp_path / "r.csv", f"text,label\n{separated},pos\nshort,neg\n", encoding)
    assert rows_of(load_labelled(path, csv_format=CsvFormat(encoding=encoding))[0])[0] == (separated, "pos")


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF8])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, mark):
    encoding = {
        codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF32_LE: "utf-32-le"
    }.get(mark, "utf-8")  # fmt: skip
    (tmp_path / "r.csv").write_bytes(mark + "text,label\n좋은 영화,pos\nbad,neg\n".encode(encoding))
    assert rows_of(load_labelled(tmp_path / "r.csv")[0]) == [("좋은 영화", "pos"), ("bad", "neg")]
    (tmp_path / "t.txt").write_bytes(mark + "좋은\r\n영화\n".encode(encoding))
    assert load_texts(tmp_path / "t.txt")[0]["text"][:] == ["좋은", "영화"]
    (tmp_path / "t.jsonl").write_bytes(mark + '{"text": "좋은"}\n'.encode(encoding))
    assert load_texts(tmp_path / "t.jsonl")[0]["text"][:] == ["좋은"]


def test_a_file_that_is_not_in_its_encoding_is_named(tmp_path):
    (tmp_path / "r.csv").write_bytes("text,label\nfine,pos\n".encode("utf-16") + b"\x00")
    with pytest.raises(ValueError, match=r"r\.csv.*utf-16"):
        load_labelled(tmp_path / "r.csv")


def test_a_json_array_is_read_and_one_object_over_many_lines_is_explained(tmp_path):
    items = [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]
    for indent in (None, 2):
        path = write(tmp_path / "r.json", json.dumps(items, indent=indent))
        assert rows_of(load_labelled(path)[0]) == [("good", "pos"), ("bad", "neg")]
    path = write(tmp_path / "mixed.json", json.dumps([*items, 3]))
    assert load_labelled(path)[1].examples == {BadRow.NOT_JSON: [f"{path}:2"]}
    path = write(tmp_path / "object.json", json.dumps({"data": items}, indent=2))
    with pytest.raises(ValueError, match=r"object\.json.*JSON lines"):
        load_labelled(path)


def test_a_header_of_unknown_names_is_not_data(tmp_path):
    for name, text in {
        "few.csv": "comment,mood\na good film,pos\nbad,neg\n",
        "words.csv": "comment,mood\ngood,pos\nbad,neg\n",
        "ids.csv": "id,text\n1,first\n2,second\n",
    }.items():
        with pytest.raises(ValueError, match=rf"{name}.*header=False"):
            load_labelled(write(tmp_path / name, text))
    for name in ("p.csv", "p.tsv"):
        separator = "," if name.endswith("csv") else "\t"
        text = f"English{separator}German\na dog runs{separator}ein Hund rennt\na cat{separator}eine Katze\n"
        path = write(tmp_path / name, text)
        with pytest.raises(ValueError, match=rf"{name}.*English.*German"):
            load_pairs(path)
        assert len(load_pairs(path, source_column="English", target_column="German")[0]) == 2
        assert len(load_pairs(path, source_column=0, target_column=1)[0]) == 3


def test_tables_without_a_header_are_read_from_the_first_line(tmp_path):
    labelled = write(tmp_path / "r.csv", "good,pos\nvery good,pos\nbad,neg\n")
    assert len(load_labelled(labelled)[0]) == 3
    for first in ("Go.\tGeh.", "1\t2", "A dog runs in the garden\tEin Hund rennt im Garten"):
        pairs = write(tmp_path / "p.tsv", f"{first}\nHi.\tHallo.\nRun!\tLauf!\n")
        assert len(load_pairs(pairs)[0]) == 3


def test_decimal_labels_are_numbers(tmp_path):
    table = pa.table({"text": ["a", "b", "c"], "label": [Decimal("1.50"), Decimal("2.00"), Decimal("3.25")]})
    pq.write_table(table, tmp_path / "r.parquet")
    dataset, _ = load_labelled(tmp_path / "r.parquet")
    labels = fit_labels(dataset, "regression")
    assert labels.encode(dataset, split="train")[0]["label"][:] == [1.5, 2.0, 3.25]
    whole = pa.table({"text": ["a", "b"], "label": [Decimal("1"), Decimal("0")]})
    pq.write_table(whole, tmp_path / "w.parquet")
    assert fit_labels(load_labelled(tmp_path / "w.parquet")[0], "single").names == ("0", "1")


def test_whole_numbers_are_the_same_classes_with_and_without_a_fraction(tmp_path):
    train, _ = load_labelled(write(tmp_path / "a.csv", "text,label\nfirst,0.0\nsecond,1.0\n"))
    validation, _ = load_labelled(write(tmp_path / "b.csv", "text,label\nthird,0\nfourth,1\n"))
    for fitted, other in ((train, validation), (validation, train)):
        labels = fit_labels(fitted, "single")
        assert labels.names == ("0", "1")
        assert labels.encode(other, split="validation")[0]["label"][:] == [0, 1]
    codes, _ = load_labelled(write(tmp_path / "c.csv", "text,label\nfirst,007\nsecond,7\n"))
    assert fit_labels(codes, "single").names == ("007", "7")


@pytest.mark.parametrize("name", ["r.csv.gz", "r.jsonl.gz", "r.txt.gz"])
def test_a_damaged_archive_is_named(tmp_path, name):
    text = {"csv": "text,label\n" + "a,pos\nb,neg\n" * 5000, "jso": '{"text": "a"}\n' * 5000}.get(
        name[2:5], "a\n" * 5000
    )
    whole = gzip.compress(text.encode())
    for data in (whole[: len(whole) // 2], text.encode(), whole[:20] + b"\xff" * 20):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            (load_labelled if "csv" in name else load_texts)(tmp_path / name)


def test_all_files_of_a_source_have_the_columns_of_the_first(tmp_path):
    first = write(tmp_path / "a.csv", "text,label\ngood,pos\nbad,neg\n")
    second = write(tmp_path / "b.csv", "text,score\ngood,1\nbad,0\n")
    with pytest.raises(ValueError, match=r"b\.csv.*score.*label"):
        load_labelled([first, second])
