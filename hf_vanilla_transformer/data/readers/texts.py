"""Texts from files, folders and the Hub, for language models."""

from .bad_rows import OnBadRow, check_on_bad_row
from .columns import Columns
from .row_report import RowReport
from .sources import HubDataset, Source, find_texts
from .text_columns import load_text_columns
from .text_files import SampleBy


def load_texts(
    source: Source,
    *,
    column: str | int | None = None,
    split: str = "train",
    config_name: str | None = None,
    sample_by: SampleBy = "line",
    streaming: bool = False,
    on_bad_row: OnBadRow = "skip",
) -> tuple[HubDataset, RowReport]:
    """Reads texts for language models.

    Args:
        source: a file, a list of files, a folder, a name on the Hub or a data set, as for `load_pairs`. A file that is
            not a table is plain text.
        column: the column of a table that holds the text; by default `text`.
        split: the split of a folder or data set.
        config_name: the configuration of a data set on the Hub.
        sample_by: the unit that becomes one row of a plain text file: a line, a paragraph (up to a blank line) or the
            entire file (``document``).
        streaming, on_bad_row: as for `load_pairs`.

    Returns:
        The data set with the string column `text`, and the report of its rows.

    Raises:
        FileNotFoundError: the file, folder or data set does not exist.
        ValueError: the column does not exist, no row is valid, a row is bad with `on_bad_row="error"`, or an argument
            is illegal.
    """
    check_on_bad_row(on_bad_row)
    if sample_by not in ("line", "paragraph", "document"):
        raise ValueError(f"sample_by must be 'line', 'paragraph' or 'document', but is {sample_by!r}.")
    wanted = Columns.of_texts(column)
    name, found = find_texts(source, wanted, sample_by, split, config_name=config_name, streaming=streaming)
    return load_text_columns(name, found, wanted, ("text",), streaming=streaming, on_bad_row=on_bad_row)
