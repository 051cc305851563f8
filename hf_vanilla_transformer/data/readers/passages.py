"""Questions about passages and questions with choices, each bad row accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets

from .columns import Columns
from .file_formats import CHUNK, Chunk, Undecodable
from .row_report import BadRow, RowReport
from .sources import find_rows
from .tables import TABLES, table_suffix
from .unlabelled import Source

_LETTERS = "ABCDEFGHIJ"


def load_questions(
    source: Source,
    *,
    question_column: str = "question",
    context_column: str = "context",
    answers_column: str = "answers",
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: Literal["skip", "error"] = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads questions whose answers stand in a passage, as SQuAD has them (Rajpurkar et al. 2016).

    Args:
        source: a file (`.parquet`, JSON lines), a list of such files, a folder with a file called after the split, a
            name on the Hub or a data set.
        question_column, context_column: texts.
        answers_column: a structure of two lists, `text` and `answer_start` (the character at which each begins). Empty
            lists mean that the passage does not answer the question.
        split: which split of a folder or data set.
        config_name: which configuration of a data set on the Hub.
        on_bad_row: leave bad rows out, counting them, or raise at the first one. A row is bad if an answer does not
            stand where it says.

    Returns:
        The data set with the columns `question`, `context`, `answers` (list of texts) and `starts` (list of numbers),
        and the account of what was read.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such columns, not one good row, or a bad row with `on_bad_row="error"`.
    """

    def row_of(values: Sequence[Any]) -> dict[str, Any] | BadRow:
        question, context, answers = values
        problem = _text_problem(question) or _text_problem(context)
        if problem is not None:
            return problem
        if not isinstance(answers, dict) or not {"text", "answer_start"} <= answers.keys():
            return BadRow.NO_LABEL if answers is None else BadRow.LABEL_TYPE
        texts, starts = answers["text"], answers["answer_start"]
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            return BadRow.LABEL_TYPE
        for text, start in zip(texts, starts):
            if not isinstance(text, str) or not isinstance(start, int) or context[start : start + len(text)] != text:
                return BadRow.NOT_IN_CONTEXT
        return {"question": question, "context": context, "answers": texts, "starts": starts}

    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "context": datasets.Value("string"),
            "answers": datasets.List(datasets.Value("string")),
            "starts": datasets.List(datasets.Value("int64")),
        }
    )
    columns = (question_column, context_column, answers_column)
    return _load(source, columns, row_of, features, split, config_name, on_bad_row)


def load_choices(
    source: Source,
    *,
    question_column: str = "question",
    choices_columns: Sequence[str] = ("choices",),
    label_column: str = "label",
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: Literal["skip", "error"] = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads questions (or beginnings of texts) with choices, one of which is right.

    Args:
        source: as for `load_questions`; CSV and TSV too, where each choice has a column.
        question_column: a text.
        choices_columns: the columns of the choices; or one column with a list of them, or with a structure of two
            lists, `text` and `label`.
        label_column: the right one: its number from 0, a letter from A, the choice itself, or its `label`.
        split, config_name, on_bad_row: as for `load_questions`.

    Returns:
        The data set with the columns `question`, `choices` (list of texts) and `label` (number), and the account.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such columns, not one good row, or a bad row with `on_bad_row="error"`.
    """

    def row_of(values: Sequence[Any]) -> dict[str, Any] | BadRow:
        question, *given, label = values
        names = None
        choices = given[0] if len(given) == 1 else given
        if isinstance(choices, dict) and {"text", "label"} <= choices.keys():
            choices, names = choices["text"], choices["label"]
        if not isinstance(choices, list) or len(choices) < 2:
            return BadRow.CHOICES
        problem = next(filter(None, map(_text_problem, (question, *choices))), None)
        if problem is not None:
            return problem
        if label is None or label == "":
            return BadRow.NO_LABEL
        number = _number_of(label, choices, names)
        return BadRow.LABEL_TYPE if number is None else {"question": question, "choices": choices, "label": number}

    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "choices": datasets.List(datasets.Value("string")),
            "label": datasets.Value("int64"),
        }
    )
    columns = (question_column, *choices_columns, label_column)
    return _load(source, columns, row_of, features, split, config_name, on_bad_row)


def _number_of(label: Any, choices: list[str], names: list[Any] | None) -> int | None:
    """The number of the right choice, from 0; None if there is no such choice."""
    if names is not None and label in names:
        return names.index(label)
    if label in choices and choices.count(label) == 1:
        return choices.index(label)
    if isinstance(label, str):
        label = label.strip()
        if label.isdecimal():
            label = int(label)
        elif len(label) == 1 and label.upper() in _LETTERS:
            label = _LETTERS.index(label.upper())
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    whole = isinstance(label, int) and not isinstance(label, bool)
    return label if whole and 0 <= label < len(choices) else None


def _text_problem(value: Any) -> BadRow | None:
    if value is None:
        return BadRow.MISSING
    if isinstance(value, Undecodable):
        return BadRow.NOT_UTF8
    if not isinstance(value, str):
        return BadRow.NOT_TEXT
    return None if value.strip() else BadRow.EMPTY


def _load(
    source: Source,
    columns: Sequence[str],
    row_of: Callable[[Sequence[Any]], dict[str, Any] | BadRow],
    features: datasets.Features,
    split: str,
    config_name: str | None,
    on_bad_row: str,
) -> tuple[datasets.Dataset, RowReport]:
    if on_bad_row not in ("skip", "error"):
        raise ValueError(f"on_bad_row must be 'skip' or 'error', but is {on_bad_row!r}.")
    if len(set(columns)) < len(columns):
        raise ValueError(f"The columns {', '.join(map(repr, columns))} must differ.")
    wanted = Columns((tuple((name,) for name in columns),), ", ".join(map(repr, columns)), named=True)

    def files(paths: Sequence[Path]) -> Callable[[], Iterator[Chunk]]:
        for path in paths:
            if table_suffix(path) is None:
                raise ValueError(
                    f"{path} does not say what it holds by its ending; rows are read from {', '.join(TABLES)}."
                )
        return lambda: (chunk for path in paths for chunk in TABLES[table_suffix(path)](path, wanted))

    name, found = find_rows(source, split, files, config_name=config_name)
    if isinstance(found, datasets.Dataset):
        wanted.choose(dict.fromkeys(found.column_names), name)
        chunks = _of_dataset(found, columns, name)
    else:
        chunks = found()
    report, rows = RowReport(name), []
    for chunk in chunks:
        report.rows += len(chunk.numbers)
        for index, values in enumerate(zip(*chunk.sides)):
            row = chunk.problems.get(index) or row_of(values)
            if not isinstance(row, BadRow):
                rows.append(row)
                continue
            report.leave_out(row, f"{chunk.place}:{chunk.numbers[index]}", on_bad_row)
    report.close()
    return datasets.Dataset.from_list(rows, features=features), report


def _of_dataset(dataset: datasets.Dataset, columns: Sequence[str], name: str) -> Iterator[Chunk]:
    dataset = dataset.with_format(None).select_columns(list(columns))
    for begin in range(0, len(dataset), CHUNK):
        batch = dataset[begin : begin + CHUNK]
        yield Chunk(name, range(begin, begin + len(batch[columns[0]])), [batch[column] for column in columns])


__all__ = ["load_choices", "load_questions"]
