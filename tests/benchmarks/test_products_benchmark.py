"""The share of matrix products in a step: the counted operations equal a count by hand."""

import pytest

from benchmarks import products, training_worker
from benchmarks.records import summary
from benchmarks.training_rows import make
from benchmarks.training_sides import SETTINGS, build


def operations_of_linear(rows: int, inputs: int, outputs: int) -> int:
    """Forward, gradient of the input and gradient of the weight; each needs two operations per weight and row."""
    return 3 * 2 * rows * inputs * outputs


# The loss of large vocabularies skips the rows without a label.
@pytest.mark.usefixtures("chunked_loss")
@pytest.mark.parametrize(("side", "rows_with_logits"), [("gpt2", 12 * 64), ("ours", 12 * 63)])
def test_the_operations_equal_a_count_by_hand(side, rows_with_logits, toy_data):
    rows = make("causal", 1, toy_data)
    measured = training_worker.products(build(SETTINGS["causal_gpt2"], side, rows["vocab_size"]), rows, 2, size=64)
    layer = operations_of_linear(12 * 64, 128, 3 * 128 + 128 + 512) + operations_of_linear(12 * 64, 512, 128)
    head = operations_of_linear(rows_with_logits, 128, rows["vocab_size"])
    assert measured["operations"] == 4 * layer + head
    measures = [measured[f"{kind}_{library}"] for kind in ("step", "rate") for library in ("mkl", "onednn")]
    assert all(len(values) == 2 and min(values) > 0 for values in measures)


def test_the_bound_is_the_time_of_the_products_at_the_best_rate():
    def side(operations: float, seconds: float) -> dict:
        rates = {"rate_mkl": summary([20e9]), "rate_onednn": summary([40e9])}
        steps = {"step_mkl": summary([0.5]), "step_onednn": summary([seconds])}
        return {"operations": operations, "gain": summary([0.5 / seconds]), **steps, **rates}

    sides = {"peer": side(10e9, 0.5), "ours": side(8e9, 0.25)}
    assert products.bounds(sides)["ours"] == pytest.approx(2.5)
    table = products.table({"settings": {"one": {"title": "one", "sides": sides}}})
    assert "| one | ours | 500 ms | 250 ms | 2.00 (2.00 – 2.00) | 8.0 GFLOP | 80% | 2.50 |" in table
    assert "with MKL: 20 GFLOP/s, with oneDNN: 40 GFLOP/s" in table


def test_a_setting_that_cannot_run_has_a_reason(tmp_path, capsys):
    products.main(["--settings", "causal_nanogpt", "--output", str(tmp_path / "products.json")])
    assert "not run: no --nanogpt" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_measures_both_sides(toy_data, tmp_path, capsys):
    paths = ["--data", str(toy_data), "--output", str(tmp_path / "products.json")]
    products.main(["--settings", "causal_gpt2", "--batches", "1", *paths])
    shown = capsys.readouterr().out
    assert "| ours |" in shown and "| gpt2 |" in shown and str(tmp_path / "products.json") in shown


def test_single_products_are_timed_with_both_libraries(monkeypatch, capsys):
    monkeypatch.setattr(products, "SHAPES", ((4, 8, 16), (8, 16, 32)))
    products.main(["--shapes"])
    printed = capsys.readouterr().out
    assert "| 4 × 8 × 16 | 2^9.0 |" in printed and "| 8 × 16 × 32 | 2^12.0 |" in printed
