"""sentence-transformers takes a folder of our encoder as it is."""

import numpy
import pytest
import torch

from hf_vanilla_transformer import VanillaEncoderModel
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
