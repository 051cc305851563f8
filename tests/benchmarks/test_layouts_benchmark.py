"""The table of differences between layouts of processes."""

import pytest
import torch

from benchmarks import layouts


def test_the_table_has_the_largest_difference_of_each_kind():
    one = {kind: {"a": torch.tensor([1.0, -4.0]), "b": torch.tensor(2.0)} for kind in ("loss", "gradient", "weight")}
    other = {kind: {"a": torch.tensor([1.0, -4.5]), "b": torch.tensor(2.25)} for kind in one}
    row = layouts.differences(one, other)
    assert row["loss"] == 0.5 and row["largest weight"] == 4.0
    table = layouts.table({"stacks": {"decoder": {"TP2": row}}})
    assert "| decoder | TP2 | 2 | 5.0e-01 | 5.0e-01 | 5.0e-01 |" in table
    assert "| decoder | largest value | 1 | 4 | 4 | 4 |" in table
    with pytest.raises(ValueError, match="different names of loss"):
        layouts.differences(one, {**other, "loss": {}})


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
def test_a_layout_of_four_processes_equals_one_process():
    row = layouts.run(["encoder-decoder"], ["TP2 × FSDP2"])["stacks"]["encoder-decoder"]["TP2 × FSDP2"]
    assert row["loss"] < 1e-5 and row["gradient"] < 1e-6 and row["weight"] < 1e-4
