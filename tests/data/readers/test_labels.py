"""From labels as people write them to numbers, and doubts about them."""

import logging
import unicodedata

import datasets
import pyarrow.parquet as pq
import pytest

from hf_vanilla_transformer.data import BadRow, fit_labels, load_labelled, split_off_validation


def rows(labels, feature=None, texts=None):
    dataset = datasets.Dataset.from_dict({"text": texts or [f"text {i}" for i in range(len(labels))], "label": labels})
    return dataset if feature is None else dataset.cast_column("label", feature)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["pos", "neg", " pos "], ("neg", "pos")),
        ([10, 2, 1, 2], ("1", "2", "10")),
        (["10", "2", "1"], ("1", "2", "10")),
        ([1.0, 0.0, 1.0], ("0", "1")),
        ([True, False], ("False", "True")),
    ],
)
def test_class_names_of_single_labels(values, names):
    labels = fit_labels(rows(values), "single")
    assert labels.names == names and labels.problem_type == "single_label_classification"
    encoded, report = labels.encode(rows(values), split="train")
    assert [labels.id2label[i] for i in encoded["label"]] == [
        str(v).strip() if isinstance(v, str) else str(int(v)) if isinstance(v, float) else str(v) for v in values
    ]
    assert report.skipped == 0 and encoded.features["label"].dtype == "int64"


def test_the_order_of_a_class_label_is_kept(tmp_path):
    feature = datasets.ClassLabel(names=["pos", "neg"])
    train = rows([1, 0, 1], feature)
    assert fit_labels(train, "single").names == ("pos", "neg")
    train.to_parquet(tmp_path / "train.parquet")
    assert "huggingface" in str(pq.read_schema(tmp_path / "train.parquet").metadata)
    for source in (tmp_path / "train.parquet", tmp_path, train):
        assert fit_labels(load_labelled(source)[0], "single").names == ("pos", "neg")
    labelled, report = load_labelled(rows([1, -1, 0], feature))
    assert len(labelled) == 2 and report.counts == {BadRow.NO_LABEL: 1}


def test_labels_absent_from_the_training_rows(caplog):
    labels = fit_labels(rows(["a", "b", "a"]), "single")
    other = rows(["a", "c", "b", "c"])
    with pytest.raises(ValueError, match=r"(?s)validation:1, validation:3.*'c' \(2 rows\).*'a', 'b'.*on_bad_label"):
        labels.encode(other, split="validation")
    with caplog.at_level(logging.WARNING):
        encoded, report = labels.encode(other, split="validation", on_bad_label="warn")
    assert encoded["label"][:] == [0, 1] and report.counts == {BadRow.UNSEEN_LABEL: 2}
    assert "'c' (2 rows)" in caplog.text
    with pytest.raises(ValueError, match=r"test:0(?s:.*)'c'"):  # no row would be left
        labels.encode(rows(["c"]), split="test", on_bad_label="warn")
    # The model cannot know a declared class without training rows.
    declared = fit_labels(rows([0, 1], datasets.ClassLabel(names=["a", "b", "c"])), "single", on_bad_label="warn")
    assert declared.names == ("a", "b", "c") and declared.warnings[0].endswith(" c.")
    with pytest.raises(ValueError, match="'c'"):
        declared.encode(rows([2], datasets.ClassLabel(names=["a", "b", "c"])), split="test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a"] * 4, "'a'"),
        (["Good", "good", "bad"], r"'Good' \(1 row\) and 'good' \(1 row\)"),
        (["new  york", "New York", "x"], r"'New York' \(1 row\) and 'new  york'"),
        ([unicodedata.normalize("NFD", "긍정"), "긍정", "부정"], "Unicode form"),
        ([f"a whole text {i}" for i in range(50)], "50 .*50 rows"),
    ],
)
def test_doubtful_classes_are_an_error_or_a_warning(values, message, caplog):
    with pytest.raises(ValueError, match=rf"(?s){message}.*on_bad_label .*to warn"):
        fit_labels(rows(values), "single")
    with caplog.at_level(logging.WARNING):
        labels = fit_labels(rows(values), "single", on_bad_label="warn")
    assert len(labels.warnings) == 1 and labels.warnings[0] in caplog.text
    assert len(labels.names) == len(set(values))  # no class is merged with another


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("single", [["a"], ["a", "b"]], "multi-label"),
        ("single", [0.5, 1.25], "regression"),
        ("single", [{"a": 1}], "structures"),
        ("single", [None, None], "column 'label'"),
        ("regression", ["good", "bad"], "column 'label'.*'good'"),
        ("regression", ["1.5", "two", "3"], "1 of 3 labels.*'two'"),
        ("regression", [[1.0], [2.0]], r"column 'label'.*\[1\.0\]"),
        ("regression", [1.0, float("inf")], "finite"),
        ("multi", ["a", "b"], "separator"),
        ("multi", [[0, 1, 1], [1, 0, 0]], "column 'label'.* 3 classes"),
    ],
)
def test_label_columns_of_the_wrong_type_are_refused(kind, values, message):
    with pytest.raises(ValueError, match=message):
        fit_labels(rows(values), kind)


def test_a_label_column_with_several_types_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": "one"}\n')
    with pytest.raises(ValueError, match=r"t\.jsonl.*1 int, 1 str"):
        load_labelled(tmp_path / "t.jsonl")


def test_several_classes_per_row():
    train = rows([["a", "c"], [], ["b"]])
    labels = fit_labels(train, "multi")
    assert labels.names == ("a", "b", "c") and labels.problem_type == "multi_label_classification"
    encoded, _ = labels.encode(train, split="train")
    assert encoded["label"][:] == [[1, 0, 1], [0, 0, 0], [0, 1, 0]] and labels.num_labels == 3
    text = fit_labels(rows(["a| c", "b"]), "multi", separator="|")
    assert text.names == ("a", "b", "c")
    assert text.encode(rows(["b|a"]), split="x")[0]["label"][:] == [[1, 1, 0]]
    with pytest.raises(ValueError, match="'z'"):
        text.encode(rows(["b|z"]), split="x")
    named = rows([[1], [0, 1]], datasets.List(datasets.ClassLabel(names=["x", "y"])))
    assert fit_labels(named, "multi").encode(named, split="x")[0]["label"][:] == [[0, 1], [1, 1]]


def test_numbers_as_labels():
    labels = fit_labels(rows(["1.5", "-2", "3e1"]), "regression")
    assert labels.num_labels == 1 and labels.names == () and labels.problem_type == "regression"
    assert labels.encode(rows(["1.5", "-2"]), split="x")[0]["label"][:] == [1.5, -2.0]
    encoded, report = labels.encode(rows(["1.5", "much"]), split="x", on_bad_label="warn")
    assert encoded["label"][:] == [1.5] and report.counts == {BadRow.LABEL_TYPE: 1}
    with pytest.raises(ValueError, match="value 2"):
        fit_labels(rows([2.0, 2.0]), "regression")


def test_columns_of_labelled_texts(tmp_path):
    table = datasets.Dataset.from_dict({"sentence": ["a", "b"], "score": [0.5, 1.0], "id": [1, 2]})
    assert load_labelled(table)[0].column_names == ["text", "label"]
    assert load_labelled(table, label_column="id")[0]["label"][:] == [1, 2]
    with pytest.raises(ValueError, match=r"'words'.*sentence"):
        load_labelled(table, text_column="words")
    with pytest.raises(ValueError, match=r"text_column='id'.*label_column='id'"):
        load_labelled(table, text_column="id", label_column="id")
    pairs = datasets.Dataset.from_dict({"premise": ["a", " "], "hypothesis": ["b", "c"], "label": [0, 1]})
    loaded, report = load_labelled(pairs, pairs=True)
    assert loaded[:] == {"text": ["a"], "text_pair": ["b"], "label": [0]} and report.counts == {BadRow.EMPTY: 1}
    with pytest.raises(ValueError, match=r"text_column='premise'.*pair_column=None"):
        load_labelled(pairs, text_column="premise", pairs=True)
    with pytest.raises(ValueError, match=r"(?s)data set.*0 of 1 row kept.*empty"):
        load_labelled(rows(["a"], texts=["  "]))
    with pytest.raises(FileNotFoundError):
        load_labelled(tmp_path / "missing.csv")
    with pytest.raises(ValueError, match="on_bad_row"):
        load_labelled(table, on_bad_row="ignore")


def test_real_reviews(shared_data):
    train, report = load_labelled(shared_data / "nsmc", split="train")
    assert report.rows == 150_000 and not report.skipped
    labels = fit_labels(train, "single")
    assert labels.names == ("neg", "pos") and sum(labels.counts) == 150_000
    encoded, _ = labels.encode(train, split="train")
    assert set(encoded["label"][:]) == {0, 1}
    rest, validation = split_off_validation(encoded, 0.1)
    assert len(validation) == 15_000 and abs(sum(validation["label"]) - 7_500) <= 1 and len(rest) == 135_000
    # Unlabelled reviews are counted as rows without a label.
    with pytest.raises(ValueError, match="no label"):
        load_labelled(shared_data / "imdb", split="unsupervised")
