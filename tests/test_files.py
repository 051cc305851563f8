"""Files and folders that are either complete or absent."""

import os
import stat
from pathlib import Path

import pytest

from hf_vanilla_transformer.files import file_aside, folder_aside, replace_files, replace_folder, write_text

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def umask():
    """Sets the mask of permissions for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_text_is_written_in_utf8_with_unix_line_ends(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "é\n가\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "é\n가\n".encode()
    write_text(str(tmp_path / "new" / "a.txt"), "")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b""
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "picture.png"
    with file_aside(path) as aside:
        assert aside.parent == tmp_path and aside.suffix == ".png"
        aside.write_bytes(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert names(tmp_path) == ["picture.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(error), file_aside(path) as aside:
        aside.write_text("new")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_file_that_is_removed_aside_is_an_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), file_aside(path) as aside:
        aside.unlink()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


@posix
@pytest.mark.parametrize("mask, file, folder", [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)])
def test_permissions_are_those_of_the_umask(tmp_path, umask, mask, file, folder):
    umask(mask)
    write_text(tmp_path / "a.txt", "text")
    with folder_aside(tmp_path / "model") as aside:
        (aside / "part").mkdir(mode=0o700)
        (aside / "part" / "weights").write_text("1")
        (aside / "part" / "weights").chmod(0o600)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config").touch(mode=0o600)
    replace_files(tmp_path / "new", tmp_path / "model")
    assert mode(tmp_path / "a.txt") == mode(tmp_path / "model" / "config") == file
    assert mode(tmp_path / "model" / "part" / "weights") == file
    assert mode(tmp_path / "model") == mode(tmp_path / "model" / "part") == folder
    assert os.umask(mask) == mask


def test_a_folder_takes_the_place_of_an_old_one(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("1")
    with folder_aside(path) as aside:
        (aside / "new").write_text("2")
        assert names(path) == ["old"]
    assert names(path) == ["new"]
    assert names(tmp_path) == ["model"]


def test_a_folder_is_made_with_its_parents(tmp_path):
    with folder_aside(str(tmp_path / "runs" / "model")) as aside:
        (aside / "a").write_text("1")
    assert (tmp_path / "runs" / "model" / "a").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path, error):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("1")
    with pytest.raises(error), folder_aside(path) as aside:
        (aside / "new").write_text("2")
        raise error
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_folder_made_by_hand_can_replace_another(tmp_path):
    new, path = tmp_path / "tmp", tmp_path / "best"
    new.mkdir()
    (new / "a").write_text("1")
    replace_folder(new, path)
    assert names(path) == ["a"]
    new.mkdir()
    (new / "b").write_text("2")
    replace_folder(new, path)
    assert names(path) == ["b"]
    assert names(tmp_path) == ["best"]


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    new, path = tmp_path / "tmp", tmp_path / "best"
    for folder, name in ((new, "a"), (path, "b")):
        folder.mkdir()
        (folder / name).write_text("1")
    rename = os.replace

    def fail(source, target):
        if Path(source) == new:
            raise PermissionError("in use")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError, match="in use"):
        replace_folder(new, path)
    assert names(path) == ["b"]
    assert names(tmp_path) == ["best", "tmp"]


def test_files_move_into_a_folder_that_keeps_its_others(tmp_path):
    new, folder = tmp_path / "tmp", tmp_path / "model"
    new.mkdir()
    folder.mkdir()
    for path, text in ((new / "a", "new"), (folder / "a", "old"), (folder / "b", "kept")):
        path.write_text(text)
    replace_files(new, folder)
    assert names(tmp_path) == ["model"]
    assert {name: (folder / name).read_text() for name in names(folder)} == {"a": "new", "b": "kept"}
