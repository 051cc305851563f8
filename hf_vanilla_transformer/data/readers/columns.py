"""Which columns of a table are read, and under which names they are searched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]  # ("translation", "en") is the field "en" of the column "translation"

# How the columns are named in Python, and in a recipe.
_PAIRS = "source_column and target_column, or languages (data.source and data.target in a recipe)"
_TEXTS = "column (data.text_column in a recipe)"


@dataclass(frozen=True)
class Columns:
    """The columns to read. Each column that is read becomes one side of a row, such as source and target.

    Attributes:
        candidates: in the order in which they are tried; each candidate has one path per side.
        wanted: describes the columns in an error message.
        named: whether the user named the columns, so that they must exist, in this spelling. The usual names may be
            written in capitals (`Text,Label`).
        remedy: how columns are named, for an error message.
        labelled: whether the last column holds labels, not texts.
    """

    candidates: tuple[tuple[Path, ...], ...]
    wanted: str
    named: bool
    remedy: str
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
            return cls((((str(source),), (str(target),)),), f"{source!r} and {target!r}", named=True, remedy=_PAIRS)
        if len(languages) != 2 or languages[0] == languages[1]:
            raise ValueError(f"languages must be two different languages, such as ('en', 'de'), but is {languages!r}.")
        nested = tuple(("translation", language) for language in languages)
        flat = tuple((language,) for language in languages)
        candidates = (nested, flat, (("source",), ("target",)))
        return cls(candidates, f"languages={tuple(languages)!r}", named=False, remedy=_PAIRS)

    @classmethod
    def of_texts(cls, column: str | int | None) -> "Columns":
        """The named column, or `text`."""
        name = "text" if column is None else str(column)
        return cls((((name,),),), repr(name), named=column is not None, remedy=_TEXTS)

    @property
    def sides(self) -> int:
        """The number of sides of a row."""
        return len(self.candidates[0])

    def indices(self) -> list[int] | None:
        """The indices of the columns, from 0, if the user gave numbers; None otherwise."""
        named = [path[0] for path in self.candidates[0]]
        return [int(name) for name in named] if self.named and all(map(str.isdecimal, named)) else None

    def choose(self, names: Mapping[str, Any], origin: str) -> tuple[Path, ...]:
        """The first candidate whose columns a table has.

        Args:
            names: the columns of the table; the value is a mapping of a column's fields, or anything else if it has no
                fields.
            origin: describes the table in the error message.

        Raises:
            ValueError: the table has no candidate.
        """
        found = self._found(names)
        if found is not None:
            return found
        listed = [f"{name}.{field}" for name, inner in names.items() for field in _fields(inner)] + [
            name for name, inner in names.items() if not _fields(inner)
        ]
        raise ValueError(
            f"{origin} has no columns for {self.wanted}; its columns are {sorted(listed)}. Name them with "
            f"{self.remedy}."
        )

    def exist_in(self, names: Sequence[str]) -> bool:
        """Whether a row of names contains all columns of a candidate."""
        return self._found(dict.fromkeys(names)) is not None

    def some_exist_in(self, names: Sequence[str]) -> bool:
        """Whether a row of names contains a column of any candidate."""
        return any(
            _find(path, spelling)
            for spelling in self._spellings(dict.fromkeys(names))
            for path in sum(self.candidates, ())
        )

    def _found(self, names: Mapping[str, Any]) -> tuple[Path, ...] | None:
        for spelling in self._spellings(names):
            for candidate in self.candidates:
                chosen = [_find(path, spelling) for path in candidate]
                if all(chosen):
                    return tuple((spelling[path[0]][0], *path[1:]) for path in chosen if path is not None)
        return None

    def _spellings(self, names: Mapping[str, Any]) -> Iterator[dict[str, tuple[str, Any]]]:
        """The names of a table as they are, then in small letters; each with its own spelling and its fields."""
        yield {name: (name, inner) for name, inner in names.items()}
        if not self.named:
            small: dict[str, tuple[str, Any]] = {}
            for name, inner in names.items():
                small.setdefault(name.casefold(), (name, inner))
            yield small


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


def _find(path: Path, names: Mapping[str, tuple[str, Any]]) -> Path | None:
    if path[0] in names:
        return path if len(path) == 1 or path[1] in _fields(names[path[0]][1]) else None
    # "translation.en", unless a column has that name
    column, _, field = path[0].partition(".")
    return (column, field) if field and column in names and field in _fields(names[column][1]) else None


def _fields(inner: Any) -> Sequence[str]:
    return list(inner) if isinstance(inner, Mapping) else []
