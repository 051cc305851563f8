"""Runs of fine-tuning: files, results, resume, comparison, splits, errors."""

import json

import datasets
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from hf_vanilla_transformer.training.checkpoints import checkpoints, load_weights
from hf_vanilla_transformer.training.finetuning import finetuning_run
from hf_vanilla_transformer.training.finetuning.finetuning_run import FinetuningRun, run_finetuning
from hf_vanilla_transformer.training.finetuning.task_trainer import RowSampler
from hf_vanilla_transformer.training.history import read_history
from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe

from ..interruption import interrupt_at
from ..test_training_run import assert_same, losses
from .conftest import review_recipe


@pytest.fixture(scope="module")
def finished_recipe(masked_lm, reviews, tmp_path_factory):
    """Eight epochs with gradual unfreezing."""
    folder = tmp_path_factory.mktemp("finetuned") / "run"
    return load_finetune_recipe(
        None,
        [
            f"base_model={masked_lm}", f"data.path={reviews}", f"output.output_dir={folder}",
            "training={num_train_epochs: 8, per_device_train_batch_size: 16, logging_steps: 2}",
            "rates={learning_rate: 3.0e-2, layerwise_lr_decay: 1.5}", "unfreezing.mode=gradual",
            "head.pooling=concat",
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(finished_recipe):
    return run_finetuning(finished_recipe, command="hf-vanilla finetune x")


class TestFinishedRun:
    """The folder of a fine-tuning that reached its end."""

    def test_leaves_its_files(self, result):
        names = {path.name for path in result.folder.iterdir()}
        assert names >= {
            "recipe.yaml", "results.json", "metrics.jsonl", "curves.png", "trainable.json", "model", "report.md",
            "predictions_validation.jsonl", "predictions_test.jsonl",
        }  # fmt: skip
        assert "checkpoints" not in names

    def test_saves_its_recipe(self, result, finished_recipe):
        assert load_finetune_recipe(result.folder).to_dict() == finished_recipe.to_dict()

    def test_results_have_scores_and_facts(self, result, masked_lm):
        results = json.loads((result.folder / "results.json").read_text())
        assert results["test_accuracy"] == result.metrics["test_accuracy"] > 0.9
        assert results["run"]["train_rows"] == 48 and results["run"]["lineage"][0]["source"] == str(masked_lm)
        assert results["run"]["trainable_parameters"] > 0
        assert results["wall_seconds"] >= results["training_seconds"] > 0

    def test_layers_were_trained_one_after_the_other_with_their_own_rates(self, result):
        trainable = json.loads((result.folder / "trainable.json").read_text())
        assert [entry["parts"][-1] for entry in trainable] == ["head", "layer 1", "layer 0", "embeddings"]
        assert [entry["epoch"] for entry in trainable] == [0, 1, 2, 3]
        rates = trainable[-1]["learning_rates"]
        assert rates["head"] / rates["layer 1"] == pytest.approx(1.5)

    def test_predictions_have_texts_labels_and_probabilities(self, result):
        lines = (result.folder / "predictions_test.jsonl").read_text().splitlines()
        predictions = [json.loads(line) for line in lines]
        assert len(predictions) == 12 and predictions[0]["gold"] == "pos" and predictions[0]["text"] == "a good film"
        assert sum(predictions[0]["probabilities"].values()) == pytest.approx(1)

    def test_a_pipeline_loads_the_model(self, result):
        classify = pipeline("text-classification", model=str(result.folder / "model"))
        answers = classify(["a good film", "a bad film", "a bad film " * 50], truncation=True)[:2]
        assert [answer["label"] for answer in answers] == ["pos", "neg"]
        model = AutoModelForSequenceClassification.from_pretrained(result.folder / "model")
        assert model.config.classifier_pooling == "concat" and model.config.id2label == {0: "neg", 1: "pos"}

    def test_the_card_names_base_model_command_and_rows(self, result, masked_lm):
        card = (result.folder / "model" / "README.md").read_text()
        assert masked_lm.name in card and "hf-vanilla finetune x" in card and "48 rows" in card

    def test_history_has_epochs_and_one_evaluation_each(self, result):
        records = read_history(result.folder / "metrics.jsonl")
        assert [record["epoch"] for record in records if "eval_accuracy" in record] == list(range(1, 9))
        assert all(record["steps_per_second"] > 0 for record in records if "loss" in record)

    def test_is_not_resumed(self, result, finished_recipe):
        with pytest.raises(ValueError, match=r"finished.*results\.json"):
            run_finetuning(finished_recipe, resume=True)


AVERAGED = {
    "training__num_train_epochs": 4, "evaluation__eval_steps": 3, "unfreezing__mode": "gradual", "head__dropout": 0.2,
    "training__logging_steps": 1, "training__average": "ema", "training__average_every": 2, "training__ema_decay": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(masked_lm, reviews, tmp_path_factory):
    """A run that is not interrupted, with averaged weights."""
    return run_finetuning(review_recipe(masked_lm, reviews, tmp_path_factory.mktemp("unbroken") / "run", **AVERAGED))


@pytest.mark.parametrize("step", [1, 7])
def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(
    step, unbroken, masked_lm, small_recipe, tmp_path, monkeypatch
):
    recipe = small_recipe(masked_lm, **AVERAGED)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=step)
        stopped = run_finetuning(recipe)
    assert stopped.interrupted and stopped.steps == step
    folder = tmp_path / "run"
    assert not (folder / "results.json").exists()
    other = small_recipe(masked_lm, **AVERAGED, rates__layerwise_lr_decay=2.0)
    for resume, way in ((False, "hf-vanilla finetune --resume"), (True, "--accept-changes")):
        with pytest.raises(ValueError, match=rf"rates.layerwise_lr_decay was 1.0 and is 2.0.*{way}"):
            run_finetuning(other, resume=resume)
    again = run_finetuning(recipe)
    assert again.steps == unbroken.steps == 12
    assert losses(folder) == losses(unbroken.folder)
    assert_same(load_weights(folder / "model"), load_weights(unbroken.folder / "model"))
    assert (folder / "trainable.json").read_text() == (unbroken.folder / "trainable.json").read_text()


def test_a_resumed_run_keeps_its_patience_and_its_best_weights(masked_lm, small_recipe, tmp_path, monkeypatch):
    fields = {
        "training__num_train_epochs": 30, "evaluation__eval_steps": 2, "evaluation__patience": 3,
        "evaluation__metric_for_best_model": "loss", "rates__learning_rate": 1.0,
    }  # fmt: skip
    unbroken = run_finetuning(small_recipe(masked_lm, output__output_dir=str(tmp_path / "unbroken"), **fields))
    assert unbroken.steps < 90
    recipe = small_recipe(masked_lm, **fields)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=unbroken.steps - 1)
        assert run_finetuning(recipe).interrupted
    resumed = run_finetuning(recipe, resume=True)
    assert (resumed.steps, resumed.chosen) == (unbroken.steps, unbroken.chosen)
    assert_same(load_weights(resumed.folder / "model"), load_weights(unbroken.folder / "model"))


@pytest.mark.parametrize("moment", ["card_text", "write_run_report"])
def test_a_run_killed_before_its_report_is_finished_by_the_next_call(
    moment, masked_lm, small_recipe, tmp_path, monkeypatch
):
    def killed(*arguments, **keywords):
        raise KeyboardInterrupt

    recipe = small_recipe(masked_lm, training__num_train_epochs=2, training__logging_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr(finetuning_run, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            run_finetuning(recipe)
    before = losses(tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()
    resumed = run_finetuning(recipe, resume=True)
    assert resumed.steps == 6 and losses(tmp_path / "run") == before
    assert (tmp_path / "run" / "report.md").is_file() and (tmp_path / "run" / "results.json").is_file()
    assert resumed.metrics["run"]["trainable_parameters"] > 0


def test_an_interrupted_comparison_is_finished_by_the_next_call(masked_lm, small_recipe, tmp_path, monkeypatch):
    recipe = small_recipe(masked_lm, comparison__start=["scratch"])
    train = finetuning_run.run_finetuning

    def interrupted(other, **keywords):
        with monkeypatch.context() as patch:
            interrupt_at(patch, step=2)
            return train(other, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(finetuning_run, "run_finetuning", interrupted)
        assert run_finetuning(recipe).interrupted
    assert (tmp_path / "run" / "model").is_dir() and not (tmp_path / "run" / "results.json").exists()
    resumed = run_finetuning(recipe, resume=True)
    assert [gain.start for gain in resumed.gains] == ["scratch"]
    assert json.loads((tmp_path / "run" / "results.json").read_text())["gains"]


def test_checkpoints_are_saved_once_an_epoch_and_the_newest_two_are_kept(
    masked_lm, small_recipe, tmp_path, monkeypatch
):
    interrupt_at(monkeypatch, step=10)
    run_finetuning(small_recipe(masked_lm, training__num_train_epochs=4))
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-9", "checkpoint-10"]


@pytest.mark.parametrize(("rows", "size", "per_update"), [(54, 8, 1), (65, 8, 4), (3, 8, 4), (64, 8, 2)])
def test_an_epoch_has_every_row_in_an_order_of_seed_and_epoch(rows, size, per_update):
    lengths = [3 + index % 7 for index in range(rows)]
    sampler = RowSampler(lengths, size, batches_per_update=per_update, seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == per_update * -(-rows // (size * per_update))
    assert {row for batch in batches for row in batch} == set(range(rows))
    assert all(0 < len(batch) <= size for batch in batches)
    if rows >= per_update:
        repeated = sum(map(len, batches)) - rows
        assert (
            repeated == max(0, per_update - rows % (size * per_update)) if rows % (size * per_update) else not repeated
        )
    assert list(sampler) == batches == list(RowSampler(lengths, size, batches_per_update=per_update, seed=1))
    sampler.set_epoch(1)
    other = RowSampler(lengths, size, batches_per_update=per_update, seed=2)
    assert rows == 3 or (list(sampler) != batches and list(other) != batches)


def test_the_best_model_is_saved_and_patience_ends_the_run(masked_lm, small_recipe, tmp_path):
    recipe = small_recipe(
        masked_lm, training__num_train_epochs=30, evaluation__eval_steps=1, evaluation__patience=2,
        rates__learning_rate=1e-6,
        evaluation__metric_for_best_model="loss",
    )  # fmt: skip
    recipe.rates.learning_rate = 10.0  # everything is worse after each update
    result = run_finetuning(recipe)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [record["eval_loss"] for record in records if "eval_loss" in record]
    assert result.steps == len(losses) < 30
    assert result.metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize("backbone", ["frozen", "lora"])
def test_a_frozen_backbone_and_adapters(masked_lm, small_recipe, tmp_path, backbone):
    if backbone == "lora":
        pytest.importorskip("peft")
    run_finetuning(
        small_recipe(masked_lm, backbone__train=backbone, rates__learning_rate=1e-2, training__num_train_epochs=2)
    )
    before, after = load_weights(masked_lm), load_weights(tmp_path / "run" / "model")
    moved = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    expected = (
        {f"model.layers.{n}.self_attn.{m}_proj.weight" for n in (0, 1) for m in "qv"} if backbone == "lora" else set()
    )
    assert moved == expected
    assert not any("lora" in name for name in after)
    entry = json.loads((tmp_path / "run" / "trainable.json").read_text())[0]
    assert entry["parts"] == (["head"] if backbone == "frozen" else ["head", "layer 1", "layer 0"])
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model")


def test_gains_over_other_initialisations(masked_lm, small_recipe, tmp_path):
    first = run_finetuning(small_recipe(masked_lm, output__output_dir=str(tmp_path / "first")))
    second = small_recipe(tmp_path / "first", comparison__start=["before", "scratch", str(tmp_path / "first")])
    result = run_finetuning(second)
    assert [gain.start for gain in result.gains] == ["before", "scratch", str(tmp_path / "first")]
    before = json.loads((tmp_path / "run" / "compared" / "before" / "results.json").read_text())
    assert before["run"]["lineage"][0]["source"] == str(masked_lm)
    assert before["test_loss"] == pytest.approx(first.metrics["test_loss"])
    scratch = json.loads((tmp_path / "run" / "compared" / "scratch" / "results.json").read_text())
    assert scratch["run"]["from_scratch"] and scratch["run"]["lineage"] == []
    handicap = load_finetune_recipe(tmp_path / "run" / "compared" / "scratch")
    assert (handicap.rates.layerwise_lr_decay, handicap.unfreezing.mode) == (1.0, "none")
    saved = json.loads((tmp_path / "run" / "results.json").read_text())
    gain = saved["gains"][1]["gains"]["test"]
    assert gain == pytest.approx(saved["test_accuracy"] - scratch["test_accuracy"])
    assert [ancestor["source"] for ancestor in saved["run"]["lineage"]] == [str(tmp_path / "first"), str(masked_lm)]


def test_a_start_that_cannot_be_compared_is_refused_before_anything_is_written(masked_lm, small_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"comparison\.start.*recipe\.yaml"):
        run_finetuning(small_recipe(masked_lm, comparison__start=["before"]))
    with pytest.raises(FileNotFoundError, match=r"comparison\.start='nowhere'"):
        run_finetuning(small_recipe(masked_lm, comparison__start=["nowhere"]))
    assert not (tmp_path / "run").exists()


def test_rows_drawn_by_seed_are_balanced_and_nested(masked_lm, small_recipe):
    drawn = {}
    for count in (8, 16):
        rows = FinetuningRun.prepare(small_recipe(masked_lm, data__max_labels=count, data__sample_seed=3)).splits.train
        drawn[count] = list(zip(rows["text"], rows["label"]))
        assert sorted(rows["label"]).count(0) == count // 2
    other = FinetuningRun.prepare(small_recipe(masked_lm, data__max_labels=8, data__sample_seed=4)).splits.train
    assert list(zip(other["text"], other["label"])) != drawn[8]
    with pytest.raises(ValueError, match=r"data\.max_labels=1.* 2 classes"):
        FinetuningRun.prepare(small_recipe(masked_lm, data__max_labels=1))


def test_a_single_file_is_split_into_training_and_validation_rows(masked_lm, small_recipe, reviews):
    prepared = FinetuningRun.prepare(
        small_recipe(masked_lm, data__path=str(reviews / "train.csv"), data__validation_part=0.25)
    )
    assert (len(prepared.splits.train), len(prepared.splits.validation), prepared.splits.test) == (36, 12, None)
    assert sorted(prepared.splits.validation["label"]).count(0) == 6
    other = FinetuningRun.prepare(
        small_recipe(masked_lm, data__path=str(reviews / "train.csv"), data__validation_part=0.25, training__seed=7)
    )
    assert list(other.splits.validation["text"]) == list(prepared.splits.validation["text"])


def test_sharded_parquet_is_read_as_one_split(masked_lm, small_recipe, reviews, tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    rows = datasets.load_dataset("csv", data_files=str(reviews / "train.csv"), split="train")
    for number in range(3):
        rows.shard(3, number).to_parquet(folder / f"train-{number:05}-of-00003.parquet")
    rows.select(range(4)).to_parquet(folder / "test-00000-of-00001.parquet")
    prepared = FinetuningRun.prepare(small_recipe(masked_lm, data__path=str(folder), data__validation_part=0.25))
    assert (len(prepared.splits.train), len(prepared.splits.validation), len(prepared.splits.test)) == (36, 12, 4)


def test_a_validation_sample_has_all_classes(masked_lm, small_recipe, tmp_path):
    prepared = FinetuningRun.prepare(small_recipe(masked_lm, evaluation__max_rows=6))
    trainer = prepared.make_trainer(tmp_path)
    assert len(trainer.validation_rows) == 6 and set(trainer.validation_rows["label"]) == {0, 1}


def test_long_texts_are_truncated_or_read_in_windows_or_refused(masked_lm, small_recipe, tmp_path):
    long = " ".join(["good"] * 100)
    (tmp_path / "long.csv").write_text("text,label\n" + f"{long},pos\nbad,neg\n" * 4, encoding="utf-8")
    fields = {"data__path": str(tmp_path / "long.csv"), "data__validation_part": 0.25, "text_length__max_tokens": 16}
    cut = FinetuningRun.prepare(small_recipe(masked_lm, **fields))
    assert len(cut.train_rows) == 6 and max(map(len, cut.train_rows["input_ids"])) == 16
    windows = FinetuningRun.prepare(small_recipe(masked_lm, **fields, text_length__too_long="window"))
    assert len(windows.train_rows) > 20 and max(map(len, windows.train_rows["input_ids"])) == 16
    found = windows.task.predict(windows.model, windows.base_model.tokenizer, windows.splits.validation)
    assert len(found) == 2 and {one.extra.get("windows", 1) > 1 for one in found} == {True, False}
    with pytest.raises(ValueError, match="16"):
        FinetuningRun.prepare(small_recipe(masked_lm, **fields, text_length__too_long="refuse"))


def test_a_base_model_that_does_not_fit_is_refused_before_anything_is_written(
    masked_lm, seq2seq, small_recipe, tmp_path
):
    with pytest.raises(ValueError, match=r"task='classification'.*encoder-decoder"):
        run_finetuning(small_recipe(seq2seq))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run_finetuning(small_recipe(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"text_length\.max_tokens=65"):
        run_finetuning(small_recipe(masked_lm, text_length__max_tokens=65))
    with pytest.raises(ValueError, match="'drop'"):
        run_finetuning(small_recipe(masked_lm, head__config={"drop": 0.1}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty.*config\.json"):
        run_finetuning(small_recipe(tmp_path / "empty"))
    assert not (tmp_path / "run").exists()
