"""Reading input lines from files and streams, and writing answers in each format."""

import argparse
import io
import json
import os
import sys

import pytest

from hf_vanilla_transformer.commands.attention_images import image_path
from hf_vanilla_transformer.commands.lines import (
    Answer,
    add_line_arguments,
    answer_writer,
    check_line_arguments,
    windows_of_lines,
)


def options(*arguments):
    parser = argparse.ArgumentParser()
    add_line_arguments(parser, "source text", "translations", "log-probability")
    return parser.parse_args(["model", *arguments])


def test_a_file_is_read_in_windows_or_in_one(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"one\r\n\nthree\n" * 500 + "vier ü".encode())
    assert [len(window) for window in windows_of_lines(str(path))] == [1000, 501]
    (lines,) = windows_of_lines(str(path), one_window=True)
    assert lines[:3] == ["one", "", "three"] and lines[-1] == "vier ü"
    path.write_bytes(b"")
    assert list(windows_of_lines(str(path))) == []


def test_lines_of_a_stream_are_read_as_they_arrive(monkeypatch):
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as stdin, open(writing, "wb", buffering=0) as stream:
        monkeypatch.setattr(sys, "stdin", stdin)
        windows = windows_of_lines(None)
        stream.write(b"first\nsec")
        assert next(windows) == ["first"]
        stream.write(b"ond\nthird \xc3")  # half a character
        assert next(windows) == ["second"]
        stream.write(b"\xbc\nlast")
        assert next(windows) == ["third ü"]
        stream.close()
        assert list(windows) == [["last"]]


def test_a_line_that_is_not_utf_8_is_named(tmp_path, monkeypatch):
    (tmp_path / "bad").write_bytes(b"good\n\xff\n")
    with pytest.raises(ValueError, match=r"Line 2 of .*bad\b.*UTF-8"):
        windows_of_lines(str(tmp_path / "bad"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\n\xff\n")))
    with pytest.raises(ValueError, match="Line 2 of standard input"):
        list(windows_of_lines(None))
    with pytest.raises(FileNotFoundError, match="--input nowhere"):
        windows_of_lines("nowhere")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "eins\nzwei\n"),
        (["--scores"], "-0.5000\teins\n-1.2500\tzwei\n"),
        (["--n-best", "2"], "1\teins\n1\tzwei\n"),
        (["--n-best", "2", "--scores"], "1\t-0.5000\teins\n1\t-1.2500\tzwei\n"),
    ],
)
def test_answers_have_the_chosen_format(arguments, expected, capsys):
    with answer_writer(options(*arguments)) as writer:
        writer.write("one", [Answer("eins", -0.5), Answer("zwei", -1.25)])
    assert capsys.readouterr().out == expected


def test_json_contains_the_input_and_all_answers(tmp_path, capsys):
    path = tmp_path / "new" / "answers"
    with answer_writer(options("--json", "--output", str(path))) as writer:
        writer.write("ü", [Answer("a\nb", -0.5)])
        assert not path.exists()
    assert json.loads(path.read_text()) == {
        "line": 1,
        "input": "ü",
        "answers": [{"text": "a\nb", "score": -0.5}],
    }
    assert f"{path}: answers to 1 line\n" in capsys.readouterr().err


def test_an_output_file_is_complete_or_absent(tmp_path):
    with pytest.raises(RuntimeError), answer_writer(options("--output", str(tmp_path / "answers"))) as writer:
        writer.write("one", [Answer("eins", 0.0)])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--output", "."], r"--output \. is a folder"), (["--attention", "out.txt"], "--attention out.txt")],
)
def test_options_are_checked_before_the_work(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_line_arguments(options(*arguments))


def test_images_are_numbered_from_the_second():
    assert [str(image_path("a/out.png", number)) for number in (1, 2, 10)] == [
        "a/out.png",
        "a/out-2.png",
        "a/out-10.png",
    ]
