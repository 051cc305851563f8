"""`hf-vanilla fill`: masks are filled with the most probable words of the model."""

import itertools
import json

import pytest
import torch

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.pipelines.loading import load_model


@pytest.fixture(scope="module")
def probabilities(masked_lm):
    """A function that returns the probability of every token for each mask of a text, and the tokenizer."""
    model, tokenizer = load_model(str(masked_lm), "AutoModelForMaskedLM", purpose="a test", device="cpu")

    def predict(text):
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0][inputs["input_ids"][0] == tokenizer.mask_token_id]
        return logits.softmax(-1), tokenizer

    return predict


def filled(capsys, folder, tmp_path, text, *arguments):
    (tmp_path / "text").write_text(text)
    assert main(["fill", str(folder), "--input", str(tmp_path / "text"), "--device", "cpu", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_masks_are_filled_with_the_most_probable_words(masked_lm, probabilities, capsys, tmp_path):
    text = "Paris is the ___ of France.\nno mask\n\nThe [MASK] man reads.\n"
    lines = filled(capsys, masked_lm, tmp_path, text, "--n-best", "2", "--scores")
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == ["1", "1", "2", "3", "4", "4"]
    assert rows[2][1:] == ["1.0000", "no mask"]
    ((of_mask,), tokenizer) = probabilities("Paris is the [MASK] of France.")
    best = of_mask.topk(2)
    words = [tokenizer.decode([token]) for token in best.indices.tolist()]
    assert [row[2] for row in rows[:2]] == [f"Paris is the {word} of France." for word in words]
    assert [float(row[1]) for row in rows[:2]] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_several_masks_are_ranked_by_the_product_of_their_probabilities(masked_lm, probabilities, capsys, tmp_path):
    image = tmp_path / "attention.png"
    given = ["--n-best", "3", "--json", "--attention", str(image)]
    (line,) = filled(capsys, masked_lm, tmp_path, "The ___ man ___ a book.\n", *given)
    scores = [answer["score"] for answer in json.loads(line)["answers"]]
    of_masks, _ = probabilities("The [MASK] man [MASK] a book.")
    best = [mask.topk(3).values.tolist() for mask in of_masks]
    expected = sorted((first * second for first, second in itertools.product(*best)), reverse=True)[:3]
    assert scores == pytest.approx(expected, rel=1e-3)
    assert image.is_file()


def test_a_model_without_masked_language_modeling_is_rejected(causal_lm, text_classifier, capsys, tmp_path):
    (tmp_path / "text").write_text("A ___.\n")
    for folder, message in [
        (causal_lm, "hf-vanilla generate"),
        (text_classifier, "saved as VanillaEncoderForSequenceClassification"),
    ]:
        assert main(["fill", str(folder), "--input", str(tmp_path / "text"), "--device", "cpu"]) == 2
        assert message in capsys.readouterr().err
