"""Questions about passages, with the offsets of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets

from .bad_rows import BadRow, OnBadRow, check_on_bad_row
from .checked_rows import load_checked_rows, named_columns
from .row_report import RowReport
from .sources import Source, open_rows
from .text_problems import text_problem


def load_questions(
    source: Source,
    *,
    question_column: str = "question",
    context_column: str = "context",
    answers_column: str = "answers",
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: OnBadRow = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads questions with passages that contain their answers, as in SQuAD (Rajpurkar et al. 2016).

    Args:
        source: a file (`.parquet`, JSON lines), a list of such files, a folder whose files are named after the split,
            a name on the Hub or a data set.
        question_column, context_column: texts.
        answers_column: a structure of two lists, `text` and `answer_start` (the offset of each answer in the context,
            in characters). Empty lists mean that the passage does not answer the question.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub.
        on_bad_row: skip and count bad rows, or raise an error at the first one. A row is bad if the context does not
            contain an answer at its offset.

    Returns:
        The data set with the columns `question`, `context`, `answers` (list of texts) and `starts` (list of offsets
        in characters), and the report of its rows.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the columns do not exist, no row is valid, or a row is bad with `on_bad_row="error"`.
    """
    check_on_bad_row(on_bad_row)

    def row_of(values: Sequence[Any]) -> dict[str, Any] | BadRow:
        question, context, answers = values
        problem = text_problem(question) or text_problem(context)
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
    name, batches = open_rows(source, named_columns(columns), split, config_name=config_name)
    return load_checked_rows(name, batches, row_of, features, on_bad_row)
