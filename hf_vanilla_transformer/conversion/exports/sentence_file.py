"""Sentences of the user for the comparison of an export with its model."""

from __future__ import annotations

from pathlib import Path

from ...text_lines import text_lines


def read_sentences(path: str | Path) -> list[str]:
    """The lines of a text file that are not blank; see `text_lines`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8, not text, or without text.
    """
    path = Path(path)
    if not path.exists() or path.is_dir():
        raise FileNotFoundError(f"There is no file {path}; give a text file with one sentence per line.")
    sentences = []
    for number, line in enumerate(text_lines(path), start=1):
        if isinstance(line, UnicodeDecodeError):
            raise ValueError(f"{path}:{number} is not UTF-8: {line}.") from line
        sentences += [line.strip()] if line.strip() else []
    if not sentences:
        raise ValueError(f"{path} has no text; give a text file with one sentence per line.")
    return sentences
