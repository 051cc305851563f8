"""Which columns of a table are read, and under which names they are searched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]  # ("translation", "en") is the field "en" of the column "translation"


@dataclass(frozen=True)
class Columns:
    """The columns to read. Each column that is read becomes one side of a row, such as source and target.

    Attributes:
        candidates: in the order in which they are tried; each candidate has one path per side.
        wanted: describes the columns in an error message.
        named: whether the user named the columns, so that they must exist.
        labelled: whether the last column holds labels, not texts.
    """

    candidates: tuple[tuple[Path, ...], ...]
    wanted: str
    named: bool
    labelled: bool = False

    @classmethod
    def of_pairs(cls, source: str | int | None, target: str | int | None, languages: tuple[str, str]) -> "Columns":
        """The named columns; else the two languages, in `translation` or as columns; else `source` and `target`.

        Raises:
            ValueError: only one column is named, or the two columns or languages are the same.
        """
        if (source is None) != (target is None):
            raise ValueError(f"Give both or neither of source_column={source!r} and target_column={target!r}.")
        if source is not None and target is not None:
            if source == target:
                raise ValueError(f"source_column and target_column are both {source!r}; they must differ.")
            return cls((((str(source),), (str(target),)),), f"{source!r} and {target!r}", named=True)
        if len(languages) != 2 or languages[0] == languages[1]:
            raise ValueError(f"languages must be two different languages, such as ('en', 'de'), but is {languages!r}.")
        nested = tuple(("translation", language) for language in languages)
        flat = tuple((language,) for language in languages)
        return cls((nested, flat, (("source",), ("target",))), f"languages={tuple(languages)!r}", named=False)

    @classmethod
    def of_texts(cls, column: str | int | None) -> "Columns":
        """The named column, or `text`."""
        name = "text" if column is None else str(column)
        return cls((((name,),),), repr(name), named=column is not None)

    @property
    def sides(self) -> int:
        """The number of sides of a row."""
        return len(self.candidates[0])

    def indices(self) -> list[int] | None:
        """The indices of the columns, from 0, if the user gave numbers; None otherwise."""
        named = [path[0] for path in self.candidates[0]]
        return [int(name) for name in named] if self.named and all(map(str.isdigit, named)) else None

    def choose(self, names: Mapping[str, Any], origin: str) -> tuple[Path, ...]:
        """The first candidate whose columns a table has.

        Args:
            names: the columns of the table; the value is a mapping of a column's fields, or anything else if it has no
                fields.
            origin: describes the table in the error message.

        Raises:
            ValueError: the table has no candidate.
        """
        for candidate in self.candidates:
            chosen = [_find(path, names) for path in candidate]
            if all(chosen):
                return tuple(path for path in chosen if path is not None)
        listed = [f"{name}.{field}" for name, inner in names.items() for field in _fields(inner)] + [
            name for name, inner in names.items() if not _fields(inner)
        ]
        raise ValueError(
            f"{origin} has no columns for {self.wanted}; its columns are {sorted(listed)}. Name them with "
            "languages, source_column and target_column (pairs), column (texts), or text_column and label_column "
            "(labelled texts)."
        )


def dotted(paths: Sequence[Path]) -> tuple[str, ...]:
    """The names of columns as a user gives them: `translation.en` for a field of a column."""
    return tuple(".".join(path) for path in paths)


def value_at(row: Any, path: Path) -> Any:
    """The value at `path` in a row; None if it is missing."""
    for name in path:
        if not isinstance(row, Mapping):
            return None
        row = row.get(name)
    return row


def _find(path: Path, names: Mapping[str, Any]) -> Path | None:
    if path[0] in names:
        return path if len(path) == 1 or path[1] in _fields(names[path[0]]) else None
    # "translation.en", unless a column has that name
    column, _, field = path[0].partition(".")
    return (column, field) if field and field in _fields(names.get(column)) else None


def _fields(inner: Any) -> Sequence[str]:
    return list(inner) if isinstance(inner, Mapping) else []
