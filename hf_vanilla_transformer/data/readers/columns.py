"""Which columns of a table hold the sides of a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]  # ("translation", "en") is the field "en" of the column "translation"


@dataclass(frozen=True)
class Columns:
    """The places where the sides of a row may be, in the order in which they are tried.

    Attributes:
        candidates: each one path a side.
        wanted: what to call them in an error.
        named: whether the user named them, so that they must be there.
    """

    candidates: tuple[tuple[Path, ...], ...]
    wanted: str
    named: bool

    @classmethod
    def of_pairs(cls, source: str | int | None, target: str | int | None, languages: tuple[str, str]) -> "Columns":
        """Source and target as named; or the two languages, within `translation` or as columns; or by those names."""
        if (source is None) != (target is None):
            raise ValueError(f"Give both or neither of source_column={source!r} and target_column={target!r}.")
        if source is not None and target is not None:
            if source == target:
                raise ValueError(f"source_column and target_column are both {source!r}; they must differ.")
            return cls((((str(source),), (str(target),)),), f"{source!r} and {target!r}", named=True)
        if len(languages) != 2 or languages[0] == languages[1]:
            raise ValueError(f"languages must be two different ones, such as ('en', 'de'), but is {languages!r}.")
        nested = tuple(("translation", language) for language in languages)
        flat = tuple((language,) for language in languages)
        return cls((nested, flat, (("source",), ("target",))), f"languages={tuple(languages)!r}", named=False)

    @classmethod
    def of_texts(cls, column: str | int | None) -> "Columns":
        """The text as named, or the column `text`."""
        name = "text" if column is None else str(column)
        return cls((((name,),),), repr(name), named=column is not None)

    @property
    def sides(self) -> int:
        """How many sides a row has."""
        return len(self.candidates[0])

    def positions(self) -> list[int] | None:
        """The columns as numbers, from 0, if that is how they were given."""
        named = [path[0] for path in self.candidates[0]]
        return [int(name) for name in named] if self.named and all(map(str.isdigit, named)) else None

    def choose(self, names: Mapping[str, Any], place: str) -> tuple[Path, ...]:
        """The first candidate that a table has.

        Args:
            names: the columns, each with a mapping of its fields, or anything else if it has none.

        Raises:
            ValueError: it has none of them.
        """
        for candidate in self.candidates:
            chosen = [_find(path, names) for path in candidate]
            if all(chosen):
                return tuple(path for path in chosen if path is not None)
        listed = [f"{name}.{field}" for name, inner in names.items() for field in _fields(inner)] + [
            name for name, inner in names.items() if not _fields(inner)
        ]
        raise ValueError(
            f"{place} has no columns for {self.wanted}; its columns are {sorted(listed)}. Name them with "
            "languages, source_column and target_column (pairs), column (texts), or text_column and label_column "
            "(labelled texts)."
        )


def value_at(row: Any, path: Path) -> Any:
    """The value at `path` in a row, or None if there is none."""
    for name in path:
        if not isinstance(row, Mapping):
            return None
        row = row.get(name)
    return row


def _find(path: Path, names: Mapping[str, Any]) -> Path | None:
    if path[0] in names:
        return path if len(path) == 1 or path[1] in _fields(names[path[0]]) else None
    # "translation.en", unless there is a column of just that name
    column, _, field = path[0].partition(".")
    return (column, field) if field and field in _fields(names.get(column)) else None


def _fields(inner: Any) -> Sequence[str]:
    return list(inner) if isinstance(inner, Mapping) else []
