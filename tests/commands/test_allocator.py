"""Commands that compute start again once, with an allocator that keeps its memory."""

import os
import platform
import subprocess
import sys

import pytest

from hf_vanilla_transformer.commands import allocator

on_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="the settings are glibc's"
)


@on_glibc
@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, True),
        ({"MALLOC_TOP_PAD_": "1"}, False),
        ({"LD_PRELOAD": "libjemalloc.so"}, False),
        ({allocator.OPT_OUT: "1"}, False),
        (allocator.SETTINGS, False),
    ],
)
def test_only_an_undecided_environment_is_changed(environment, wanted):
    assert allocator.wanted(environment) is wanted


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.wanted({})
    monkeypatch.setattr(os, "execve", lambda *arguments: pytest.fail("must not start again"))
    allocator.restart_with_tuned_allocator(["train"])


@on_glibc
def test_a_command_starts_again_once_with_its_own_arguments(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    for name in (*allocator.SETTINGS, "LD_PRELOAD", allocator.OPT_OUT):
        monkeypatch.delenv(name, raising=False)
    allocator.restart_with_tuned_allocator(["train", "--recipe", "x y"])
    ((executable, command, environment),) = started
    assert executable == sys.executable
    assert command[-5:] == ["-m", "hf_vanilla_transformer.commands.main", "train", "--recipe", "x y"]
    assert allocator.SETTINGS.items() <= environment.items()
    assert not allocator.wanted(environment)


@on_glibc
@pytest.mark.parametrize("opt_out", [False, True])
def test_a_real_process_has_the_settings_from_its_start(opt_out):
    code = (
        "import os, sys; from hf_vanilla_transformer.commands import main, train;"
        "train.run = lambda arguments: print(os.environ.get('MALLOC_MMAP_MAX_')) or 0;"
        "main.restart_with_tuned_allocator = lambda arguments: os.execve(sys.executable, [sys.executable, '-c',"
        " 'import os; print(os.environ.get(\"MALLOC_MMAP_MAX_\"))'], {**os.environ, **main_settings()})"
        " if wanted() else None;"
        "from hf_vanilla_transformer.commands import allocator;"
        "main_settings = lambda: allocator.SETTINGS; wanted = lambda: allocator.wanted(dict(os.environ));"
        "sys.argv = ['hf-vanilla', 'train', '--recipe', 'x']; main.main()"
    )
    kept = {name: value for name, value in os.environ.items() if name not in (*allocator.SETTINGS, "LD_PRELOAD")}
    environment = {**kept, **({allocator.OPT_OUT: "1"} if opt_out else {})}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("None" if opt_out else "0")


@on_glibc
def test_help_does_not_start_again():
    code = (
        "import sys; from hf_vanilla_transformer.commands import main;"
        "main.restart_with_tuned_allocator = lambda arguments: sys.exit('started again');"
        "sys.argv = ['hf-vanilla', 'train', '--help'];\n"
        "try: main.main()\nexcept SystemExit as ended: sys.exit(ended.code)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
