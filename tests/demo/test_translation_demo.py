"""`hf-vanilla demo` at a reduced size: it writes all of its files; good translations are not expected."""

import json

import pytest
from huggingface_hub import ModelCard

from hf_vanilla_transformer.commands.main import main


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "run"
    status = main(["demo", "--output", str(folder), "--sentences", "300", "--steps", "4"])
    return folder, status


def test_the_demo_writes_all_of_its_files(demo):
    folder, status = demo
    assert status == 0
    for name in (
        "corpus/train.en",
        "corpus/test.fr",
        "training/recipe.yaml",
        "attention.png",
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/generation_config.json",
        "model/attention.png",
        "model/recipe.yaml",
        "model/modeling_vanilla_transformer.py",
    ):
        assert (folder / name).is_file(), name
    assert len((folder / "corpus/train.en").read_text(encoding="utf-8").splitlines()) == 300


def test_the_results_contain_the_test_score(demo):
    results = json.loads((demo[0] / "model/results.json").read_text(encoding="utf-8"))
    assert 0 <= results["test_bleu"] <= 100


def test_the_card_is_valid_and_shows_the_command(demo):
    card = ModelCard.load(demo[0] / "model/README.md")
    assert card.data.pipeline_tag == "translation"
    assert card.data.language == ["en", "fr"]
    assert "--sentences 300" in card.text


def test_a_folder_that_is_not_empty_is_refused(demo, capsys):
    assert main(["demo", "--output", str(demo[0])]) == 2
    assert "not empty" in capsys.readouterr().err


def test_zero_updates_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--output", str(tmp_path / "x"), "--steps", "0"])
    message = capsys.readouterr().err
    assert ended.value.code == 2 and "--steps" in message and "not 0" in message
    assert not (tmp_path / "x").exists()
