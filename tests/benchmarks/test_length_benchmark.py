"""The benchmark of long sequences: what it builds, measures and prints, and how it ends where memory does."""

from __future__ import annotations

import json

import pytest

from benchmarks import length


@pytest.mark.parametrize("side", length.SIDES)
def test_every_side_has_the_same_layer_and_trains(side: str) -> None:
    model = length.build(side, 64)
    assert model.training and model.config._attn_implementation == "sdpa"
    shapes = sum(
        parameter.numel() for name, parameter in model.named_parameters() if "emb" not in name and "wte" not in name
    )
    # Four maps of attention and two of the feed-forward network; norms and biases are less than a hundredth.
    assert 12 * length.HIDDEN**2 < shapes < 12.4 * length.HIDDEN**2 + 64 * length.HIDDEN
    measured = length.measure(side, 32, steps=1)
    assert measured["seconds"] > 0 and measured["memory"] >= 0


def test_a_side_without_enough_memory_is_said_and_others_are_shown(monkeypatch, tmp_path) -> None:
    def worker(side: str, tokens: int, steps: int, gigabytes: float) -> dict[str, float] | None:
        return None if side == "BERT" and tokens > 600 else {"seconds": tokens / 1000, "memory": tokens * 1e6}

    monkeypatch.setattr(length, "worker", worker)
    output = tmp_path / "length.json"
    length.main(["--lengths", "512", "1024", "--repeats", "2", "--memory", "3", "--output", str(output)])
    record = json.loads(output.read_text())
    assert record["lengths"]["1024"]["BERT"] is None
    assert record["lengths"]["512"]["BERT"]["seconds"]["values"] == [0.512, 0.512]
    lines = length.table(record).splitlines()
    assert "more than 3 GB" in lines[-1] and "more than" not in lines[-2]
    assert "1,024 ms (1,024 – 1,024), 1,024 MB" in lines[-1]


def test_a_failed_process_is_an_error_and_one_without_memory_is_not(monkeypatch) -> None:
    class Done:
        returncode, stdout, stderr = 1, "", "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried"

    monkeypatch.setattr(length.subprocess, "run", lambda *arguments, **options: Done)
    assert length.worker("BERT", 512, 1, 1.0) is None
    Done.stderr = "KeyError: 'x'"
    with pytest.raises(RuntimeError, match="KeyError: 'x'"):
        length.worker("BERT", 512, 1, 1.0)


@pytest.mark.parametrize("wrong", [["--lengths", "4"], ["--repeats", "0"], ["--memory", "0"]])
def test_wrong_numbers_are_refused(wrong: list[str], capsys) -> None:
    with pytest.raises(SystemExit):
        length.main(wrong)
    assert wrong[0] in capsys.readouterr().err
