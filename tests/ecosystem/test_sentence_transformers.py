"""sentence-transformers takes a folder of our encoder as it is."""

import subprocess
import sys

import numpy
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.parity import SMALL_CONFIGS
from hf_vanilla_transformer import VanillaEncoderModel
from hf_vanilla_transformer.commands.main import main
from tests.conversion.test_embedding_files import write_embedder
from tests.conversion.test_folders_of_others import write_vocabulary
from tests.tiny_models import tiny_model, tiny_tokenizer

sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = ["a man rides a red bicycle .", "Yes.", "Two children are playing in the snow."]


@pytest.mark.parametrize("saved", ["model", "masked language model"])
def test_a_folder_is_loaded_encodes_and_is_saved(saved, tmp_path):
    tokenizer = tiny_tokenizer("encoder")
    model = tiny_model("encoder", tokenizer)
    encoder = VanillaEncoderModel(model.config, add_pooling_layer=True).eval()
    encoder.load_state_dict(model.model.state_dict(), strict=False)
    (encoder if saved == "model" else model).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")

    embedder = sentence_transformers.SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    found = embedder.encode(TEXTS)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = encoder(**batch).last_hidden_state
    kept = batch["attention_mask"][..., None]
    expected = (states * kept).sum(1) / kept.sum(1)
    numpy.testing.assert_allclose(found, expected.numpy(), atol=1e-5)

    embedder.save_pretrained(str(tmp_path / "embedder"))
    again = sentence_transformers.SentenceTransformer(str(tmp_path / "embedder"), device="cpu")
    numpy.testing.assert_allclose(again.encode(TEXTS), found, atol=1e-6)


LETTERS = ["a bc, dc", "h", "abc " * 30]


def test_a_converted_and_an_exported_embedder_give_the_vectors_of_the_original(tmp_path):
    write_embedder(tmp_path / "original")
    assert main(["convert", str(tmp_path / "original"), str(tmp_path / "ours")]) == 0
    assert main(["export", str(tmp_path / "ours"), str(tmp_path / "exported")]) == 0
    vectors = [
        sentence_transformers.SentenceTransformer(str(tmp_path / name), device="cpu").encode(LETTERS)
        for name in ("original", "ours", "exported")
    ]
    assert vectors[0].shape == (3, 8)
    for found in vectors[1:]:
        numpy.testing.assert_allclose(found, vectors[0], atol=1e-6)


@pytest.mark.slow
def test_a_converted_embedder_needs_no_installation_of_this_package(tmp_path):
    write_embedder(tmp_path / "original")
    assert main(["convert", str(tmp_path / "original"), str(tmp_path / "ours")]) == 0
    program = f"""
import sys
sys.modules["hf_vanilla_transformer"] = None  # not importable
from sentence_transformers import SentenceTransformer
names = {str(tmp_path / "original")!r}, {str(tmp_path / "ours")!r}
first, second = (SentenceTransformer(name, device="cpu", trust_remote_code=True).encode({LETTERS!r}) for name in names)
assert abs(first - second).max() < 1e-6, abs(first - second).max()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_converted_cross_encoder_gives_the_scores_of_the_original(tmp_path):
    note = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}
    config = BertConfig(**SMALL_CONFIGS["bert"] | {"num_labels": 1}, sentence_transformers=note)
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    model.classifier.weight.data.normal_()
    model.save_pretrained(tmp_path / "original")
    write_vocabulary(tmp_path / "original")
    assert main(["convert", str(tmp_path / "original"), str(tmp_path / "ours")]) == 0
    first, second = (
        sentence_transformers.CrossEncoder(str(tmp_path / name), device="cpu").predict([("a b", "c"), ("h", "a c d")])
        for name in ("original", "ours")
    )
    numpy.testing.assert_allclose(second, first, atol=1e-6)
    assert first.min() < 0 or first.max() > 1  # scores, not probabilities
