"""`hf-vanilla classify`: labels of lines, pairs and words, and zero-shot labels."""

import json

import pytest
import torch

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.pipelines.loading import load_model

from ..tiny_models import SENTENCES


@pytest.fixture(scope="module")
def probabilities(text_classifier):
    """A function that returns the probability of each label of a text or a pair, in descending order."""
    model, tokenizer = load_model(
        str(text_classifier), "AutoModelForSequenceClassification", purpose="a test", device="cpu"
    )

    def classify(*texts):
        with torch.no_grad():
            scores = model(**tokenizer(*texts, return_tensors="pt")).logits[0].softmax(-1).tolist()
        return sorted(zip(scores, model.config.id2label.values()), reverse=True)

    return classify


def classified(capsys, folder, tmp_path, text, *arguments, status=0):
    (tmp_path / "text").write_text(text)
    given = ["classify", str(folder), "--input", str(tmp_path / "text"), "--device", "cpu", *arguments]
    assert main(given) == status
    printed = capsys.readouterr()
    return printed.out.splitlines() if status == 0 else printed.err


def test_each_line_has_its_most_probable_label(text_classifier, probabilities, capsys, tmp_path):
    lines = classified(capsys, text_classifier, tmp_path, f"{SENTENCES[0]}\n\n{SENTENCES[1]}\n")
    assert lines == [probabilities(SENTENCES[0])[0][1], "", probabilities(SENTENCES[1])[0][1]]
    lines = classified(capsys, text_classifier, tmp_path, SENTENCES[0], "--n-best", "3", "--scores")
    rows = [line.split("\t") for line in lines]
    expected = probabilities(SENTENCES[0])
    assert [row[2] for row in rows] == [label for _, label in expected]
    assert [float(row[1]) for row in rows] == pytest.approx([score for score, _ in expected], abs=1e-4)


def test_a_line_can_be_a_pair_of_texts(text_classifier, probabilities, capsys, tmp_path):
    text = f"{SENTENCES[0]}\t{SENTENCES[1]}\n"
    (line,) = classified(capsys, text_classifier, tmp_path, text, "--pair", "--scores")
    score, label = line.split("\t")
    assert (float(score), label) == (pytest.approx(probabilities(*SENTENCES[:2])[0][0], abs=1e-4),
                                     probabilities(*SENTENCES[:2])[0][1])  # fmt: skip
    message = classified(capsys, text_classifier, tmp_path, f"{text}one\n", "--pair", status=2)
    assert "Line 2 has 1 column, " in message


def test_zero_shot_labels_are_chosen_from_the_command_line(text_classifier, capsys, tmp_path):
    given = ["--labels", "travel, cooking", "--n-best", "2", "--json"]
    (line,) = classified(capsys, text_classifier, tmp_path, SENTENCES[0], *given)
    answers = json.loads(line)["answers"]
    assert sorted(answer["text"] for answer in answers) == ["cooking", "travel"]
    assert sum(answer["score"] for answer in answers) == pytest.approx(1.0, abs=1e-4)


def test_each_word_has_its_label(token_classifier, capsys, tmp_path):
    image = tmp_path / "attention.png"
    text = f"{SENTENCES[4]}\n\n"
    line, empty = classified(capsys, token_classifier, tmp_path, text, "--attention", str(image))
    pairs = [part.rsplit("/", 1) for part in line.split()]
    assert " ".join(word for word, _ in pairs) == "Paris is the capital of France ."
    assert {label for _, label in pairs} <= {"O", "B-PLACE", "I-PLACE"} and empty == ""
    assert image.is_file()


@pytest.mark.parametrize(
    ("folder", "arguments", "message"),
    [
        ("text_classifier", ["--labels", " , "], "--labels ' , '"),
        ("text_classifier", ["--labels", "a", "--pair"], "--pair"),
        ("text_classifier", ["--labels", "a", "--template", "no place"], "--template 'no place'"),
        ("token_classifier", ["--pair"], "--pair"),
        ("token_classifier", ["--n-best", "2"], "--n-best 2"),
        ("masked_lm", [], "saved as VanillaEncoderForMaskedLM"),
        ("seq2seq", [], "hf-vanilla translate"),
    ],
)
def test_invalid_options_are_named(folder, arguments, message, request, capsys, tmp_path):
    err = classified(capsys, request.getfixturevalue(folder), tmp_path, "A dog.\n", *arguments, status=2)
    assert message in err
