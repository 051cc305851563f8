"""Ctrl-C and SIGTERM end a command with the exit status of shells, without a traceback and without half a file."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hf_vanilla_transformer.commands import signals, translate
from hf_vanilla_transformer.commands.glibc_allocator import OPT_OUT
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.files import file_aside

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM between processes")
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def run_with(monkeypatch, during):
    """The exit status of a command that calls `during` instead of its work."""
    monkeypatch.setattr(translate, "run", lambda arguments: during() or 0)
    return main(["translate", "model"])


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_ends_a_command_and_leaves_no_half_file(number, tmp_path, capsys, monkeypatch):
    def write() -> None:
        with file_aside(tmp_path / "out.txt") as aside:
            aside.write_text("half")
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    assert run_with(monkeypatch, write) == STATUS[number]
    assert capsys.readouterr().err == "" and list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", STATUS)
def test_an_error_that_a_signal_causes_is_not_reported(number, capsys, monkeypatch):
    def import_package() -> None:
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:
            raise ImportError("numpy.core.multiarray failed to import") from error

    assert run_with(monkeypatch, import_package) == STATUS[number]
    assert capsys.readouterr().err == ""


def test_a_signal_that_arrives_in_a_destructor_ends_the_command(capsys, monkeypatch):
    class Slow:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    ended = []
    monkeypatch.setattr(signals.os, "_exit", ended.append)
    run_with(monkeypatch, lambda: Slow() and None)
    assert ended == [143]


def test_ignored_signals_stay_ignored(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_with(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT)) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_commands_run_in_other_threads(monkeypatch):
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(run_with(monkeypatch, lambda: None)))
    thread.start()
    thread.join()
    assert statuses == [0]


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS)
def test_a_process_ends_quietly_whenever_the_signal_comes(number, seq2seq, tmp_path):
    command = [sys.executable, "-m", "hf_vanilla_transformer.commands.main", "export", str(seq2seq), "out"]
    for delay in (0.5, 1.0, 2.0, 3.0, 4.0, 5.0):
        process = subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, OPT_OUT: "1"}
        )
        time.sleep(delay)
        process.send_signal(number)
        _, errors = process.communicate()
        assert process.returncode in (0, STATUS[number], -number), (delay, errors)
        assert "Traceback" not in errors, (delay, errors)
        assert not [path for path in tmp_path.iterdir() if path.name != "out"]
        if process.returncode == 0:
            break
