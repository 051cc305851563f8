"""How much of a step is products: the operations are those that one counts by hand."""

import pytest

from benchmarks import products, training_worker
from benchmarks.training_rows import make
from benchmarks.training_sides import SETTINGS, build


def operations_of_a_map(rows: int, inputs: int, outputs: int) -> int:
    """Forward, gradient of the input, gradient of the weight: each a product of two operations a weight and row."""
    return 3 * 2 * rows * inputs * outputs


@pytest.mark.parametrize(("side", "rows_with_logits"), [("gpt2", 12 * 64), ("ours", 12 * 63)])
def test_operations_are_those_of_a_count_by_hand(side, rows_with_logits, toy_data):
    rows = make("causal", 1, toy_data)
    measured = training_worker.products(build(SETTINGS["causal_gpt2"], side, rows["vocab_size"]), rows, 2, size=64)
    layer = operations_of_a_map(12 * 64, 128, 3 * 128 + 128 + 512) + operations_of_a_map(12 * 64, 512, 128)
    head = operations_of_a_map(rows_with_logits, 128, rows["vocab_size"])
    assert measured["operations"] == 4 * layer + head
    assert len(measured["shares"]) == 2 and min(measured["shares"]) > 0


def test_the_bound_is_what_products_alone_would_take():
    sides = {
        "peer": {"operations": 100, "share": {"median": 0.5, "low": 0.4, "high": 0.6}},
        "ours": {"operations": 80, "share": {"median": 0.8, "low": 0.7, "high": 0.9}},
    }
    assert products.bounds(sides)["ours"] == pytest.approx(2.5)
    table = products.table({"settings": {"one": {"title": "one", "sides": sides}}})
    assert "| one | ours | 0.0 GFLOP | 80% (70% – 90%) | 2.50 |" in table


def test_what_cannot_be_measured_says_why(tmp_path, capsys):
    products.main(["--settings", "causal_nanogpt", "--output", str(tmp_path / "products.json")])
    assert "not run: no --nanogpt" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_measures_both_sides(toy_data, tmp_path, capsys):
    paths = ["--data", str(toy_data), "--output", str(tmp_path / "products.json")]
    products.main(["--settings", "causal_gpt2", "--batches", "1", *paths])
    shown = capsys.readouterr().out
    assert "| ours |" in shown and "| gpt2 |" in shown and str(tmp_path / "products.json") in shown
