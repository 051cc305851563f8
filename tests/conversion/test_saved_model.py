"""Saved models of this package are loaded completely or not at all."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_vanilla_transformer import export_to
from hf_vanilla_transformer.conversion.saved_model import check_tokenizer, load_saved_model, load_saved_tokenizer
from hf_vanilla_transformer.hub import read_publication

from ..tiny_models import tiny_folder, tiny_model, tiny_tokenizer

LOADERS = [load_saved_model, read_publication, lambda folder: export_to(folder, folder.with_name("exported"))]


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "saved", "encoder")


def test_model_and_tokenizer_are_loaded(folder):
    model = load_saved_model(folder)
    assert type(model).__name__ == "VanillaEncoderForMaskedLM" and not model.training
    assert load_saved_model(folder, torch.float64).dtype == torch.float64
    assert load_saved_tokenizer(folder) is not None
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert load_saved_tokenizer(folder) is None


@pytest.mark.parametrize("load", LOADERS, ids=["load", "publish", "export"])
def test_missing_weights_are_named(load, folder):
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "fc1" in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"{folder.name} lack {lost}, which config\.json requires"):
        load(folder)
    assert not folder.with_name("exported").exists()


@pytest.mark.parametrize("load", LOADERS, ids=["load", "publish", "export"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "bert"}, "model_type='bert'"),
        ({"architectures": ["VanillaDecoderModel"]}, r"architectures=\['VanillaDecoderModel'\]"),
        ({"architectures": None}, r"architectures=\[\]"),
    ],
)
def test_models_of_other_classes_are_refused(load, fields, message, folder):
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_saved_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_saved_model(tmp_path / "nowhere")


def test_a_tokenizer_with_too_many_entries():
    tokenizer = tiny_tokenizer("encoder")
    check_tokenizer(tiny_model("encoder", tokenizer), tokenizer)
    check_tokenizer(tiny_model("encoder", tokenizer), None)
    with pytest.raises(ValueError, match=rf"{len(tokenizer)} entries.*vocab_size=10\b"):
        check_tokenizer(tiny_model("encoder", vocab_size=10), tokenizer)
