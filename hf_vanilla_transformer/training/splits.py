"""Which splits a source of data has, and which of them is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import datasets

# The end of the name of a file that is one part of a split: train-00003-of-00010.parquet
_SHARD = re.compile(r"-\d+-of-\d+$")


def available_splits(path: str, config: str | None, field: str = "data.path") -> list[str] | None:
    """The splits of a folder (the stems of its files) or of a Hub data set; None for a single file.

    Args:
        path: folder, file or Hub name.
        config: name of the configuration of a Hub data set.
        field: of the recipe, for the error.

    Raises:
        FileNotFoundError: there is nothing of this name.
    """
    here = Path(path)
    if here.is_file():
        return None
    if here.is_dir():
        return sorted({_SHARD.sub("", file.name.split(".")[0]) for file in here.iterdir() if file.is_file()})
    if here.is_absolute() or str(path).count("/") > 1 or str(path).startswith("."):
        raise FileNotFoundError(f"There is no file or folder {field}={path!r}; give an existing one or a Hub name.")
    try:
        return datasets.get_dataset_split_names(path, config)
    except (FileNotFoundError, ConnectionError, OSError, datasets.exceptions.DatasetNotFoundError) as error:
        raise FileNotFoundError(
            f"There is no file or folder {field}={path!r}, and the Hub gave no data set of this name ({error})."
        ) from error


def choose_split(
    path: str, config: str | None, names: Sequence[str], split: str, *, required: bool = True, field: str = "data.path"
) -> str | None:
    """The first of `names` that a source has.

    Args:
        split: what the names are for: ``train``, ``validation`` or ``test``. A single file is the training text.
        required: raise rather than return None if there is none.
        field: of the recipe, for the error.

    Raises:
        FileNotFoundError: the source is not there, or it has none of the names and one is required.
    """
    available = available_splits(path, config, field)
    if available is None:
        return names[0] if required and names else None
    chosen = next((name for name in names if name in available), None)
    if chosen is None and required:
        raise FileNotFoundError(
            f"{field}={path!r} has no split {' or '.join(map(repr, names))}; it has "
            f"{', '.join(map(repr, available))}. Name it with data.{split}."
        )
    return chosen
