"""The start-up benchmark: a process that ends otherwise than expected is no measurement; the table has every figure."""

import pytest

from benchmarks import startup


def test_a_process_is_timed_only_if_it_ends_as_expected(tmp_path):
    elapsed, computed = startup.seconds(["-c", "pass"], tmp_path, 1)
    assert 0 < elapsed < 60 and 0 <= computed < 60
    with pytest.raises(RuntimeError, match="ended with status 3"):
        startup.seconds(["-c", "raise SystemExit(3)"], tmp_path, 1)


def test_measurements_are_medians_of_turns_and_ratios_of_pairs(monkeypatch, tmp_path):
    """The first turn does not count. Commands take twice as long as scripts here."""
    calls = []

    def seconds(arguments, *_, text="", status=0):
        calls.append((arguments, status))
        is_script = "benchmarks.startup_worker" in arguments
        return (100.0, 100.0) if len(calls) <= len(calls_of_a_turn) else ((2.0, 1.0) if is_script else (4.0, 3.0))

    calls_of_a_turn = range(4 + len(startup.WRONG) + 2 * len(startup.COMMANDS))
    monkeypatch.setattr(startup, "seconds", seconds)
    results = startup.measure(3, 1, tmp_path)
    assert len(calls) == 4 * len(calls_of_a_turn)
    assert {status for arguments, status in calls if arguments[-1] == "--help"} == {0}
    assert sum(status == 2 for _, status in calls) == 4 * len(startup.WRONG)
    for values in results["answers"].values():
        assert values["ratio"]["elapsed"]["values"] == [2.0] * 3
        assert values["ratio"]["processor"]["median"] == 3.0
    table = startup.table({"results": results, "repeats": 3, "threads": 1, "machine": {"load_average": 0.5}})
    for name in [*startup.WRONG, *startup.COMMANDS]:
        assert f"| {name} | 4.00 (4.00 – 4.00) | 3.00 (3.00 – 3.00) |" in table
