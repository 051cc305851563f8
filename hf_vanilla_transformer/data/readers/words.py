"""Sentences that are lists of words, with one label a word or with a tree, each bad one accounted for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
import pyarrow.parquet as pq

from .columns import Columns
from .file_formats import CHUNK, Chunk, Undecodable
from .row_report import BadRow, RowReport
from .sources import find_rows
from .tables import TABLES, table_suffix
from .unlabelled import Source

# CSV cannot hold lists.
_SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".conllu")


def load_tagged(
    source: Source,
    *,
    tokens_column: str = "tokens",
    tags_column: str = "tags",
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: Literal["skip", "error"] = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads sentences with one tag a word.

    Args:
        source: a file (`.parquet`, JSON lines, `.conllu`, the last two also as `.gz`), a list of such files, a folder
            with a file called after the split, a name on the Hub or a data set.
        tokens_column: the words, a list of texts.
        tags_column: the tags, a list of as many texts, or of numbers of a `ClassLabel`.
        split: which split of a folder or data set.
        config_name: which configuration of a data set on the Hub.
        on_bad_row: leave bad sentences out, counting them, or raise at the first one.

    Returns:
        The data set with the columns `tokens` and `tags`, lists of texts, and the account of what was read.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such columns, not one good row, or a bad row with `on_bad_row="error"`.
    """
    columns = {"tokens": tokens_column, "tags": tags_column}
    return _load(source, columns, _tag_problem, split, config_name, on_bad_row)


def load_trees(
    source: Source,
    *,
    tokens_column: str = "tokens",
    heads_column: str = "head",
    relations_column: str = "deprel",
    single_root: bool = True,
    split: str = "train",
    config_name: str | None = None,
    on_bad_row: Literal["skip", "error"] = "skip",
) -> tuple[datasets.Dataset, RowReport]:
    """Reads sentences with their dependency trees.

    Args:
        source: as for `load_tagged`.
        tokens_column: the words, a list of texts.
        heads_column: the number of each word's head, from 1; 0 for the root.
        relations_column: the relation of each word to its head.
        single_root: whether a tree may have only one word at the root, as in Universal Dependencies.
        split, config_name, on_bad_row: as for `load_tagged`.

    Returns:
        The data set with the columns `tokens`, `heads` and `relations`, and the account of what was read.

    Raises:
        FileNotFoundError: there is no such file, folder or data set.
        ValueError: no such columns, not one good row, or a bad row with `on_bad_row="error"`.
    """

    def problem(row: Sequence[Any]) -> BadRow | None:
        heads, relations = row[1], row[2]
        if any(isinstance(head, bool) or not isinstance(head, int) for head in heads):
            return BadRow.NO_HEAD
        return _tag_problem((row[0], relations)) or tree_problem(heads, single_root)

    columns = {"tokens": tokens_column, "heads": heads_column, "relations": relations_column}
    return _load(source, columns, problem, split, config_name, on_bad_row)


def tree_problem(heads: Sequence[int], single_root: bool = True) -> BadRow | None:
    """What keeps heads from being a tree; None if they are one.

    Args:
        heads: of the words 1, 2, ..., numbers from 0 (the root) to the number of words.
        single_root: whether exactly one word must hang on the root.
    """
    words = len(heads)
    if any(not 0 <= head <= words for head in heads):
        return BadRow.HEAD_RANGE
    reaches = [True] + [False] * words  # whether a word is known to come to the root
    for word in range(1, words + 1):
        path = []
        while not reaches[word]:
            if word in path:
                return BadRow.CYCLE
            path.append(word)
            word = heads[word - 1]
        for passed in path:
            reaches[passed] = True
    return BadRow.ROOTS if single_root and heads.count(0) > 1 else None


def _tag_problem(row: Sequence[Any]) -> BadRow | None:
    if any(tag is None or tag == "" for tag in row[1]):
        return BadRow.NO_LABEL
    return None if all(isinstance(tag, str) for tag in row[1]) else BadRow.LABEL_TYPE


def _load(
    source: Source,
    columns: dict[str, str],
    problem_of: Callable[[Sequence[Any]], BadRow | None],
    split: str,
    config_name: str | None,
    on_bad_row: str,
) -> tuple[datasets.Dataset, RowReport]:
    """`columns` maps our names of columns to those in the source; the words come first."""
    if on_bad_row not in ("skip", "error"):
        raise ValueError(f"on_bad_row must be 'skip' or 'error', but is {on_bad_row!r}.")
    described = ", ".join(f"{ours} ({theirs!r})" for ours, theirs in columns.items())
    wanted = Columns((tuple((name,) for name in columns.values()),), described, named=True)
    if len(set(columns.values())) < len(columns):
        raise ValueError(f"The columns {described} must differ.")

    def files(paths: Sequence[Path]) -> Callable[[], Iterator[Chunk]]:
        for path in paths:
            if table_suffix(path) not in _SUFFIXES:
                raise ValueError(f"{path} is no file of sentences: lists are read from {', '.join(_SUFFIXES)}.")
        return lambda: (chunk for path in paths for chunk in _named(path, TABLES[table_suffix(path)](path, wanted)))

    def _named(path: Path, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        features = None
        if path.suffix == ".parquet":
            features = datasets.Features.from_arrow_schema(pq.read_schema(path))
        for chunk in chunks:
            yield _with_names(chunk, columns, features)

    name, found = find_rows(source, split, files, config_name=config_name)
    if isinstance(found, datasets.Dataset):
        wanted.choose(dict.fromkeys(found.column_names), name)
        chunks = _of_dataset(found, columns, name)
    else:
        chunks = found()
    report = RowReport(name)
    kept: dict[str, list[Any]] = {ours: [] for ours in columns}
    for chunk in chunks:
        report.rows += len(chunk.numbers)
        for index, row in enumerate(zip(*chunk.sides)):
            problem = chunk.problems.get(index) or _list_problem(row) or problem_of(row)
            if problem is None:
                for values, value in zip(kept.values(), row):
                    values.append(value)
                continue
            shown = functools.partial(_shown, row)
            report.leave_out(problem, f"{chunk.place}:{chunk.numbers[index]}", on_bad_row, shown)
    report.close()
    features = {ours: datasets.List(datasets.Value("int64" if ours == "heads" else "string")) for ours in columns}
    return datasets.Dataset.from_dict(kept, features=datasets.Features(features)), report


def _list_problem(row: Sequence[Any]) -> BadRow | None:
    """What is wrong with the lists of a sentence, whatever their values mean."""
    if any(value is None for value in row):
        return BadRow.MISSING
    if any(not isinstance(value, list) for value in row):
        return BadRow.NOT_LISTS
    words = row[0]
    if not words:
        return BadRow.EMPTY
    if any(len(values) != len(words) for values in row[1:]):
        return BadRow.LENGTHS
    if any(isinstance(word, Undecodable) for word in words):
        return BadRow.NOT_UTF8
    if any(not isinstance(word, str) for word in words):
        return BadRow.NOT_TEXT
    return BadRow.EMPTY_WORD if any(not word.strip() for word in words) else None


def _of_dataset(dataset: datasets.Dataset, columns: dict[str, str], name: str) -> Iterator[Chunk]:
    features = dataset.features
    dataset = dataset.with_format(None).select_columns(list(columns.values()))
    for begin in range(0, len(dataset), CHUNK):
        batch = dataset[begin : begin + CHUNK]
        sides = [batch[theirs] for theirs in columns.values()]
        yield _with_names(Chunk(name, range(begin, begin + len(sides[0])), sides), columns, features)


def _with_names(chunk: Chunk, columns: dict[str, str], features: Any) -> Chunk:
    """The chunk with names in the place of a `ClassLabel`'s numbers; -1 stands for no label."""
    if features is None:
        return chunk
    for side, theirs in enumerate(columns.values()):
        inner = getattr(features.get(theirs), "feature", None)
        if isinstance(inner, datasets.ClassLabel):
            names = [*inner.names, None]
            chunk.sides[side] = [
                None if value is None else [names[max(number, -1)] if number is not None else None for number in value]
                for value in chunk.sides[side]
            ]
    return chunk


def _shown(row: Sequence[Any]) -> str:
    shown = [repr(value) for value in row]
    return ", ".join(text if len(text) <= 80 else text[:77] + "..." for text in shown)


__all__ = ["load_tagged", "load_trees", "tree_problem"]
