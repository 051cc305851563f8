"""Splits of a source of data: which there are, which files belong to one, and which one a recipe asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import datasets

from ...hub_names import check_hub_name
from ...text_lines import without_compression

# The end of the name of a file that holds one part of a split: train-00003-of-00010.parquet, also with a fingerprint
# (train-00003-of-00010-a1b2c3.parquet), and with a dot as in C4 (c4-train.00003-of-01024.json.gz).
_SHARD = re.compile(r"[-.](\d+)-of-\d+(?:-[0-9a-f]+)?$")
# Names that recipes try without knowing the data.
_USUAL_NAMES = frozenset({"train", "validation", "valid", "val", "dev", "test"})


def split_name(file: Path) -> str:
    """The split that a file belongs to: `train` for `train.tsv`, `train.de.gz` and `train-00003-of-00010.parquet`."""
    return _SHARD.sub("", _stem(file))


def shard_number(file: Path) -> int:
    """The number of a file among the parts of its split, from 0; 0 for a file that is not a part."""
    shard = _SHARD.search(_stem(file))
    return int(shard[1]) if shard else 0


def split_files(folder: Path, split: str) -> list[Path]:
    """The files of a split in `folder`, ordered by their shard numbers; empty if `folder` does not exist."""
    if not folder.is_dir():
        return []
    files = [file for file in _data_files(folder) if split_name(file) == split]
    return sorted(files, key=lambda file: (shard_number(file), file.name))


def files_of_split(path: str | Path, split: str) -> list[Path]:
    """The files from which a split of a local source is read; empty for a data set on the Hub."""
    return [Path(path)] if Path(path).is_file() else split_files(Path(path), split)


def available_splits(path: str | Path, config: str | None = None, *, field: str = "data.path") -> list[str] | None:
    """The names of the splits of a source; None for a single file, which has no splits.

    The files of a folder name its splits (see `split_name`). A folder without files, only with subfolders, is read by
    `datasets`, as a data set on the Hub is.

    Args:
        path: folder, file or name on the Hub.
        config: name of the configuration of a data set on the Hub.
        field: name of the recipe field or argument that holds `path`, for the error.

    Raises:
        FileNotFoundError: `path` does not exist, here or on the Hub.
    """
    local = Path(path)
    if local.is_file():
        return None
    if local.is_dir():
        names = {split_name(file) for file in _data_files(local)}
        if names:
            return sorted(names)
    else:
        check_hub_name(path, field)  # type: ignore[arg-type]
    try:
        return datasets.get_dataset_split_names(str(path), config)
    except (OSError, datasets.exceptions.DatasetNotFoundError) as error:
        raise no_such_source(path, field, error) from error


def choose_split(
    path: str,
    config: str | None,
    names: Sequence[str],
    split: str,
    *,
    required: bool = True,
    field: str = "data.path",
) -> tuple[str, str] | None:
    """The source and the name from which a split is read: the first of `names` that exists.

    Args:
        path: folder, file or name on the Hub. A single file holds the training split.
        config: name of the configuration of a data set on the Hub.
        names: names of splits in `path`, or of files beside it.
        split: the split that the names stand for.
        required: raise an error rather than return None if none of them exists.
        field: name of the recipe field or argument that holds `path`, for the error.

    Raises:
        FileNotFoundError: `path` does not exist, a name looks like a file that does not exist, or no name exists and
            one is required, or none of them is a usual name.
    """
    for name in names:
        if Path(name).suffix and Path(name).is_file():
            return name, split
        if Path(name).suffix and len(Path(name).parts) > 1:
            raise FileNotFoundError(f"data.{split}={name!r} looks like a file, but there is no such file.")
    available = available_splits(path, config, field=field)
    # A name that somebody chose must exist; the usual ones are tried.
    asked = bool(names) and not _USUAL_NAMES & set(names)
    if available is None:
        if asked and not required:
            raise FileNotFoundError(
                f"{field}={path!r} is a single file without splits, so there is no data.{split}="
                f"{' or '.join(map(repr, names))}: give a file, or data.{split}=[] to leave it out."
            )
        return (path, split) if required else None
    chosen = next((name for name in names if name in available), None)
    if chosen is not None:
        return path, chosen
    if required or asked:
        leave_out = "" if required else f", or leave it out with data.{split}=[]"
        raise FileNotFoundError(
            f"{field}={path!r} has no split {' or '.join(map(repr, names))}; it has "
            f"{', '.join(map(repr, available)) or 'none'}. Name one of them with data.{split}{leave_out}."
        )
    return None


def no_such_source(path: str | Path, field: str, error: Exception) -> FileNotFoundError:
    """The error for a source that is neither here nor on the Hub; `error` is what the Hub answered."""
    return FileNotFoundError(
        f"There is no file or folder {field}={str(path)!r}, and no data set of this name on the Hub ({error})."
    )


def _data_files(folder: Path) -> list[Path]:
    """The files that can hold data: neither hidden files nor those that describe a data set of the Hub."""
    return [
        file
        for file in folder.iterdir()
        if file.is_file() and file.name[0] != "." and file.name not in ("README.md", "dataset_infos.json")
    ]


def _stem(file: Path) -> str:
    """`train` for `train.tsv` and `train.tsv.gz`."""
    return without_compression(file.name).rsplit(".", 1)[0]
