"""Lines in and answers out, for the commands that use a model: files and streams, ranks, scores, JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

# As much text as one window of a stream may have. A pipe gives at most 64 KiB at a time anyway.
_WINDOW_BYTES = 1 << 16
_WINDOW_LINES = 1000


@dataclass(frozen=True)
class Answer:
    """One of the answers to a line.

    Attributes:
        text: what the model says.
        score: how sure it is; the command says what the number means.
    """

    text: str
    score: float


def add_line_arguments(parser: argparse.ArgumentParser, what: str, answers: str, score: str) -> None:
    """The options that all commands share which answer lines.

    Args:
        parser: of the command.
        what: what a line is, such as ``source text``.
        answers: what comes out, such as ``translations``.
        score: what the score of an answer is.
    """
    parser.add_argument("model", metavar="MODEL", help="folder of a model, or its name on the Hub")
    parser.add_argument("--input", metavar="FILE", help=f"{what} (default: standard input, answered as it comes)")
    parser.add_argument("--output", metavar="FILE", help=f"{answers} (default: standard output)")
    parser.add_argument(
        "--n-best", type=int, metavar="N", help=f"the N best {answers} of each line, its number before each"
    )
    parser.add_argument("--scores", action="store_true", help=f"before each answer, {score}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: the input and its answers")
    parser.add_argument(
        "--attention", metavar="PICTURE", help="draw what the model looks at: out.png, and out-2.png for the next line"
    )
    parser.add_argument("--device", default=None, help="cpu, cuda, mps ... (default: a GPU if there is one)")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with the model, if it is not ours"
    )


def check_line_arguments(arguments: argparse.Namespace) -> None:
    """Raises before any work what is wrong with the options of `add_line_arguments`.

    Raises:
        ValueError: a number that is none, or a picture without a known ending.
    """
    if arguments.n_best is not None and arguments.n_best < 1:
        raise ValueError(f"--n-best {arguments.n_best} is no number of answers: give at least 1.")
    if arguments.attention is not None and Path(arguments.attention).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--attention {arguments.attention} does not end like a picture: use .png, .svg or .pdf.")


def load_for_lines(arguments: argparse.Namespace, *auto_classes: str) -> tuple[Any, Any]:
    """The model and the tokenizer that the command was given, by one of these Auto classes.

    Raises:
        ValueError: the model is of another kind, or without weights for this use.
        OSError: there is no such model.
    """
    from ..pipelines.loading import load_model

    return load_model(
        arguments.model,
        *auto_classes,
        use=f"hf-vanilla {arguments.command}",
        device=arguments.device,
        trust_remote_code=arguments.trust_remote_code,
    )


def read_lines(path: str) -> list[str]:
    """The lines of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8; the message names the line.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}; name the source text with --input, or pipe it in.")
    lines = [_decoded(line, number, path) for number, line in enumerate(Path(path).read_bytes().split(b"\n"), 1)]
    return lines[:-1] if lines and not lines[-1] else lines


def windows_of_lines(path: str | None, *, whole: bool = False) -> Iterator[list[str]]:
    """Lines in windows: of a file, so many that batches can be filled; of a stream, as many as are there.

    Whoever types, or pipes from a program that thinks between lines, has an answer to each line at once.

    Args:
        path: a file, which is read and checked at once; standard input if None.
        whole: make one window of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8; the message names the line.
    """
    if path is None:
        return _windows_of_stream()
    lines = read_lines(path)
    size = max(1, len(lines)) if whole else _WINDOW_LINES
    return (lines[start : start + size] for start in range(0, len(lines), size))


def _windows_of_stream() -> Iterator[list[str]]:
    number, rest = 1, b""
    while data := sys.stdin.buffer.read1(_WINDOW_BYTES):  # waits for something, then takes what is there
        *complete, rest = (rest + data).split(b"\n")
        if complete:
            yield [_decoded(line, number + index, None) for index, line in enumerate(complete)]
            number += len(complete)
    if rest:
        yield [_decoded(rest, number, None)]


def _decoded(line: bytes, number: int, path: str | None) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"Line {number} of {path or 'standard input'} is not UTF-8: {error}.") from error


class AnswerWriter:
    """Writes the answers to each line in the form that the options ask for.

    Plain, the best answer is a line. `--scores` puts the score and a tab before it. `--n-best` writes a line for each
    answer, the number of the input line and a tab first. `--json` writes everything, one object for each input line.
    """

    def __init__(self, arguments: argparse.Namespace, file: IO[str]) -> None:
        self.n_best: int | None = arguments.n_best
        self.scores: bool = arguments.scores
        self.json: bool = arguments.json
        self.file = file
        self.lines = 0

    def write(self, line: str, answers: list[Answer]) -> None:
        """The next input line and its answers, the best first."""
        self.lines += 1
        if self.json:
            found = {"line": self.lines, "input": line, "answers": [asdict(answer) for answer in answers]}
            print(json.dumps(found, ensure_ascii=False), file=self.file)
            return
        for answer in answers:
            columns = [str(self.lines)] if self.n_best is not None else []
            columns += [f"{answer.score:.4f}"] if self.scores else []
            print("\t".join([*columns, answer.text]), file=self.file)

    def flush(self) -> None:
        """Shows what was written to whoever is waiting."""
        self.file.flush()


@contextmanager
def answer_writer(arguments: argparse.Namespace) -> Iterator[AnswerWriter]:
    """A writer to standard output, or to `--output`, which is there only when all answers are in it."""
    if arguments.output is None:
        yield AnswerWriter(arguments, sys.stdout)
        return
    path = Path(arguments.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            writer = AnswerWriter(arguments, file)
            yield writer
        os.chmod(aside, 0o644)
        os.replace(aside, path)
        print(f"{path}: answers to {writer.lines} lines", file=sys.stderr)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
