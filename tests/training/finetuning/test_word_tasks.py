"""Token classification and dependency parsing: training, long sentences, unseen labels, errors, real sentences."""

import json
import os
from pathlib import Path

import datasets
import pytest
import torch
from transformers import Trainer, TrainingArguments

from hf_vanilla_transformer import VanillaEncoderForDependencyParsing
from hf_vanilla_transformer.data import DependencyParsingCollator
from hf_vanilla_transformer.training.finetuning.base_model import open_base_model
from hf_vanilla_transformer.training.finetuning.finetuning_run import FinetuningRun, run_finetuning
from hf_vanilla_transformer.training.finetuning.tasks.dependency_parsing import DependencyParsing
from hf_vanilla_transformer.training.finetuning.tasks.token_classification import TokenClassification

DATA = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
NOUNS, VERBS = ["dog", "man", "woman", "house"], ["sees", "reads", "walks", "runs"]
FAST = {
    "training__num_train_epochs": 30,
    "training__per_device_train_batch_size": 8,
    "evaluation__eval_steps": 1000,  # at the end only
    "checkpoint__save_steps": 1000,
    "rates__learning_rate": 1e-2,
    "rates__layerwise_lr_decay": 1.0,
    "rates__lr_scheduler_type": "constant",
    "head__config": {"parser_arc_size": 16, "parser_label_size": 16, "parser_dropout": 0.0, "dropout": 0.0},
}


def sentence(first, verb, second):
    """The dog sees a man. All sentences have the same tree and the same chunks."""
    return {
        "tokens": ["the", first, verb, "a", second],
        "head": [2, 3, 0, 5, 3],
        "deprel": ["det", "nsubj", "root", "det", "obj"],
        "tags": ["B-NP", "I-NP", "O", "B-NP", "I-NP"],
    }


def write(folder, split, rows):
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def sentences(tmp_path):
    folder = tmp_path / "sentences"
    folder.mkdir()
    rows = [sentence(first, verb, second) for first in NOUNS for verb in VERBS for second in NOUNS[:2]]
    bad = {**rows[0], "head": [2, 1, 0, 5, 3], "tags": ["B-NP"]}
    write(folder, "train", [*(row for number, row in enumerate(rows) if number % 4), bad])
    write(folder, "validation", rows[::4])
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_trees_are_learned_and_the_saved_model_has_their_relations(masked_lm, sentences, small_recipe, capsys):
    recipe = small_recipe(masked_lm, task="dependency_parsing", data__path=str(sentences), **FAST)
    result = run_finetuning(recipe)
    assert result.metrics["main_metric"] == "las"
    assert result.metrics["validation_las"] > 0.9 and result.metrics["validation_uas"] > 0.9
    assert result.labels == ["det", "nsubj", "obj", "root"]
    record = lines(result.folder / "predictions_validation.jsonl")[0]
    assert record["text"] == ["the", *record["text"][1:]] and record["gold"]["heads"] == [2, 3, 0, 5, 3]
    assert set(record["predicted"]) == {"heads", "relations"} and len(record["extra"]["probabilities"]) == 5
    model = VanillaEncoderForDependencyParsing.from_pretrained(result.folder / "model")
    assert model.config.id2label == dict(enumerate(result.labels))
    assert (
        "LAS" in (result.folder / "model" / "README.md").read_text()
        or "las" in (result.folder / "model" / "README.md").read_text()
    )


@pytest.mark.parametrize("base_model", ["masked_lm", "causal_lm"])
def test_chunks_are_learned_from_both_stacks(base_model, sentences, small_recipe, request):
    folder = request.getfixturevalue(base_model)
    config = {"dropout": 0.0}
    settings = {**FAST, "head__config": config}
    recipe = small_recipe(folder, task="token_classification", data__path=str(sentences), **settings)
    result = run_finetuning(recipe)
    assert result.metrics["main_metric"] == "f1"
    assert result.metrics["validation_f1"] > 0.9
    assert result.labels == ["B-NP", "I-NP", "O"]
    record = lines(result.folder / "predictions_validation.jsonl")[0]
    assert record["gold"] == ["B-NP", "I-NP", "O", "B-NP", "I-NP"] and len(record["predicted"]) == 5


@pytest.mark.parametrize("backbone", ["frozen", "lora"])
def test_a_frozen_or_adapted_backbone_keeps_its_weights(backbone, masked_lm, sentences, small_recipe):
    if backbone == "lora":
        pytest.importorskip("peft")
    settings = {**FAST, "training__num_train_epochs": 1, "backbone__train": backbone}
    recipe = small_recipe(masked_lm, task="dependency_parsing", data__path=str(sentences), **settings)
    result = run_finetuning(recipe)
    before = open_base_model(masked_lm).weights["layers.0.mlp.fc1.weight"]
    torch.testing.assert_close(result.model.state_dict()["model.layers.0.mlp.fc1.weight"], before)
    assert 0 <= result.metrics["validation_uas"] <= 1


def prepared(recipe, task_class):
    """A prepared run of the given task."""
    ready = FinetuningRun.prepare(recipe)
    assert isinstance(ready.task, task_class)
    return ready


def test_encoded_rows_have_heads_labels_and_word_ids(masked_lm, sentences, small_recipe):
    recipe = small_recipe(masked_lm, task="dependency_parsing", data__path=str(sentences))
    ready = prepared(recipe, DependencyParsing)
    assert ready.splits.reports[0].skipped == 1, "the cycle was left out"
    row = ready.train_rows[0]
    assert row["heads"] == [2, 3, 0, 5, 3] and row["labels"] == [0, 1, 3, 0, 2]
    assert max(row["word_ids"]) == 4 and row["word_ids"][0] == row["word_ids"][-1] == -1
    loss = ready.model(**ready.task.collator(ready.base_model.tokenizer)([row, ready.train_rows[1]])).loss
    assert torch.isfinite(loss)


def test_a_truncated_tree_keeps_the_words_whose_heads_are_left(masked_lm, sentences, small_recipe, caplog):
    recipe = small_recipe(masked_lm, task="dependency_parsing", data__path=str(sentences), text_length__max_tokens=8)
    ready = prepared(recipe, DependencyParsing)
    cut = next(row for row in ready.train_rows if len(row["heads"]) < 5)
    read = len(cut["heads"])
    for head, label, gold in zip(cut["heads"], cut["labels"], [2, 3, 0, 5, 3]):
        assert (head, label == -100) == ((gold, False) if gold <= read else (-100, True))
    predictions = ready.task.predict(ready.model.eval(), ready.base_model.tokenizer, ready.splits.validation)
    assert "text_length.max_tokens" in caplog.text
    assert all(len(one.predicted["heads"]) == 5 for one in predictions)
    short = next(one for one in predictions if "" in one.predicted["relations"])
    first = short.predicted["relations"].index("")
    assert short.predicted["heads"][first:] == list(range(first + 1, 6)), "their own heads, which is always wrong"
    assert ready.task.metrics(predictions)["uas"] < 1


@pytest.mark.parametrize("task", ["token_classification", "dependency_parsing"])
def test_long_sentences_may_be_refused(task, masked_lm, sentences, small_recipe):
    settings = {"text_length__max_tokens": 8, "text_length__too_long": "refuse", "data__path": str(sentences)}
    with pytest.raises(ValueError, match=r"sentences .*max_length=8 tokens"):
        FinetuningRun.prepare(small_recipe(masked_lm, task=task, **settings))


def test_long_sentences_are_tagged_in_windows(masked_lm, sentences, small_recipe, caplog):
    settings = {"text_length__max_tokens": 8, "text_length__overlap": 3, "data__path": str(sentences)}
    ready = prepared(
        small_recipe(masked_lm, task="token_classification", text_length__too_long="window", **settings),
        TokenClassification,
    )
    assert len(ready.train_rows) > len(ready.splits.train)
    rows = ready.splits.validation
    ready.model.eval()
    predictions = ready.task.predict(ready.model, ready.base_model.tokenizer, rows)
    for one in predictions:
        assert len(one.predicted) == len(one.gold) == len(one.text) == 5
        assert all(0 < probability <= 1 for probability in one.extra["probabilities"])
    assert ready.task.metrics(predictions)["loss"] > 0
    with pytest.raises(ValueError, match=r"text_length\.too_long"):
        FinetuningRun.prepare(
            small_recipe(masked_lm, task="dependency_parsing", text_length__too_long="window", **settings)
        )

    cut = prepared(small_recipe(masked_lm, task="token_classification", **settings), TokenClassification)
    predictions = cut.task.predict(cut.model.eval(), cut.base_model.tokenizer, rows)
    assert "cut off and got the most frequent tag" in caplog.text
    assert all(len(one.predicted) == 5 for one in predictions)
    assert cut.task.metrics(predictions)["loss"] > 0


def test_the_loss_of_the_predictions_equals_that_of_the_model(masked_lm, causal_lm, sentences, small_recipe):
    for base_model in (masked_lm, causal_lm):
        ready = FinetuningRun.prepare(small_recipe(base_model, task="token_classification", data__path=str(sentences)))
        rows, tokenizer = ready.splits.validation, ready.base_model.tokenizer
        ready.model.eval()
        scores = ready.task.metrics(ready.task.predict(ready.model, tokenizer, rows))
        encoded = ready.task.encode(rows, tokenizer).remove_columns("length")
        with torch.no_grad():
            loss = ready.model(**ready.task.collator(tokenizer)(list(encoded))).loss
        assert scores["loss"] == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("task", ["token_classification", "dependency_parsing"])
def test_labels_without_training_rows_are_refused_or_counted_as_wrong(task, masked_lm, sentences, small_recipe, caplog):
    strange = {**sentence("dog", "sees", "man"), "deprel": ["det", "nsubj", "root", "det", "iobj"]}
    write(sentences, "validation", [{**strange, "tags": ["B-NP", "I-NP", "O", "B-NP", "I-VP"]}])
    with pytest.raises(ValueError, match=r"validation .*(tags|relations).*'(I-VP|iobj)'"):
        FinetuningRun.prepare(small_recipe(masked_lm, task=task, data__path=str(sentences)))
    recipe = small_recipe(masked_lm, task=task, data__path=str(sentences), data__on_bad_label="warn")
    ready = FinetuningRun.prepare(recipe)
    assert "They count as wrong" in caplog.text
    predictions = ready.task.predict(ready.model.eval(), ready.base_model.tokenizer, ready.splits.validation)
    scores = ready.task.metrics(predictions)
    assert all(0 <= scores[name] < 1 for name in ("accuracy" if "token" in task else "las",))
    assert -100 in ready.task.encode(ready.splits.validation, ready.base_model.tokenizer)[0]["labels"]


def test_base_models_and_columns_that_do_not_fit_are_refused(masked_lm, causal_lm, sentences, small_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"task=.*decoder"):
        FinetuningRun.prepare(small_recipe(causal_lm, task="dependency_parsing", data__path=str(sentences)))
    with pytest.raises(ValueError, match=r"train\.jsonl:25: .*'B-NP'"):
        settings = {"data__path": str(sentences), "data__on_bad_row": "error"}
        FinetuningRun.prepare(small_recipe(masked_lm, task="token_classification", **settings))
    with pytest.raises(ValueError, match=r"no columns for .*'xpos'"):
        FinetuningRun.prepare(
            small_recipe(masked_lm, task="token_classification", data__path=str(sentences), data__tags="xpos")
        )
    one = tmp_path / "one"
    one.mkdir()
    write(one, "train", [{"tokens": ["a", "b"], "tags": ["X", "X"]}] * 20)
    with pytest.raises(ValueError, match=r"'X'.*data\.tags"):
        FinetuningRun.prepare(small_recipe(masked_lm, task="token_classification", data__path=str(one)))


@pytest.mark.parametrize(
    ("name", "task", "fields"),
    [
        ("ud_english_ewt", "dependency_parsing", {}),
        ("ud_korean_gsd", "dependency_parsing", {"data__on_bad_label": "warn"}),
        ("ud_korean_gsd", "token_classification", {"data__tags": "upos"}),
        ("conll2000", "token_classification", {"data__tags": "chunk_tags"}),
    ],
)
def test_real_sentences(name, task, fields, masked_lm, small_recipe, tmp_path):
    if not (DATA / name).is_dir():
        pytest.skip("the data sets are not here")
    folder = tmp_path / name
    folder.mkdir()
    for split, part, rows in (("train", "train", slice(0, 60)), ("validation", "train", slice(60, 80))):
        whole = datasets.Dataset.from_parquet(str(DATA / name / f"{part}.parquet"), cache_dir=str(tmp_path / "cache"))
        whole.select(range(rows.start, rows.stop)).to_parquet(str(folder / f"{split}.parquet"))
    settings = {**FAST, "training__num_train_epochs": 1, "text_length__max_tokens": 64, "data__on_bad_label": "warn"}
    if task == "token_classification":
        settings["head__config"] = {}
    result = run_finetuning(small_recipe(masked_lm, task=task, data__path=str(folder), **{**settings, **fields}))
    metric = result.metrics["main_metric"]
    assert metric == {"conll2000": "f1"}.get(name, "las" if "parsing" in task else "accuracy")
    assert 0 <= result.metrics[f"validation_{metric}"] <= 1
    assert len(lines(result.folder / "predictions_validation.jsonl")) == 20


def test_the_parser_trains_in_a_plain_trainer(masked_lm, sentences, small_recipe, tmp_path):
    """Four batches of two rows make the same update as one batch of eight, although sentences differ in length."""
    short = {"tokens": ["dog", "runs"], "head": [2, 0], "deprel": ["nsubj", "root"]}
    rows = [sentence("dog", "sees", "man"), short]
    write(sentences, "train", [row for row in rows for _ in range(4)])
    weights = []
    for batch_size, accumulation in ((8, 1), (2, 4)):
        fields = {"parser_arc_size": 8, "parser_label_size": 8, "parser_dropout": 0.0, "dropout": 0.0}
        recipe = small_recipe(
            masked_lm,
            task="dependency_parsing",
            data__path=str(sentences),
            head__config={**fields, "attention_dropout": 0.0},
        )
        ready = FinetuningRun.prepare(recipe)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / f"{batch_size}"),
            max_steps=2,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
            learning_rate=1e-2,
            optim="sgd",
            save_strategy="no",
            train_sampling_strategy="sequential",
            use_cpu=True,
            disable_tqdm=True,
        )
        collator = DependencyParsingCollator(ready.base_model.tokenizer)
        trainer = Trainer(ready.model, arguments, collator, ready.train_rows, ready.train_rows)
        trainer.train()
        assert trainer.evaluate()["eval_loss"] > 0
        weights.append({name: value.clone() for name, value in ready.model.state_dict().items()})
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, msg=name)
