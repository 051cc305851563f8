"""The bag of words: what it learns, its files, and the comparison in a run."""

import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from hf_vanilla_transformer.training.finetuning import bag_of_words
from hf_vanilla_transformer.training.finetuning.bag_of_words import DEFAULT_STRENGTH, BagOfWords, has_spaces
from hf_vanilla_transformer.training.finetuning.comparison import row_statistics
from hf_vanilla_transformer.training.finetuning.finetuning_report import write_run_report
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning

from .conftest import BAD, GOOD

KOREAN = ["정말 재미있어요", "재미있는 영화", "너무 지루해요", "지루한 영화"]
PAIRS = [(one, other) for one in GOOD[:3] for other in (one, BAD[0])]
CASES = {
    "two classes": ("single", 2, GOOD + BAD, [1] * 6 + [0] * 6, None),
    "three classes, one without rows": ("single", 4, [*GOOD, *BAD, "so so"], [1] * 6 + [0] * 6 + [3], None),
    "one class": ("single", 2, GOOD, [1] * 6, None),
    "several classes": ("multi", 4, GOOD + BAD, [[1, 0, 1, 0]] * 6 + [[0, 1, 1, 0]] * 6, None),
    "numbers": ("regression", 1, GOOD + BAD, [5.0] * 6 + [1.0] * 6, None),
    "characters": ("single", 2, KOREAN, [1, 1, 0, 0], None),
    "pairs": ("single", 2, [one for one, _ in PAIRS], [1, 0] * 3, [other for _, other in PAIRS]),
}


@pytest.mark.parametrize("case", CASES)
def test_it_learns_and_loads_with_the_same_predictions(case, tmp_path):
    kind, classes, texts, labels, second = CASES[case]
    model = BagOfWords.fit(kind, classes, texts, labels, second)
    scores = model.predict(texts, second)
    if kind == "single":
        assert scores.argmax(-1).tolist() == labels
        assert scores.sum(-1) == pytest.approx(1)
    elif kind == "multi":
        assert (scores > 0.5).astype(int).tolist() == labels
    else:
        assert scores[:, 0] == pytest.approx(labels, abs=0.7)
    model.save(tmp_path / "model")
    assert {file.suffix for file in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}
    assert np.array_equal(BagOfWords.load(tmp_path / "model").predict(texts, second), scores)
    assert model.words == (case != "characters") and model.megabytes > 0


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(classes):
    texts, labels = GOOD + BAD, [0] * 6 + [1] * (6 if classes == 2 else 3) + [2] * (0 if classes == 2 else 3)
    features = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"\w+").fit_transform(texts)
    expected = LogisticRegression(C=DEFAULT_STRENGTH, max_iter=1000).fit(features, labels).predict_proba(features)
    assert BagOfWords.fit("single", classes, texts, labels).predict(texts) == pytest.approx(expected, abs=1e-4)


def test_the_regulariser_is_the_best_on_validation_rows_and_the_stronger_of_equals():
    def fit(better):
        return BagOfWords.fit("single", 2, GOOD + BAD, [1] * 6 + [0] * 6, better=better).strength

    assert fit(lambda model: -abs(model.strength - 10)) == 10
    assert fit(lambda model: 1.0) == min(bag_of_words.STRENGTHS)


def test_scripts_without_reliable_spaces_are_read_as_characters():
    assert has_spaces(["Ein schöner Film.", "Хороший фильм", "좋은 film that I saw yesterday"])
    assert not has_spaces(KOREAN) and not has_spaces(["とても良い映画"]) and not has_spaces(["หนังดีมาก"])


def test_impossible_input_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="2 rows and labels 1"):
        BagOfWords.fit("single", 2, ["a", "b"], [0])
    model = BagOfWords.fit("single", 2, ["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="second_texts"):
        model.predict(["a"], ["b"])
    with pytest.raises(FileNotFoundError, match=r"bag_of_words\.json"):
        BagOfWords.load(tmp_path)
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "bag_of_words.json").read_text())
    (tmp_path / "model" / "bag_of_words.json").write_text(json.dumps({**config, "terms": ["a"]}))
    with pytest.raises(ValueError, match="do not belong together"):
        BagOfWords.load(tmp_path / "model")
    (tmp_path / "model" / "bag_of_words.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged"):
        BagOfWords.load(tmp_path / "model")


def test_statistics_of_rows():
    tags = [{"gold": ["B-NP", "O"], "predicted": ["B-NP", "B-NP"], "text": ["a", "b"]}]
    assert row_statistics(tags, "f1")[0].tolist() == [[1, 2, 1]]
    assert row_statistics(tags, "accuracy")[0].tolist() == [[1, 2]]
    several = [{"gold": ["a", "b"], "predicted": ["b"], "probabilities": {"a": 0.1, "b": 0.9}}]
    assert row_statistics(several, "f1")[0].tolist() == [[1, 1, 2]]
    assert row_statistics(several, "accuracy") is None and row_statistics(several, "loss") is None


def test_a_run_says_which_to_use_in_report_results_and_card(masked_lm, small_recipe, tmp_path):
    result = run_finetuning(small_recipe(masked_lm, comparison__start=["bag_of_words"], training__max_steps=1))
    folder = tmp_path / "run" / "compared" / "bag_of_words"
    other = json.loads((folder / "results.json").read_text())
    assert other["test_accuracy"] == 1.0  # the words `good` and `bad` decide
    assert [gain.start for gain in result.gains] == ["bag_of_words"]
    low, high = result.gains[0].intervals["test"]
    assert low <= result.gains[0].gains["test"] <= high
    text = (tmp_path / "run" / "report.md").read_text()
    verdict = json.loads((tmp_path / "run" / "results.json").read_text())["verdict"]
    assert verdict.startswith("Use the bag of words: ") and "95 % confidence interval" in verdict
    assert "rows/s" in verdict and "MB" in verdict and "s of training" in verdict
    assert text.splitlines()[2] == f"**{verdict}**"
    assert verdict in (tmp_path / "run" / "model" / "README.md").read_text()
    assert f"**{verdict}**" in write_run_report(tmp_path / "run").read_text()
    own = [json.loads(line) for line in (tmp_path / "run" / "predictions_test.jsonl").read_text().splitlines()]
    others = [json.loads(line) for line in (folder / "predictions_test.jsonl").read_text().splitlines()]
    assert [one["text"] for one in own] == [one["text"] for one in others]
    model = BagOfWords.load(folder / "model")
    scores = model.predict([one["text"] for one in others])
    assert scores.max(-1) == pytest.approx([one["probability"] for one in others])


def test_what_a_bag_of_words_cannot_do_is_refused_before_work(masked_lm, small_recipe, tmp_path, monkeypatch):
    for task in ("question_answering", "dependency_parsing", "token_classification"):
        with pytest.raises(ValueError, match=f"bag_of_words cannot do task='{task}'"):
            run_finetuning(small_recipe(masked_lm, task=task, comparison__start=["bag_of_words"]))
    monkeypatch.setattr(bag_of_words, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"hf_vanilla_transformer\[bag_of_words\]"):
        run_finetuning(small_recipe(masked_lm, comparison__start=["bag_of_words"]))
    assert not (tmp_path / "run").exists()
