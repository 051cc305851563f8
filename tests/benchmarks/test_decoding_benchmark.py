"""The engines of the decoding benchmark generate the same tokens, and the command records all figures."""

import argparse
import math

import pytest
import torch

from benchmarks import decoding
from benchmarks.decoding_cells import CELLS, make_work, save_model
from benchmarks.decoding_engines import load, supports, until
from benchmarks.decoding_worker import take_turns
from benchmarks.records import read_json

QUICK = ["--quick", "--rows", "3", "--cells"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The reduced model of a cell, for all engines that are exported quickly."""
    pytest.importorskip("ctranslate2")
    made = {}
    for name in ("transformer", "characters", "minilm"):
        made[name] = tmp_path_factory.mktemp(name)
        for engine in ("ours", "transformers", "ctranslate2"):
            decoding.export(CELLS[name].reduced(), made[name], engine, None)
    return made


def run_engine(engine, name, folder, beams):
    """The outputs of an engine, and one turn of measurements."""
    cell = CELLS[name].reduced()
    loaded = load(engine, folder / decoding.folder_name(engine), cell.stack, threads=torch.get_num_threads())
    options = argparse.Namespace(stack=cell.stack, beams=beams, new_tokens=cell.new_tokens, limit=10)
    batches = make_work(cell, folder / "vanilla", 3, 2, None).batches
    ready, turn = take_turns(loaded, batches, options, ["turn"])
    assert turn["tokens_per_second"] > 0 and turn["peak_memory"] > 0
    return ready


@pytest.mark.parametrize("name, beams", [("transformer", 1), ("transformer", 4), ("characters", 1), ("characters", 4)])
def test_engines_generate_the_same_tokens(name, beams, folders):
    engines = {
        engine: run_engine(engine, name, folders[name], beams) for engine in ("ours", "transformers", "ctranslate2")
    }
    for ready in engines.values():
        assert [len(row) for row in ready["outputs"]] == [4] * 6
        assert ready["outputs"] == engines["transformers"]["outputs"] and ready["first_token"] > 0


def test_engines_encode_to_the_same_states(folders):
    states = [run_engine(engine, "minilm", folders["minilm"], 1)["states"] for engine in ("ours", "ctranslate2")]
    torch.testing.assert_close(*map(torch.tensor, states))
    assert len(states[0]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "characters", "minilm"])
def test_onnx_runtime_agrees(name, folders):
    pytest.importorskip("onnxscript")
    decoding.export(CELLS[name].reduced(), folders[name], "onnx", None)
    ours, onnx = (run_engine(engine, name, folders[name], 1) for engine in ("ours", "onnx"))
    if name == "minilm":
        torch.testing.assert_close(*(torch.tensor(ready["states"]) for ready in (ours, onnx)))
    else:
        assert ours["outputs"] == onnx["outputs"]


def test_sentences_of_all_lengths_are_chosen(toy_data, tmp_path):
    save_model(CELLS["transformer"].reduced(), tmp_path, None)
    work = make_work(CELLS["trained"], tmp_path, 2, 2, toy_data)
    lengths = [len(row) for batch in work.batches for row in batch]
    assert [len(batch) for batch in work.batches] == [2, 2] and lengths == sorted(lengths)
    assert len(work.references) == 4


def test_the_end_token_ends_a_row():
    assert until([5, 6, 1, 7], 1) == [5, 6]
    assert until([5, 6], 1) == [5, 6]
    assert until([5], None) == [5]
    assert not supports("onnx", 4) and supports("onnx", 1) and supports("ctranslate2", 4)


def result(engines):
    return {
        engine: [{"tokens_per_second": speed, "peak_memory": 2e6} for speed in speeds]
        for engine, speeds in engines.items()
    }


def test_the_ratio_is_to_the_fastest_of_each_turn():
    turns = result({"ours": [12.0, 30.0], "transformers": [10.0, 10.0], "ctranslate2": [8.0, 20.0]})
    ready = {engine: {"load": 1.0, "first_token": 0.5, "outputs": [[1], [2]]} for engine in turns}
    ready["ctranslate2"]["outputs"] = [[1], [3]]
    measured = {"rows": 2, "search": "greedy", "engines": decoding.tabulate(turns, ready)}
    found = decoding.ratio(measured, "ours", ["transformers", "ctranslate2", "onnx"])
    assert found["values"] == pytest.approx([1.2, 1.5])
    assert decoding.ratio(measured, "onnx", ["ours"]) is None
    record = {"cells": {"one": {"title": "a model", "results": {"2 greedy": measured}}}, "libraries": {}, "threads": 1}
    written = decoding.table(record)
    assert (
        "| a model | 2 | greedy | 21 | 10 | 14 | **1.35** (1.20 – 1.50) | ours 2 of 2, CTranslate2 1 of 2 |" in written
    )
    assert "| a model | 2 | greedy | ours | 500 ms | 1.0 s | 2 MB | – |" in written


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--cells", "trained"], "--translation FOLDER"),
        (["--cells", "gpt2", "--repeats", "0"], "--repeats must be at least 1, not 0"),
        (["--cells", "gpt2", "--rows", "8", "0"], "--rows must be at least 1, not 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        decoding.parse(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_record(tmp_path, capsys):
    pytest.importorskip("ctranslate2")
    output = tmp_path / "record.json"
    engines = ["--engines", "ours", "transformers", "ctranslate2", "ctranslate2 int8"]
    decoding.main([*QUICK, "transformer", "minilm", *engines, "--output", str(output)])
    record = read_json(output)
    assert record["cells"]["transformer"]["results"].keys() == {"3 greedy", "3 beam 4"}
    assert record["cells"]["minilm"]["results"].keys() == {"3 encode"}
    for cell in record["cells"].values():
        for measured in cell["results"].values():
            assert measured["engines"].keys() == set(engines[1:])
            for values in measured["engines"].values():
                assert values["tokens_per_second"]["median"] > 0 and values["load"] > 0 and "outputs" not in values
                assert math.isfinite(values.get("difference", 0.0))
    assert "ours 3 of 3" in capsys.readouterr().out
