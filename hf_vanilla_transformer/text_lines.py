"""Reads text that other programs wrote: compressed or not, in UTF-8, UTF-16 or UTF-32, with line ends of any system."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

# Suffixes of compressed files. They are ignored where a suffix tells the format.
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

# Text has 3 to 10 times its compressed size; a file that fills the memory of its reader, a thousand times and more.
_MOST_EXPANSION = 100
# A shorter stream may expand as it likes.
_LONG = 1 << 30
# Bytes at the beginning of a file, by which its encoding and its line ends are known.
_SAMPLE = 1 << 16
# Beginnings of files that are not text, and what to do with them.
_FORMATS = {
    b"PK\x03\x04": "a zip archive or an Office document: unpack it, or save the table as CSV",
    b"\xd0\xcf\x11\xe0": "an Office document: save it as CSV or as plain text",
    b"%PDF-": "a PDF document: save its text as plain text",
    b"PAR1": "a Parquet file: give it the suffix .parquet",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"SQLite format 3\x00": "an SQLite database: save the table as CSV",
    b"\x1f\x8b": "compressed with gzip: give it the suffix .gz",
    b"\xfd7zXZ\x00": "compressed with xz: give it the suffix .xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: give it the suffix .zst",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a\x07": "a rar archive: unpack it",
    b"\x89PNG\r\n": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
# Control characters that a text does not have; it has tabs, line ends, form feeds, backspaces and escapes.
_CONTROLS = bytes([*range(8), 11, *range(14, 27), *range(28, 32), 127])
# A text has few of them, if any.
_MOST_CONTROLS = 0.02
_FEW_CONTROLS = 8


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading; a file that ends in `.gz`, `.bz2`, `.xz` or `.zst` is decompressed.

    Raises:
        ValueError: the compressed file is damaged, is not compressed, or expands more than text does; raised while it
            is read.
    """
    suffix = path.suffix.lower()
    if suffix not in COMPRESSED:
        with path.open("rb") as plain:
            yield plain
        return
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty, so it is no compressed file; download it again.")
    try:
        with _decompressed(path, suffix) as stream:
            yield _Bounded(stream, path)  # type: ignore[misc]
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of the decompressor
            raise
        raise ValueError(
            f"{path} is cut off, damaged or not compressed with the program that its suffix {path.suffix} names "
            f"({error}); download or compress it again."
        ) from error


def _decompressed(path: Path, suffix: str) -> BinaryIO:
    if suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")
    return {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[suffix](path, "rb")  # type: ignore[return-value]


class _Bounded(io.RawIOBase):
    """A decompressed stream that ends with a ValueError where only a file made to fill the memory is so long.

    Args:
        stream: the decompressed bytes.
        path: of the compressed file.
    """

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._read = 0
        # A pipe has no size.
        self._most = max(_LONG, _MOST_EXPANSION * path.stat().st_size) if path.is_file() else sys.maxsize

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a part of `buffer`, and returns its length."""
        data = self._stream.read(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise ValueError(
                f"{self._path} has more than {_MOST_EXPANSION} times its size when it is decompressed, which text does "
                "not have: if you trust it, decompress it first."
            )
        buffer[: len(data)] = data
        return len(data)


def without_compression(name: str) -> str:
    """A file name without the suffix of a compression: `train.tsv` for `train.tsv.gz`."""
    return name[: name.rindex(".")] if name.lower().endswith(COMPRESSED) else name


def text_lines(path: Path, *, encoding: str = "utf-8") -> Iterator[str | UnicodeDecodeError]:
    """The lines of a text file, plain or compressed, without their line ends; an error in the place of a bad line.

    A line ends with a line feed, or with a carriage return and a line feed; other line separators of Unicode belong to
    the text. In a file without any line feed, which old programs of the Macintosh wrote, a carriage return ends it.

    Args:
        path: the file.
        encoding: its encoding. A byte order mark, which is no part of the text, overrules it.

    Raises:
        ValueError: the file is not text, is not in its encoding (UTF-16 and UTF-32; in others, only the line is bad),
            or its compressed data is damaged.
    """
    with open_binary(path) as stream:
        yield from decoded_lines(stream, encoding, str(path))


def decoded_lines(stream: BinaryIO, encoding: str, name: str) -> Iterator[str | UnicodeDecodeError]:
    """The lines of a stream of bytes; see `text_lines`.

    Args:
        stream: the bytes.
        encoding: their encoding.
        name: of the stream, for errors.
    """
    lines, encoding = raw_lines(stream, encoding, name)
    for line in lines:
        if isinstance(line, str):
            yield line.removesuffix("\n").removesuffix("\r")
            continue
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)
        except UnicodeDecodeError as error:
            yield error


def raw_lines(stream: BinaryIO, encoding: str, name: str) -> tuple[Iterator[bytes] | Iterator[str], str]:
    """The lines of a stream with their line ends, and the encoding of those that are bytes.

    Lines are decoded already if a line feed is not one byte in their encoding. All other arguments and errors are those
    of `decoded_lines`.
    """
    buffered = io.BufferedReader(stream, _SAMPLE)  # type: ignore[type-var]
    beginning = buffered.peek(_SAMPLE)[:_SAMPLE]
    wide = _wide_encoding(beginning)
    if beginning.startswith(codecs.BOM_UTF8):
        buffered.read(len(codecs.BOM_UTF8))
        encoding = "utf-8"
    elif wide is not None:
        encoding = wide
    if "\n".encode(encoding) != b"\n":
        return _wide_lines(buffered, encoding, name), encoding
    _check_text(beginning, name)
    if b"\n" not in beginning and b"\r" in beginning:
        return (line + b"\n" for line in _split(buffered, b"\r")), encoding
    return iter(buffered), encoding


def check_utf_8(beginning: bytes, name: str, remedy: str) -> None:
    """Raises ValueError if a stream begins as one in UTF-16 or UTF-32, or with data that is not text.

    Args:
        beginning: its first bytes.
        name: of the stream.
        remedy: what to do about another encoding.
    """
    wide = _wide_encoding(beginning)
    if wide is not None:
        raise ValueError(f"{name} is in {wide.upper()}, not in UTF-8: {remedy}.")
    _check_text(beginning, name)


def _wide_encoding(beginning: bytes) -> str | None:
    """The UTF-16 or UTF-32 of a file, by its byte order mark or by its NUL bytes; None for other encodings."""
    if beginning.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # its beginning is UTF-16's
        return "utf-32"
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Every other byte of a Western text in UTF-16 is NUL.
    sample = beginning[:200]
    even, odd = (sample[start::2] for start in (0, 1))
    if len(odd) < 2 or not even.count(0) + odd.count(0):
        return None
    if odd.count(0) > 0.8 * len(odd) and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if even.count(0) > 0.8 * len(even) and not odd.count(0) else None


def _check_text(beginning: bytes, name: str) -> None:
    """Raises ValueError if a file begins as only binary files do."""
    for magic, what in _FORMATS.items():
        if beginning.startswith(magic):
            raise ValueError(f"{name} is not text, but {what}.")
    if _BZIP2.match(beginning):
        raise ValueError(f"{name} is not text, but compressed with bzip2: give it the suffix .bz2.")
    controls = len(beginning) - len(beginning.translate(None, _CONTROLS))
    if controls > max(_FEW_CONTROLS, _MOST_CONTROLS * len(beginning)):
        raise ValueError(f"{name} is not text: it contains control characters, as binary files do.")


def _wide_lines(stream: BinaryIO, encoding: str, name: str) -> Iterator[str]:
    try:
        yield from io.TextIOWrapper(stream, encoding=encoding, newline="\n")
    except UnicodeError as error:
        raise ValueError(f"{name} is not {encoding} ({error}); correct the file, or name its encoding.") from error


def _split(stream: BinaryIO, end: bytes) -> Iterator[bytes]:
    """The parts of a stream that end with one byte."""
    parts: list[bytes] = []  # of a line that has not ended
    while data := stream.read(_SAMPLE):
        *complete, rest = data.split(end)
        if complete:
            complete[0] = b"".join([*parts, complete[0]])
            parts = []
            yield from complete
        parts.append(rest)
    if last := b"".join(parts):
        yield last
