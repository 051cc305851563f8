"""Every metric of the table is a module of the `evaluate` library that needs neither files nor network."""

import os
import subprocess
import sys

import evaluate
import pytest

from hf_vanilla_transformer.evaluation import METRICS, load_metric

TREE = {"heads": [2, 0], "relations": ["det", "root"]}
OTHER_TREE = {"heads": [0, 1], "relations": ["root", "obj"]}

# Four rows for each metric.
ROWS = {
    "accuracy": {"predictions": ["a", "b", "a", "c"], "references": ["a", "a", "b", "c"]},
    "alignment_error_rate": {
        "predictions": [[(0, 0)], [(1, 0), (0, 1)], [], [(2, 2)]],
        "references": [{"sure": [(0, 0)], "possible": [(1, 1)]}, {"sure": [], "possible": [(0, 1)]}] * 2,
    },
    "attachment_scores": {
        "predictions": [TREE, OTHER_TREE, TREE, TREE],
        "references": [TREE, TREE, OTHER_TREE, TREE],
    },
    "bleu": {
        "predictions": ["the cat sat on the mat", "a dog barks", "one two three four", "x"],
        "references": ["the cat sat on a mat", "a dog barks loudly", "one two three four", "y"],
    },
    "chunk_f1": {
        "predictions": [["B-A", "I-A"], ["O"], ["B-B"], ["B-A", "O", "B-B"]],
        "references": [["B-A", "I-A"], ["B-A"], ["B-A"], ["B-A", "O", "I-B"]],
    },
    "exact_match": {"predictions": ["a cat", "dog", "", "x y"], "references": [["cat"], ["a dog", "b"], [], ["x z"]]},
    "multi_label_scores": {"predictions": [["a"], [], ["a", "b"], ["c"]], "references": [["a"], ["b"], ["b"], []]},
    "perplexity": {"losses": [1.0, 2.5, 0.25, 7.0], "tokens": [1, 3, 2, 4]},
    "regression_scores": {"predictions": [1.0, 2.0, 2.5, 4.0], "references": [1.5, 2.0, 2.0, 5.0]},
}
ROWS["classification_scores"] = ROWS["accuracy"]
ROWS["chrf"] = ROWS["rouge"] = ROWS["bleu"]
ROWS["tag_accuracy"] = ROWS["chunk_f1"]

# Prints the scores of each metric, in a process of its own.
SCORE_ALL = """
import json, sys
from hf_vanilla_transformer.evaluation import load_metric
for name, rows in json.load(sys.stdin).items():
    print(name, json.dumps(load_metric(name).compute(**rows)))
"""


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_a_module_of_evaluate_with_the_name_of_the_table(name):
    metric = load_metric(name)
    assert isinstance(metric, evaluate.Metric)
    assert metric.name == name
    assert metric.description and metric.inputs_description
    assert set(metric.features) == set(ROWS[name])


@pytest.mark.parametrize("name", METRICS)
def test_rows_in_batches_or_one_by_one_score_as_all_at_once(name):
    rows = ROWS[name]
    expected = load_metric(name).compute(**rows)
    batches, single = load_metric(name), load_metric(name)
    for part in (slice(0, 1), slice(1, 1), slice(1, 4)):
        batches.add_batch(**{column: values[part] for column, values in rows.items()})
    for index in range(4):
        single.add(**{column.removesuffix("s") if column in ("predictions", "references") else column: values[index]
                      for column, values in rows.items()})  # fmt: skip
    assert batches.compute() == single.compute() == expected
    # The rows are gone: the metric can be used again.
    assert batches.compute(**rows) == expected


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_names_what_it_cannot_score(name):
    rows = ROWS[name]
    first, second = rows
    with pytest.raises(ValueError, match=f"{name} .* {first} has 4, {second} has 2"):
        load_metric(name).compute(**{first: rows[first], second: rows[second][:2]})
    with pytest.raises(ValueError, match=f"{name} has no rows"):
        load_metric(name).compute(**{column: [] for column in rows})
    with pytest.raises(ValueError, match=f"{name} has no rows"):
        load_metric(name).compute()
    with pytest.raises(ValueError, match=f"{name} needs the columns {first}, {second}, but got {first}"):
        load_metric(name).add_batch(**{first: rows[first]})


def test_metrics_can_be_combined():
    texts = ROWS["bleu"]
    names = ("bleu", "chrf", "rouge")
    combined = evaluate.combine([load_metric(name) for name in names])
    expected = {}
    for name in names:
        expected |= load_metric(name).compute(**texts)
    assert combined.compute(**texts) == expected
    for row in range(4):
        combined.add_batch(
            predictions=texts["predictions"][row : row + 1], references=texts["references"][row : row + 1]
        )
    assert combined.compute() == expected
    both = evaluate.combine({"strict": load_metric("bleu"), "lenient": load_metric("bleu", lowercase=True)})
    assert {"strict_bleu", "lenient_bleu", "strict_bleu_signature"} <= both.compute(**texts).keys()


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("accuracy", [1, 2, 3, 4], r"(?s)Value\('string'\).*\[1, 2, 3, 4\]"),
        ("chunk_f1", ["B-A", "O", "O", "O"], "B-A"),
        ("regression_scores", ["x"] * 4, "'x'"),
    ],
)
def test_values_of_another_type_are_an_error(name, values, message):
    metric = load_metric(name)
    with pytest.raises(ValueError, match=message):
        metric.add_batch(predictions=values, references=ROWS[name]["references"])
    assert metric.compute(**ROWS[name]) == load_metric(name).compute(**ROWS[name])


def test_an_unknown_metric_is_answered_with_the_names():
    with pytest.raises(ValueError, match=r"name='bluu'.*bleu, chrf"):
        load_metric("bluu")


@pytest.mark.slow
def test_metrics_write_no_files_and_need_no_network(tmp_path):
    """With a read-only cache, and from several processes at once."""
    import json

    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HOME": str(home)}
    environment |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCORE_ALL], env=environment, cwd=tmp_path, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    results = [process.communicate(json.dumps(ROWS)) for process in processes]
    expected = [f"{name} {json.dumps(load_metric(name).compute(**rows))}" for name, rows in ROWS.items()]
    for process, (out, err) in zip(processes, results):
        assert process.returncode == 0, err
        assert out.splitlines() == expected
    assert not [path for path in tmp_path.rglob("*") if path != home and "metrics" in path.parts]


def test_the_package_does_not_import_evaluate_before_a_metric_is_used():
    code = (
        "import sys; import hf_vanilla_transformer; import hf_vanilla_transformer.evaluation;"
        "import hf_vanilla_transformer.evaluation.calibration;"
        "assert not {'evaluate', 'datasets', 'sacrebleu'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
