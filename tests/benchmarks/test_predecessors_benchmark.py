"""The comparison with the predecessors: equal sizes, measured paths, a record that continues."""

from __future__ import annotations

import json

import pytest

from benchmarks import predecessors


@pytest.mark.parametrize("name", predecessors.PATH_MODELS)
@pytest.mark.parametrize("distance", [1, 7])
def test_the_gradient_confirms_the_formula_of_the_path(name, distance):
    assert predecessors.measured_path(name, distance) == predecessors.path_length(name, distance)


@pytest.mark.slow
def test_the_models_have_about_equal_numbers_of_parameters():
    for name in predecessors.MODELS:
        model = predecessors.model_of(predecessors.config_of(name, 23, 100_000))
        assert model.num_parameters() == pytest.approx(100_000, rel=0.12), name


@pytest.mark.slow
def test_a_run_continues_and_refuses_other_options(tmp_path, monkeypatch, capsys):
    options = ["--minutes", "0", "--models", "gru", "transformer", "--copy-lengths", "3", "--copy-seconds", "0.02"]
    options += ["--time-lengths", "4", "--distances", "2", "--parameters", "5000", "--images", str(tmp_path)]
    options += ["--output", str(tmp_path / "record.json")]
    predecessors.main(options)
    first = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert {"copy/gru/3", "time/transformer/4", "path/bytenet/2"} <= first["cells"].keys()
    assert "| gru |" in capsys.readouterr().out and (tmp_path / "predecessors.png").is_file()

    # Only what is missing is measured again.
    monkeypatch.setattr(predecessors, "update_time", lambda *_: pytest.fail("it was measured before"))
    del first["cells"]["copy/gru/3"]
    (tmp_path / "record.json").write_text(json.dumps(first), encoding="utf-8")
    predecessors.main(options)
    assert "copy/gru/3" in json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["cells"]
    with pytest.raises(ValueError, match="another copy_seconds"):
        predecessors.main([*options, "--copy-seconds", "0.03"])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="--data"):
        predecessors.main(["--data", str(tmp_path)])
