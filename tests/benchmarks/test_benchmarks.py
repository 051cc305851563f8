"""`python -m benchmarks` lists the benchmarks and runs one of them."""

import sys

import pytest

from benchmarks.__main__ import main, titles


def test_the_list_names_every_benchmark(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name, title in titles().items():
        assert f"  {name} " in printed and title in printed
    assert {"training", "exports", "report", "transfer.shakespeare"} <= titles().keys()
    assert not [name for name in titles() if "worker" in name or "records" in name]


def test_a_benchmark_gets_the_other_arguments(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", sys.argv)
    with pytest.raises(SystemExit) as ended:
        main(["report", "--help"])
    assert ended.value.code == 0
    assert "--check" in capsys.readouterr().out


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    assert main(["trainin"]) == 2
    assert capsys.readouterr().err == "There is no benchmark 'trainin': did you mean training?\n"
