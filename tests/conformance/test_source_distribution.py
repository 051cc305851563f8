"""Obtaining transformers' own tests: safely, once, and with a clear answer where that is not possible."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.conformance import source_distribution
from tests.conformance.source_distribution import SourceDistributionMissing, put_on_path_or_skip, unpack_tests


def archive_with(folder, names):
    """A source distribution with files of these names."""
    path = folder / "transformers-0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"x\n"))
        link = tarfile.TarInfo("transformers-0/tests/link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path


def test_only_the_tests_are_unpacked(tmp_path):
    names = ["transformers-0/tests/test_a.py", "transformers-0/tests/sub/b.py", "transformers-0/src/c.py"]
    names += ["transformers-0/tests/../../escaped.py", "../escaped.py", "transformers-0/README.md"]
    target = unpack_tests(archive_with(tmp_path, names), tmp_path / "cache" / "unpacked")
    found = {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}
    assert found == {"transformers_tests/test_a.py", "transformers_tests/sub/b.py"}
    assert not list(tmp_path.rglob("escaped.py"))
    assert [path.name for path in target.parent.iterdir()] == ["unpacked"], "nothing is left aside"


def test_unpacking_where_another_process_was_faster(tmp_path):
    archive = archive_with(tmp_path, ["transformers-0/tests/test_a.py"])
    first = unpack_tests(archive, tmp_path / "cache" / "unpacked")
    assert unpack_tests(archive, tmp_path / "cache" / "unpacked") == first


def test_an_archive_without_tests(tmp_path):
    with pytest.raises(SourceDistributionMissing, match=r"transformers-0.*tests"):
        unpack_tests(archive_with(tmp_path, ["transformers-0/src/c.py"]), tmp_path / "cache" / "unpacked")


def test_an_index_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TIMEOUT", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(SourceDistributionMissing, match=r"transformers 5\.23\.0"):
        source_distribution.download("5.23.0", tmp_path)


@pytest.mark.parametrize("ci", ["true", "1", "false", None])
def test_skipped_on_a_desk_and_failed_in_continuous_integration(ci, monkeypatch):
    def missing():
        raise SourceDistributionMissing("the index does not answer")

    monkeypatch.setattr(source_distribution, "put_on_path", missing)
    monkeypatch.setattr(source_distribution, "is_older", lambda: False)  # older versions do not even ask
    if ci is None:
        monkeypatch.delenv("CI", raising=False)
    else:
        monkeypatch.setenv("CI", ci)
    expected = SourceDistributionMissing if ci in ("true", "1") else pytest.skip.Exception
    with pytest.raises(expected, match="the index does not answer"):
        put_on_path_or_skip()
