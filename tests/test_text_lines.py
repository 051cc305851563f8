"""Compressed text: lines as in the plain file, or an error before a small file fills the memory."""

import bz2
import gzip
import lzma

import pytest

from hf_vanilla_transformer import text_lines as module
from hf_vanilla_transformer.text_lines import open_binary, text_lines

COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_file_that_expands_more_than_text_is_refused_while_it_is_read(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(COMPRESS[suffix](b"a" * (1 << 22)))
    with open_binary(path) as stream:
        assert len(stream.read()) == 1 << 22  # short enough
    monkeypatch.setattr(module, "_LONG", 1 << 16)
    with pytest.raises(ValueError, match=rf"bomb{suffix} has more than 100 times its size"):
        next(text_lines(path))
    path.write_bytes(COMPRESS[suffix](b"".join(b"line %d\n" % number for number in range(50_000))))
    assert sum(1 for _ in text_lines(path)) == 50_000
