"""Pairs of sentences from files, folders and the Hub."""

from .bad_rows import OnBadRow, check_on_bad_row
from .columns import Columns
from .row_report import RowReport
from .sources import HubDataset, Source, find_pairs
from .text_columns import load_text_columns


def load_pairs(
    source: Source,
    *,
    languages: tuple[str, str] = ("en", "de"),
    source_column: str | int | None = None,
    target_column: str | int | None = None,
    split: str = "train",
    config_name: str | None = None,
    streaming: bool = False,
    on_bad_row: OnBadRow = "skip",
    max_length_ratio: float | None = 9.0,
) -> tuple[HubDataset, RowReport]:
    """Reads pairs of sentences.

    Args:
        source: one of

            * a file: `.csv`, `.tsv`, JSON lines (`.jsonl`, `.ndjson`, `.json`) or `.parquet`; text files also
              compressed (`.gz`, `.bz2`, `.xz`, `.zst`); or a list of such files;
            * two parallel files, `("train.en", "train.de")`, or their common name, `"train"`;
            * a folder whose files are named after the split (see `splits.split_name`), in one file, in shards or as
              parallel files; or any folder that `datasets` reads;
            * a name on the Hub; or a loaded data set.
        languages: source and target language. They are the fields of the column `translation`, or names of columns.
            Columns called `source` and `target` are found too. In a TSV file without a header, the first two columns
            are source and target.
        source_column: name (or index, for TSV) of the source column, if it has another name.
        target_column: name or index of the target column.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub, such as `"de-en"`.
        streaming: read while iterating, without loading or downloading everything. The data set is an
            `IterableDataset`, and each pass over it fills the report again.
        on_bad_row: skip and count bad rows, or raise an error at the first one.
        max_length_ratio: a pair is bad if one side has more than this many times the characters of the other; None
            accepts all pairs. The default accepts plausible pairs of any two languages.

    Returns:
        The data set with the string columns `source` and `target`, and the report of its rows.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the columns do not exist, no row is valid, a row is bad with `on_bad_row="error"`, or an argument is
            illegal.
    """
    check_on_bad_row(on_bad_row)
    if max_length_ratio is not None and max_length_ratio < 1:
        raise ValueError(f"max_length_ratio must be at least 1, or None, but is {max_length_ratio}.")
    wanted = Columns.of_pairs(source_column, target_column, languages)
    name, found = find_pairs(source, wanted, languages, split, config_name=config_name, streaming=streaming)
    return load_text_columns(
        name,
        found,
        wanted,
        ("source", "target"),
        streaming=streaming,
        on_bad_row=on_bad_row,
        max_length_ratio=max_length_ratio,
    )
