"""Progress bars on standard error, and durations."""

import sys

import pytest
from huggingface_hub import constants

from hf_vanilla_transformer.progress import duration, progress_bar


def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_a_bar_is_hidden_where_standard_error_is_no_terminal(capsys):
    assert list(progress_bar(range(3), unit="row")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == err == ""


def test_a_bar_shows_on_a_terminal_and_is_cleared(capsys, monkeypatch):
    terminal(monkeypatch)
    with progress_bar(total=3, description="scoring", unit="row") as bar:
        bar.update(3)
        bar.refresh()
    out, err = capsys.readouterr()
    assert out == ""
    assert "scoring" in err and "3/3" in err
    assert err.endswith("\r") and not err.endswith("\n")


def test_a_bar_that_is_asked_for_shows_anywhere_and_stays(capsys):
    assert list(progress_bar(["a", "b"], show=True)) == ["a", "b"]
    err = capsys.readouterr().err
    assert "2/2" in err and err.endswith("\n")


@pytest.mark.parametrize("show", [None, True])
def test_the_environment_of_the_hub_hides_bars(capsys, monkeypatch, show):
    terminal(monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    assert list(progress_bar(range(2), show=show)) == [0, 1]
    assert capsys.readouterr().err == ""


def test_a_hidden_bar_prints_nothing_on_a_terminal(capsys, monkeypatch):
    terminal(monkeypatch)
    assert list(progress_bar(range(2), show=False)) == [0, 1]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (9.6, "0:10"), (123, "2:03"), (3723, "1:02:03")])
def test_a_duration_is_hours_minutes_and_seconds(seconds, text):
    assert duration(seconds) == text
