"""The benchmark of GPUs, with small sizes on CPU."""

import json

import pytest
import torch

from benchmarks import gpu


def test_padded_and_packed_rows_hold_the_same_sequences():
    size, device = gpu.SIZES["quick"], torch.device("cpu")
    for stack in gpu.PEERS:
        padded, packed = (gpu.make_batch(stack, size, packed, device) for packed in (False, True))
        assert packed["input_ids"].shape[0] < padded["input_ids"].shape[0]
        for name in ("input_ids", "labels"):
            kept = [batch[name][batch["attention_mask"] == 1] for batch in (padded, packed)]
            assert torch.equal(*kept)
        torch.manual_seed(0)
        model = gpu.from_transformers(gpu.PEERS[stack](size)).eval()
        torch.testing.assert_close(model(**packed).loss, model(**padded).loss)


def test_it_writes_the_rates_of_each_side(tmp_path, capsys):
    output = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--quick", "--no-compile", "--steps", "1", "--repeats", "2", "--stacks", "causal"]
    gpu.main([*options, "--precision", "float32", "--output", str(output)])
    record = json.loads(output.read_text())
    sides = record["stacks"]["causal"]["sides"]
    assert list(sides) == ["peer", "ours", "ours, packed"]
    assert all(side["mfu"] > 0 for side in sides.values())
    assert str(output) in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_it_says_how_to_try_it(capsys):
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "--device cpu --quick" in capsys.readouterr().err
