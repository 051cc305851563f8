"""Sentences in CoNLL-U, the format of Universal Dependencies (https://universaldependencies.org/format.html)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .bad_rows import BadRow
from .columns import Columns
from .row_batch import ROWS_PER_BATCH, RowBatch, Undecodable
from .text_files import lines

# The index of each column among the ten fields of a word's line.
_FIELDS = {"tokens": 1, "lemma": 2, "upos": 3, "xpos": 4, "feats": 5, "head": 6, "deprel": 7}
# Columns that stand in the comments before a sentence.
_COMMENTS = ("text", "sent_id")
_COLUMNS = (*_FIELDS, *_COMMENTS)


def read_conllu(path: Path, wanted: Columns) -> Iterator[RowBatch]:
    """Reads the sentences of a file, plain or compressed. The number of a row is the line of its first word.

    The columns `tokens`, `lemma`, `upos`, `xpos`, `feats`, `head` (numbers from 1; 0 for the root) and `deprel` are
    lists with one value per word; `text` and `sent_id` are texts from the comments. Lines of multiword tokens
    (``1-2``) and of empty nodes (``8.1``) are skipped, as in the CoNLL 2018 evaluation.
    """
    paths = wanted.choose(dict.fromkeys(_COLUMNS), str(path))
    names = [one[0] for one in paths]
    sentences = _sentences(path)
    while block := list(islice(sentences, ROWS_PER_BATCH)):
        problems = {index: problem for index, (_, _, problem) in enumerate(block) if problem is not None}
        sides = [[row.get(name) for _, row, _ in block] for name in names]
        yield RowBatch(str(path), [number for number, _, _ in block], sides, problems)


def conllu_sentence(words: Sequence[str], heads: Sequence[int], relations: Sequence[str]) -> str:
    """One sentence in CoNLL-U, followed by a blank line. Unknown fields are `_`.

    Args:
        words: the words of the sentence.
        heads: the number of each word's head, from 1; 0 for the root.
        relations: the relation of each word to its head.

    Raises:
        ValueError: the lists differ in length, or a word or a relation contains a tab or a line break.
    """
    if not len(words) == len(heads) == len(relations):
        raise ValueError(
            f"There are {len(words)} words, {len(heads)} heads and {len(relations)} relations; give one head and one "
            "relation per word."
        )
    lines = []
    for number, (word, head, relation) in enumerate(zip(words, heads, relations), start=1):
        if set(word + relation) & {"\t", "\n", "\r"}:
            raise ValueError(
                f"Word {number}, {word!r} ({relation!r}), contains a tab or a line break, which would end its field; "
                "remove it."
            )
        lines.append("\t".join([str(number), word, "_", "_", "_", "_", str(head), relation, "_", "_"]))
    return "".join(f"{line}\n" for line in [*lines, ""])


def _sentences(path: Path) -> Iterator[tuple[int, dict[str, Any], BadRow | None]]:
    """The number of the first line of each sentence, its columns, and its problem, if it has one."""
    words: list[list[str]] = []
    comments: dict[str, str] = {}
    problem: BadRow | None = None
    first = 0
    number = 0
    for number, line in enumerate(lines(path), start=1):
        if isinstance(line, Undecodable):
            problem, first = problem or BadRow.NOT_UTF8, first or number
        elif line.startswith("#"):
            name, _, value = line[1:].partition("=")
            comments[name.strip()] = value.strip()
        elif line.strip():
            first = first or number
            fields = line.split("\t")
            if len(fields) != 10:
                problem = problem or BadRow.FIELDS
            elif "-" not in fields[0] and "." not in fields[0]:
                words.append(fields)
        elif first:
            yield first, _columns(words, comments), problem
            words, comments, problem, first = [], {}, None, 0
    if first:
        yield first, _columns(words, comments), problem


def _columns(words: list[list[str]], comments: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: [fields[index] for fields in words] for name, index in _FIELDS.items()}
    for name in ("upos", "xpos", "feats", "deprel"):
        row[name] = [None if value == "_" else value for value in row[name]]
    row["head"] = [int(head) if head.isdecimal() else None for head in row["head"]]
    return {**row, **{name: comments.get(name) for name in _COMMENTS}}


__all__ = ["conllu_sentence", "read_conllu"]
