"""Files and folders that are either complete or absent."""

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from safetensors import SafetensorError

from hf_vanilla_transformer.files import (
    file_aside,
    files_aside,
    folder_aside,
    remove_folder,
    remove_leftovers,
    replace_folder,
    temporary_folder,
    write_text,
)

from . import faults

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
        assert aside.suffix == ".png" and aside.is_relative_to(tmp_path)
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
    with files_aside(tmp_path / "model") as aside:
        (aside / "config").touch(mode=0o600)
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
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text("old")
    with pytest.raises(ValueError), files_aside(folder) as aside:
        (aside / "a").write_text("half")
        raise ValueError
    with files_aside(folder) as aside:
        (aside / "a").write_text("new")
        assert (folder / "a").read_text() == "old"
    assert names(tmp_path) == ["model"]
    assert {name: (folder / name).read_text() for name in names(folder)} == {"a": "new", "b": "old"}


def test_weights_arrive_after_the_other_files_of_a_model(tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr(os, "replace", lambda source, target: moved.append(Path(target).name))
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    with files_aside(tmp_path) as aside:
        for name in (*parts, "tokenizer.json", "config.json"):
            (aside / name).touch()
    assert moved == ["config.json", "tokenizer.json", *parts]


@posix
def test_a_file_keeps_its_permissions_and_its_link(tmp_path, umask):
    umask(0o022)
    (tmp_path / "real").mkdir()
    secret = tmp_path / "real" / "secret.txt"
    secret.touch(mode=0o600)
    (tmp_path / "link.txt").symlink_to(secret)
    write_text(tmp_path / "link.txt", "new")
    assert secret.read_text() == "new" and mode(secret) == 0o600
    assert (tmp_path / "link.txt").is_symlink() and names(tmp_path) == ["link.txt", "real"]
    (tmp_path / "model").symlink_to(tmp_path / "real" / "later")
    with folder_aside(tmp_path / "model") as aside:
        (aside / "a").write_text("1")
    assert (tmp_path / "model").is_symlink() and names(tmp_path / "real" / "later") == ["a"]


@posix
def test_a_pipe_or_a_device_receives_the_content_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_text(tmp_path / "pipe", "text")
    reader.join()
    assert read == ["text"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    write_text("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_folder_is_no_target_for_a_file(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder"):
        write_text(tmp_path, "text")


@posix
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_an_error_of_the_system_names_the_file_and_a_remedy(error, tmp_path):
    path = tmp_path / "a.json"
    for raised in (OSError(error, "no"), SafetensorError(f"I/O error: no (os error {error})")):
        expected = rf"^{path} could not be written: {os.strerror(error)}; \w+"
        with pytest.raises(OSError, match=expected) as shown, file_aside(path):
            raise raised
        assert shown.value.errno == error
    with pytest.raises(OSError, match="other") as shown, file_aside(path):
        raise OSError(errno.EACCES, "no", "/other/file")
    assert names(tmp_path) == []


@posix
def test_a_path_that_cannot_exist_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "file" / "a", tmp_path / "loop", tmp_path / ("x" * 300)):
        with pytest.raises(OSError, match=f"^{path} could not be written"):
            write_text(path, "text")
        with pytest.raises(OSError, match=f"^{path} could not be written"), folder_aside(path):
            pass


def left_by_a_dead_process(folder: Path, *parts: str) -> Path:
    """What a write leaves when its process dies."""
    holder = folder / ".model.abcd1234.partial"
    holder.mkdir()
    (holder / "lock").touch()
    for part in parts:
        (holder / part).parent.mkdir(parents=True, exist_ok=True)
        (holder / part).write_text("old")
    return holder


def test_the_next_write_removes_what_a_dead_process_has_left(tmp_path):
    left_by_a_dead_process(tmp_path, "new/half")
    (tmp_path / ".empty.abcd1234.partial").mkdir()
    write_text(tmp_path / "a.txt", "text")
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_was_being_replaced_is_put_back(tmp_path):
    left_by_a_dead_process(tmp_path, "new/half", "replaced/model/weights")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["model"] and (tmp_path / "model" / "weights").read_text() == "old"
    left_by_a_dead_process(tmp_path, "replaced/model/half")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == ["weights"]


def test_what_a_living_process_writes_stays(tmp_path):
    holder = left_by_a_dead_process(tmp_path, "new/half")
    with FileLock(holder / "lock"):
        write_text(tmp_path / "a.txt", "text")
        assert (holder / "new" / "half").is_file()
    with file_aside(tmp_path / "b.txt") as aside:
        aside.write_text("b")
        write_text(tmp_path / "c.txt", "text")
    assert names(tmp_path) == ["a.txt", "b.txt", "c.txt"]


def test_hidden_folders_of_others_stay(tmp_path):
    (tmp_path / ".theirs.partial").mkdir()
    (tmp_path / ".theirs.partial" / "a").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "lock").touch()
    (tmp_path / ".link.abcd1234.partial").symlink_to(tmp_path / "elsewhere")
    before = names(tmp_path)
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "nowhere")
    assert names(tmp_path) == before and names(tmp_path / "elsewhere") == ["lock"]


def test_temporary_folders_of_dead_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left_by_a_dead_process(tmp_path, "new/half")
    with temporary_folder() as folder:
        assert names(tmp_path) == [folder.parent.name] and names(folder) == []
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")
def test_a_kill_at_any_file_operation_leaves_the_old_or_the_new(tmp_path):
    folder = tmp_path / "folder"
    with folder_aside(folder / "model") as aside:
        (aside / "weights").write_text("old")

    def run() -> None:
        with folder_aside(folder / "model") as aside:
            (aside / "weights").write_text("new")
        write_text(folder / "a.txt", "text")
        remove_folder(folder / "model")

    states = faults.states(folder, run, tmp_path / "states")
    assert len(states) > 20
    seen = []
    for state in states:
        remove_leftovers(state)
        weights = state / "model" / "weights"
        seen.append((weights.read_text() if weights.exists() else None, (state / "a.txt").exists()))
        assert set(names(state)) <= {"model", "a.txt"}
        if (state / "a.txt").exists():
            assert (state / "a.txt").read_text() == "text"
    assert list(dict.fromkeys(seen)) == [("old", False), ("new", False), ("new", True), (None, True)]
