"""Reading input lines and writing answers, for the commands that apply a model to lines of text."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ..files import file_aside
from ..text_lines import check_utf_8, text_lines
from ..wording import counted
from .option_types import beams, path_or_name
from .parser import add_output_option

# The maximum size of one window of a stream. A pipe holds at most 64 KiB anyway.
_WINDOW_BYTES = 1 << 16
_WINDOW_LINES = 1000
# Tokenizers without a limit have 10^30 here.
NO_LIMIT = 1 << 40


@dataclass(frozen=True)
class Answer:
    """One answer of the model to an input line.

    Attributes:
        text: the answer.
        score: its probability or log-probability, as the command documents.
    """

    text: str
    score: float


def add_line_arguments(parser: argparse.ArgumentParser, inputs: str, answers: str, score: str) -> None:
    """Adds the options that these commands share.

    Args:
        parser: of the command.
        inputs: name of the input lines in the help text, such as ``source sentences``.
        answers: name of the answers, such as ``translations``.
        score: name of an answer's score, such as ``log-probability``.
    """
    parser.add_argument(
        "model", metavar="MODEL", type=path_or_name, help="folder of a model or of a run, or a name on the Hub"
    )
    files = parser.add_argument_group("input and output")
    files.add_argument(
        "--input",
        metavar="FILE",
        type=path_or_name,
        help=f"file with the {inputs}, one a line, also compressed (.gz, .bz2, .xz, .zst); - is standard input "
        "(default: standard input)",
    )
    add_output_option(files, "FILE", f"file for the {answers} (default: standard output)")
    files.add_argument(
        "--n-best",
        type=beams,
        metavar="N",
        help=f"print the N best {answers}, each after the number of its input line",
    )
    files.add_argument("--scores", action="store_true", help=f"print the {score} before each answer")
    files.add_argument(
        "--json", action="store_true", help="print one JSON object a line: number, input and answers of a line"
    )
    files.add_argument(
        "--attention",
        metavar="FILE",
        type=path_or_name,
        help="draw the attention to a .png, .svg or .pdf file: out.png, then out-2.png for the second line, ...",
    )
    model = parser.add_argument_group("model")
    model.add_argument("--device", help="cpu, cuda, mps, ... (default: the accelerator if there is one)")
    add_precision_argument(model)
    model.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="allow the model's own Python code to run (not needed for models of this package)",
    )


def add_precision_argument(parser: argparse._ActionsContainer, default: str | None = "float32") -> None:
    """Adds `--precision`, with which a model on a CPU computes in fewer bits."""
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16", "int8"],
        default=default,
        help="of large linear maps on the CPU; int8 and bfloat16 are faster and change the answers a little "
        "(default: float32)",
    )


def add_language_arguments(parser: argparse._ActionsContainer) -> None:
    """Adds the options of tokenizers that know several languages, such as mBART, M2M100 and NLLB."""
    parser.add_argument("--src-lang", metavar="CODE", help="source language, as the tokenizer writes it (eng_Latn, en)")
    parser.add_argument("--tgt-lang", metavar="CODE", help="target language, as the tokenizer writes it (fra_Latn, fr)")


def check_line_arguments(arguments: argparse.Namespace) -> None:
    """Checks the options of `add_line_arguments` before any work starts.

    Raises:
        ValueError: `--output` or `--attention` is a folder, or `--attention` has no suffix of an image.
    """
    for option in ("output", "attention"):
        given = getattr(arguments, option)
        if given is not None and Path(given).is_dir():
            raise ValueError(f"--{option} {given} is a folder: give a file.")
    if arguments.attention is not None and Path(arguments.attention).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--attention {arguments.attention} must end with .png, .svg or .pdf.")


def load_for_lines(arguments: argparse.Namespace, *auto_classes: str) -> tuple[Any, Any]:
    """Loads the model and the tokenizer of a command with one of these Auto classes.

    Raises:
        ValueError: the checkpoint does not support the command.
        OSError: there is no such model.
    """
    from ..pipelines.loading import load_model

    model, tokenizer = load_model(
        arguments.model,
        *auto_classes,
        purpose=f"hf-vanilla {arguments.command}",
        device=arguments.device,
        precision=arguments.precision,
        trust_remote_code=arguments.trust_remote_code,
    )
    if arguments.precision != "float32":
        from ..inference.low_precision import describe_precision

        print(f"hf-vanilla {arguments.command}: {describe_precision(model)}", file=sys.stderr)
    return model, tokenizer


def read_lines(path: str) -> list[str]:
    """The lines of a file, also of a compressed one or of a pipe such as `/dev/fd/63`; see `text_lines`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, it is not text, or a line is not UTF-8; the message names the line.
    """
    if not Path(path).exists():
        raise FileNotFoundError(
            f"There is no file --input {path}: give an existing file, or pipe the text to standard input."
        )
    if Path(path).is_dir():
        raise ValueError(f"--input {path} is a folder: give a file.")
    lines = []
    for number, line in enumerate(text_lines(Path(path)), 1):
        if isinstance(line, UnicodeDecodeError):
            raise ValueError(f"Line {number} of --input {path} is not UTF-8: {line}.") from line
        lines.append(line)
    return lines


def windows_of_lines(path: str | None, *, one_window: bool = False) -> Iterator[list[str]]:
    """Yields input lines in windows: 1000 lines of a file, or the lines of a stream that have arrived.

    Lines that a user types, or that a slow program pipes in, are therefore answered at once.

    Args:
        path: a file, which is read and checked before the first window; standard input if None or `-`.
        one_window: put all lines of a file into one window.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8; the message names the line.
    """
    if path in (None, "-"):
        if sys.stdin is None:
            raise ValueError("Standard input is closed: give the text with --input FILE.")
        return _windows_of_stream()
    lines = read_lines(path)
    size = max(1, len(lines)) if one_window else _WINDOW_LINES
    return (lines[start : start + size] for start in range(0, len(lines), size))


def _windows_of_stream() -> Iterator[list[str]]:
    number = 1
    parts: list[bytes] = []  # of a line that has not ended
    while data := sys.stdin.buffer.read1(_WINDOW_BYTES):  # blocks until data arrives, then returns what has arrived
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = b"".join([*parts, complete[0]])
            parts = []
            yield [_decoded(line, number + index) for index, line in enumerate(complete)]
            number += len(complete)
        parts += [rest] if rest else []
    if parts:
        yield [_decoded(b"".join(parts), number)]


def _decoded(line: bytes, number: int) -> str:
    """A line of standard input; the first one is checked for other encodings than UTF-8 and for binary data."""
    if number == 1:
        check_utf_8(line, "standard input", "convert it with a pipe such as | iconv -f utf-16 -t utf-8")
    try:
        # The first line may have a byte order mark, which is not part of the text.
        return line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"Line {number} of standard input is not UTF-8: {error}.") from error


def longest_input(model: Any, tokenizer: Any) -> int | None:
    """The largest number of tokens that a model can read, special tokens included; None if there is no limit."""
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    limits = [int(limit) for limit in limits if limit is not None and 0 < limit < NO_LIMIT]
    return min(limits, default=None)


class LongLines:
    """Counts the lines that are longer than the model, and reports them once at the end.

    Args:
        command: name of the command.
        limit: the largest number of tokens that the model can read; None if there is no limit.
        treatment: what happens to these lines, such as ``not translated``.
    """

    def __init__(self, command: str, limit: int | None, treatment: str) -> None:
        self.command = command
        self.limit = limit
        self.treatment = treatment
        self.numbers: list[int] = []

    def is_long(self, number: int, tokens: int) -> bool:
        """Whether the line with this number is too long; it is then counted."""
        if self.limit is None or tokens <= self.limit:
            return False
        self.numbers.append(number)
        return True

    def report(self) -> None:
        """Prints how many lines were too long, and which."""
        if self.numbers:
            shown = ", ".join(map(str, self.numbers[:10])) + (", ..." if len(self.numbers) > 10 else "")
            count = len(self.numbers)
            print(
                f"hf-vanilla {self.command}: {counted(count, 'line')} with more than the {self.limit} tokens that the "
                f"model can read (line{'s' if count > 1 else ''} {shown}): {self.treatment}.",
                file=sys.stderr,
            )


class AnswerWriter:
    """Writes the answers to each line in the format that the options select.

    By default, the best answer is one output line. `--scores` writes the score and a tab before it. `--n-best` writes
    one line for each answer, which begins with the number of the input line and a tab. `--json` writes one object with
    all answers for each input line.
    """

    def __init__(self, arguments: argparse.Namespace, file: IO[str]) -> None:
        self.n_best: int | None = arguments.n_best
        self.scores: bool = arguments.scores
        self.json: bool = arguments.json
        self.file = file
        self.lines = 0

    def write(self, line: str, answers: list[Answer]) -> None:
        """Writes the answers to the next input line, the best first."""
        self.lines += 1
        if self.json:
            record = {"line": self.lines, "input": line, "answers": [asdict(answer) for answer in answers]}
            print(json.dumps(record, ensure_ascii=False), file=self.file)
            return
        for answer in answers:
            columns = [str(self.lines)] if self.n_best is not None else []
            columns += [f"{answer.score:.4f}"] if self.scores else []
            print("\t".join([*columns, answer.text]), file=self.file)

    def flush(self) -> None:
        """Makes the answers visible to a reader of the stream."""
        self.file.flush()


@contextmanager
def answer_writer(arguments: argparse.Namespace) -> Iterator[AnswerWriter]:
    """Yields a writer to standard output, or to the file `--output`, which exists only when it is complete."""
    if arguments.output is None:
        if sys.stdout is None:
            raise ValueError("Standard output is closed: give --output FILE.")
        yield AnswerWriter(arguments, sys.stdout)
        return
    with file_aside(arguments.output) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        writer = AnswerWriter(arguments, file)
        yield writer
    print(f"{arguments.output}: answers to {counted(writer.lines, 'line')}", file=sys.stderr)
