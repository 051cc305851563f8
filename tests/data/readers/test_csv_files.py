"""CSV files as people write them: delimiters, quotes, encodings and headers; bad rows are counted."""

import csv
import gzip
import io
import random

import pytest

from hf_vanilla_transformer.data import BadRow, CsvFormat, load_labelled, load_pairs, load_texts

ROWS = [("a good film", "pos"), ('he said "no", twice', "neg"), ("two\nlines", "pos"), ("좋은 영화; 정말", "neg")]


def write(path, rows, *, header=("text", "label"), delimiter=",", encoding="utf-8"):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([*([header] if header else []), *rows])
    data = buffer.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows_of(dataset):
    return list(zip(dataset["text"], dataset["label"]))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [None, ("text", "label"), ("리뷰", "라벨")])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_the_reader_restores_what_csv_writer_wrote(tmp_path, delimiter, header, name):
    path = write(tmp_path / name, ROWS, delimiter=delimiter, header=header)
    dataset, report = load_labelled(path)
    assert rows_of(dataset) == ROWS and report.skipped == 0


def test_random_fields_are_restored(tmp_path):
    draw = random.Random(3)
    alphabet = 'ab ,;|"\n영화'
    rows = [("x" + "".join(draw.choices(alphabet, k=12)), draw.choice(["p", "n"])) for _ in range(300)]
    dataset, report = load_labelled(write(tmp_path / "r.csv", rows))
    assert rows_of(dataset) == rows and report.rows == 300


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949", "utf-16"])
def test_files_in_other_encodings(tmp_path, encoding):
    path = write(tmp_path / "r.csv", ROWS, encoding=encoding)
    form = None if encoding == "utf-8-sig" else CsvFormat(encoding=encoding)
    assert rows_of(load_labelled(path, csv_format=form)[0]) == ROWS


def test_an_undetected_encoding_is_counted_and_the_remedy_named(tmp_path, caplog):
    path = write(tmp_path / "r.csv", ROWS, encoding="cp949")
    dataset, report = load_labelled(path)
    assert len(dataset) == 3 and report.counts == {BadRow.NOT_UTF8: 1}
    assert "cp949" in caplog.text and f"{path}:6" in caplog.text  # the third record has two lines
    with pytest.raises(ValueError, match="cp949"):
        load_labelled(write(tmp_path / "k.csv", ROWS[3:] * 3, encoding="cp949"))


def test_broken_rows_are_counted_with_their_location(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(
        'text,label\nfine,pos\nbad, really,neg\n"said" he,neg\n,pos\nonly text\nno label,\n\nfine,neg\nfine too,neg\n'
    )
    dataset, report = load_labelled(path)
    assert rows_of(dataset) == [("fine", "pos"), ("fine", "neg"), ("fine too", "neg")]
    assert report.examples == {
        BadRow.FIELDS: [f"{path}:3", f"{path}:6"],
        BadRow.QUOTES: [f"{path}:4"],
        BadRow.EMPTY: [f"{path}:5", f"{path}:8"],
        BadRow.NO_LABEL: [f"{path}:7"],
    }
    with pytest.raises(ValueError, match=r"r\.csv:3: wrong number of fields"):
        load_labelled(path, on_bad_row="error")


def test_a_quote_that_is_never_closed(tmp_path):
    (tmp_path / "r.csv").write_text('text,label\nfine,pos\n"never closed,neg\nfine,neg\n')
    with pytest.raises(ValueError, match=r"r\.csv:3: .*quote"):
        load_labelled(tmp_path / "r.csv", csv_format=CsvFormat(delimiter=","))


def test_an_unknown_header_is_not_read_as_a_row(tmp_path):
    path = write(tmp_path / "r.csv", ROWS * 3, header=("comment", "mood"))
    with pytest.raises(ValueError, match=r"r\.csv.*\['comment', 'mood'\].*header=False"):
        load_labelled(path)
    assert rows_of(load_labelled(path, text_column="comment", label_column="mood")[0]) == ROWS * 3
    by_number = load_labelled(path, text_column=0, label_column=1, csv_format=CsvFormat(header=True))[0]
    assert rows_of(by_number) == ROWS * 3
    assert len(load_labelled(path, csv_format=CsvFormat(header=False))[0]) == 13
    with pytest.raises(ValueError, match=r"'nothing'.*'comment', 'mood'"):
        load_labelled(path, text_column="nothing", label_column="mood")
    with pytest.raises(ValueError, match=r"header=False.*'comment'.*'mood'"):
        load_labelled(path, text_column="comment", label_column="mood", csv_format=CsvFormat(header=False))


def test_tabs_have_no_quotes(tmp_path):
    path = tmp_path / "ratings.tsv"
    path.write_text('id\tdocument\tlabel\n1\t"quoted" from the start\t1\n2\tplain, text\t0\n')
    assert rows_of(load_labelled(path)[0]) == [('"quoted" from the start', "1"), ("plain, text", "0")]
    (tmp_path / "ratings.txt").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"ratings\.txt.*delimiter"):
        load_labelled(tmp_path / "ratings.txt")
    form = CsvFormat(delimiter="\t", quotes=False)
    assert len(load_labelled(tmp_path / "ratings.txt", csv_format=form)[0]) == 2


def test_pairs_and_texts_can_be_csv(tmp_path):
    path = write(tmp_path / "p.csv", [("a dog", "ein Hund"), ("a cat", "eine Katze")], header=("en", "de"))
    assert load_pairs(path)[0]["target"][:] == ["ein Hund", "eine Katze"]
    path = write(tmp_path / "t.csv", ROWS)
    assert load_texts(path)[0]["text"][:] == [text for text, _ in ROWS]


def test_illegal_formats_are_refused():
    with pytest.raises(ValueError, match=r"delimiter='::'"):
        CsvFormat(delimiter="::")
    with pytest.raises(ValueError, match=r"encoding='korean-ish'"):
        CsvFormat(encoding="korean-ish")
