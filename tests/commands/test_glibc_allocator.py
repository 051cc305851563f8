"""Commands that run a model restart once, with an allocator that keeps freed memory."""

import os
import platform
import subprocess
import sys

import pytest

from hf_vanilla_transformer.commands import glibc_allocator as allocator

on_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="the settings are glibc's"
)


@on_glibc
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"MALLOC_TOP_PAD_": "1"}, False),
        ({"LD_PRELOAD": "libjemalloc.so"}, False),
        ({allocator.OPT_OUT: "1"}, False),
        (allocator.SETTINGS, False),
    ],
)
def test_only_default_settings_need_a_restart(environment, expected):
    assert allocator.needs_restart(environment) is expected


def test_other_systems_need_no_restart(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.needs_restart({})
    monkeypatch.setattr(os, "execve", lambda *arguments: pytest.fail("must not restart"))
    allocator.restart_with_tuned_allocator(["train"])


@on_glibc
def test_a_command_restarts_once_with_its_own_arguments(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    for name in (*allocator.SETTINGS, "LD_PRELOAD", allocator.OPT_OUT):
        monkeypatch.delenv(name, raising=False)
    allocator.restart_with_tuned_allocator(["train", "--recipe", "x y"])
    ((executable, command, environment),) = started
    assert executable == sys.executable
    assert command[-5:] == ["-m", "hf_vanilla_transformer.commands.main", "train", "--recipe", "x y"]
    assert allocator.SETTINGS.items() <= environment.items()
    assert not allocator.needs_restart(environment)


@on_glibc
@pytest.mark.parametrize("opt_out", [False, True])
def test_a_restarted_process_has_the_settings(opt_out):
    code = (
        "import os, sys; from hf_vanilla_transformer.commands import main, train;"
        "train.run = lambda arguments: print(os.environ.get('MALLOC_MMAP_MAX_')) or 0;"
        "main.restart_with_tuned_allocator = lambda arguments: os.execve(sys.executable, [sys.executable, '-c',"
        " 'import os; print(os.environ.get(\"MALLOC_MMAP_MAX_\"))'], {**os.environ, **settings()})"
        " if needs_restart() else None;"
        "from hf_vanilla_transformer.commands import glibc_allocator;"
        "settings = lambda: glibc_allocator.SETTINGS;"
        "needs_restart = lambda: glibc_allocator.needs_restart(dict(os.environ));"
        "sys.argv = ['hf-vanilla', 'train', '--recipe', 'x']; main.main()"
    )
    kept = {name: value for name, value in os.environ.items() if name not in (*allocator.SETTINGS, "LD_PRELOAD")}
    environment = {**kept, **({allocator.OPT_OUT: "1"} if opt_out else {})}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("None" if opt_out else "0")


@on_glibc
def test_help_does_not_restart():
    code = (
        "import sys; from hf_vanilla_transformer.commands import main;"
        "main.restart_with_tuned_allocator = lambda arguments: sys.exit('restarted');"
        "sys.argv = ['hf-vanilla', 'train', '--help'];\n"
        "try: main.main()\nexcept SystemExit as ended: sys.exit(ended.code)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
