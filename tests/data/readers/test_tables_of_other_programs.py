"""Tables as other programs write them: long texts, repeated names, byte order marks, JSON arrays, damaged archives."""

import bz2
import codecs
import gzip
import json
import lzma
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


def test_carriage_returns_end_the_lines_of_a_file_that_has_no_line_feeds(tmp_path):
    items = [{"text": "좋은", "label": "pos"}, {"text": "bad", "label": "neg"}]
    rows = [(item["text"], item["label"]) for item in items]
    assert rows_of(load_labelled(write(tmp_path / "r.csv", "text,label\r좋은,pos\rbad,neg\r"))[0]) == rows
    assert rows_of(load_labelled(write(tmp_path / "r.tsv", "text\tlabel\r좋은\tpos\rbad\tneg"))[0]) == rows
    assert rows_of(load_labelled(write(tmp_path / "r.jsonl", "\r".join(map(json.dumps, items))))[0]) == rows
    long = "x" * 200_000
    assert load_texts(write(tmp_path / "t.txt", f"one\r{long}\rthree"))[0]["text"][:] == ["one", long, "three"]


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


@pytest.mark.parametrize("suffix", [".gz", ".GZ", ".bz2", ".xz", ".zst"])
def test_compressed_files_are_read_and_damage_is_named(tmp_path, suffix):
    text = "text,label\n" + "".join(f"row {number},{'ab'[number % 2]}\n" for number in range(3000))
    pack = {
        ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
        ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }[suffix.lower()]  # fmt: skip
    path = tmp_path / f"train.csv{suffix}"
    path.write_bytes(pack(text.encode()))
    assert len(load_labelled(path)[0]) == len(load_labelled(tmp_path)[0]) == 3000
    for damaged in (path.read_bytes()[:-30], text.encode(), b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"train\.csv.*download"):
            load_labelled(path)


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"PK\x03\x04", "Office"), (b"%PDF-1.7\n", "PDF"), (b"\x89PNG\r\n", "picture"), (b"PAR1", "Parquet"),
        (gzip.compress(b"text", mtime=0), "gzip"), (bz2.compress(b"text"), "bzip2"), (b"\x7fELF", "control characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_files_that_are_no_text_are_named(tmp_path, beginning, kind):
    for name, load in (("r.csv", load_labelled), ("r.jsonl", load_labelled), ("p.tsv", load_pairs), ("t", load_texts)):
        (tmp_path / name).write_bytes(beginning + bytes(range(256)) * 4)
        with pytest.raises(ValueError, match=rf"{name} is not text.*{kind}"):
            load(tmp_path / name)


def test_a_web_page_in_the_place_of_a_table_is_named(tmp_path):
    for name, load in (("r.csv", load_labelled), ("p.tsv", load_pairs)):
        path = write(tmp_path / name, "<!DOCTYPE html>\n<html><body>404, not\tfound</body></html>\n")
        with pytest.raises(ValueError, match=rf"{name} is a web page"):
            load(path)


def test_utf_16_without_a_mark_is_read(tmp_path):
    for encoding in ("utf-16-le", "utf-16-be"):
        path = write(tmp_path / "r.csv", "text,label\ngood,pos\nbad,neg\n", encoding)
        assert rows_of(load_labelled(path)[0]) == [("good", "pos"), ("bad", "neg")]
        assert load_texts(write(tmp_path / "t.txt", "one\ntwo\n", encoding))[0]["text"][:] == ["one", "two"]


def test_a_byte_order_mark_overrules_the_named_encoding(tmp_path):
    (tmp_path / "r.csv").write_bytes(codecs.BOM_UTF8 + "text,label\nété,pos\nbad,neg\n".encode())
    loaded = load_labelled(tmp_path / "r.csv", csv_format=CsvFormat(encoding="latin-1"))[0]
    assert rows_of(loaded) == [("été", "pos"), ("bad", "neg")]


def test_the_lines_of_an_encoding_that_is_not_ascii(tmp_path):
    path = write(tmp_path / "r.csv", "text,label\ngood,pos\nbad,neg\n", "cp037")
    assert rows_of(load_labelled(path, csv_format=CsvFormat(encoding="cp037"))[0]) == [("good", "pos"), ("bad", "neg")]


def test_nul_characters_are_counted(tmp_path):
    path = write(tmp_path / "r.csv", "text,label\na\0b,pos\nfine,pos\nbad,neg\n")
    assert load_labelled(path)[1].counts == {BadRow.NUL: 1}
    assert load_texts(write(tmp_path / "t.txt", "a\0b\nfine\n"))[1].counts == {BadRow.NUL: 1}


@pytest.mark.parametrize("above", ["", "\n\n", "  \n", ",\n", "sep=;\n", '"sep=;"\r\n'])
def test_blank_lines_and_a_separator_line_above_the_header_are_no_rows(tmp_path, above):
    delimiter = ";" if "sep" in above else ","
    path = write(tmp_path / "r.csv", above + "text,label\ngood,pos\nbad\nbad,neg\n".replace(",", delimiter))
    dataset, report = load_labelled(path)
    assert rows_of(dataset) == [("good", "pos"), ("bad", "neg")]
    assert report.examples == {BadRow.FIELDS: [f"{path}:{above.count(chr(10)) + 3}"]}


@pytest.mark.parametrize("above", ["# a comment\n", "Ratings of films\n\n", "1,2\n"])
def test_a_header_below_other_lines_is_named(tmp_path, above):
    path = write(tmp_path / "r.csv", above + "text,label\ngood,pos\nbad,neg\n")
    with pytest.raises(ValueError, match=rf"r\.csv:{above.count(chr(10)) + 1} seems to name the columns"):
        load_labelled(path)


def test_a_header_of_joined_files_is_no_row(tmp_path):
    for name, delimiter in (("r.csv", ","), ("r.tsv", "\t")):
        text = "text,label\ngood,pos\ntext,label\nbad,neg\n".replace(",", delimiter)
        dataset, report = load_labelled(write(tmp_path / name, text))
        assert rows_of(dataset) == [("good", "pos"), ("bad", "neg")] and report.counts == {BadRow.HEADER: 1}
    _, report = load_pairs(write(tmp_path / "p.tsv", "en\tde\na dog\tein Hund\nen\tde\n"))
    assert report.counts == {BadRow.HEADER: 1}


def test_usual_names_may_be_in_capitals(tmp_path):
    assert rows_of(load_labelled(write(tmp_path / "r.csv", "ID,Text,Sentiment\n1,good,pos\n2,bad,neg\n"))[0]) == [
        ("good", "pos"),
        ("bad", "neg"),
    ]
    assert len(load_pairs(write(tmp_path / "p.csv", "EN,DE\na dog,ein Hund\n"))[0]) == 1
    with pytest.raises(ValueError, match=r"'texts'.*'Text'"):
        load_labelled(tmp_path / "r.csv", text_column="texts")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,text,label\na,b,pos\nc,d,neg\n", "'text' 2 times"),
        ("text,id\na,1\nc,2\n", "text_column and label_column"),
        ("text\nhello, you\nworld, me\n", "text_column and label_column"),
        ("good film\nbad film\n", "single column"),
        ("good film:pos\nbad film:neg\n", "single column"),
        ("1,good film,pos\n2,bad film,neg\n", "3 columns and no header"),
        ('"text" ,"label"\na,pos\nb,neg\n', "cannot be read .quotes in the wrong place"),
        ("\n\n \n", "blank lines"),
    ],
)
def test_columns_that_would_be_guessed_wrong_are_asked_for(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"r\.csv.*{message}"):
        load_labelled(write(tmp_path / "r.csv", text))


def test_columns_by_number(tmp_path, caplog):
    path = write(tmp_path / "r.csv", "comment,mood\ngood,pos\nbad,neg\n")
    assert len(load_labelled(path, text_column=0, label_column=1)[0]) == 3
    assert "is read as data" in caplog.text
    with pytest.raises(ValueError, match="2 columns, with the numbers 0 to 1; there is no 7"):
        load_labelled(path, text_column=0, label_column=7)


def test_rows_that_do_not_fit_the_header_are_counted(tmp_path):
    path = write(tmp_path / "r.csv", "text,label\ngood,1,5\nbad,2,5\n")  # decimal commas
    with pytest.raises(ValueError, match=r"wrong number of fields: 2 \(.*r\.csv:2"):
        load_labelled(path)
    path = write(tmp_path / "t.csv", "text,label,\ngood,pos\nbad,neg,\nfine,pos,,\n")  # only empty fields too many
    assert load_labelled(path)[1].skipped == 0


@pytest.mark.parametrize("delimiter", ["\n", "\r", '"', "\0", "", "ab"])
def test_characters_that_cannot_separate_fields(delimiter):
    with pytest.raises(ValueError, match="delimiter"):
        CsvFormat(delimiter=delimiter)
    assert CsvFormat(delimiter="\\t").delimiter == "\t"


@pytest.mark.parametrize(
    "content",
    [
        {"data": [{"text": "a", "label": "b"}]},
        {"text": ["a", "b"], "label": ["x", "y"]},
        {"version": "1.1", "data": [{"title": "t", "paragraphs": []}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_one_json_object_that_holds_all_rows_is_explained(tmp_path, content, indent):
    with pytest.raises(ValueError, match=r"r\.json is one JSON object.*JSON lines"):
        load_labelled(write(tmp_path / "r.json", json.dumps(content, indent=indent)))


def test_json_that_python_cannot_hold_is_a_bad_row(tmp_path):
    good = '{"text": "good", "label": "pos"}\n{"text": "bad", "label": "neg"}\n'
    for bad in ("[" * 100_000 + "]" * 100_000, "9" * 10_000, "1", '"a"', "{'text': 'a'}"):
        path = write(tmp_path / "r.jsonl", f'{{"text": "a", "label": "x", "more": {bad}\n{good}')
        assert load_labelled(path)[1].counts == {BadRow.NOT_JSON: 1}
        with pytest.raises(ValueError, match=r"r\.json.*JSON lines"):
            load_labelled(write(tmp_path / "r.json", bad))


def test_parquet_columns_that_are_no_labels_are_named(tmp_path):
    def load(labels, names=("text", "label")):
        columns = [pa.array(["a", "b"]), *[labels] * (len(names) - 1)]
        pq.write_table(pa.Table.from_arrays(columns, names=list(names)), tmp_path / "r.parquet")
        return load_labelled(tmp_path / "r.parquet")[0]

    numbers = load(pa.array([[Decimal("1")], []], pa.list_(pa.decimal128(3, 0))))
    assert numbers["label"][:] == [[1.0], []]
    with pytest.raises(ValueError, match="64 bits"):
        load(pa.array([2**63, 1], pa.uint64()))
    with pytest.raises(ValueError, match="several columns with the name 'label'"):
        load(pa.array(["x", "y"]), ("text", "label", "label"))
    with pytest.raises(ValueError, match="type date"):
        fit_labels(load(pa.array([1, 2], pa.date32())), "single")
    with pytest.raises(ValueError, match="infinite"):
        fit_labels(load(pa.array([float("inf"), 1.0])), "single")
    for damaged, message in ((b"", "0 bytes"), ((tmp_path / "r.parquet").read_bytes()[:-9], "download it again")):
        (tmp_path / "r.parquet").write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"r\.parquet.*{message}"):
            load_labelled(tmp_path / "r.parquet")
    (tmp_path / "r.parquet.gz").write_bytes(b"")
    with pytest.raises(ValueError, match="compressed Parquet"):
        load_labelled(tmp_path / "r.parquet.gz")


def test_class_names_that_are_written_in_several_ways(tmp_path):
    def names(*labels):
        rows = "".join(f"text {number},{label}\n" for number, label in enumerate(labels))
        return fit_labels(load_labelled(write(tmp_path / "r.csv", "text,label\n" + rows))[0], "single").names

    assert names("+1", "-1", "1") == ("-1", "1")
    assert names("1e0", "0", "1.000e+00") == ("0", "1")
    for labels, message in (
        (("NaN", "x", "y"), "'NaN' .1 row. seems to stand for a missing label"),
        (("1.5", "2.5", "2"), "is this a regression"),
        (("x\u200b", "x", "y"), "Unicode form"),
    ):
        with pytest.raises(ValueError, match=message):
            names(*labels)
    with pytest.raises(ValueError, match="label_separator"):
        fit_labels(load_labelled(tmp_path / "r.csv")[0], "multi", separator="")
