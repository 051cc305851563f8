"""A fine-tuning from a base model's folder to a folder that a pipeline loads."""

import json

import datasets
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from hf_vanilla_transformer.training.averaging import load_weights
from hf_vanilla_transformer.training.finetuning import finetuning_run as run_module
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning
from hf_vanilla_transformer.training.recipes.finetuning_recipe import load_finetune_recipe


def test_a_run_leaves_everything_a_person_needs(masked_lm, small_recipe, tmp_path):
    recipe = small_recipe(
        masked_lm, training__num_train_epochs=8, rates__learning_rate=3e-2, rates__layerwise_lr_decay=1.5,
        unfreezing__mode="gradual",
        head__pooling="concat", output__plot=True, training__logging_steps=2,
    )  # fmt: skip
    result = run_finetuning(recipe, command="hf-vanilla finetune x")
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "recipe.yaml", "results.json", "metrics.jsonl", "curves.png", "trainable.json", "model", "report.md",
        "predictions_validation.jsonl", "predictions_test.jsonl",
    }  # fmt: skip
    assert "checkpoints" not in names
    assert load_finetune_recipe(folder).to_dict() == recipe.to_dict()

    results = json.loads((folder / "results.json").read_text())
    assert results["test_accuracy"] == result.metrics["test_accuracy"] > 0.9
    assert results["run"]["train_rows"] == 48 and results["run"]["lineage"][0]["source"] == str(masked_lm)
    trainable = json.loads((folder / "trainable.json").read_text())
    assert [entry["parts"][-1] for entry in trainable] == ["head", "layer 1", "layer 0", "embeddings"]
    rates = trainable[-1]["learning_rates"]
    assert rates["head"] / rates["layer 1"] == pytest.approx(1.5)
    predictions = [json.loads(line) for line in (folder / "predictions_test.jsonl").read_text().splitlines()]
    assert len(predictions) == 12 and predictions[0]["gold"] == "pos" and predictions[0]["text"] == "a good film"
    assert sum(predictions[0]["probabilities"].values()) == pytest.approx(1)

    classify = pipeline("text-classification", model=str(folder / "model"))
    answers = classify(["a good film", "a bad film", "a bad film " * 50], truncation=True)[:2]
    assert [answer["label"] for answer in answers] == ["pos", "neg"]
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model")
    assert model.config.classifier_pooling == "concat" and model.config.id2label == {0: "neg", 1: "pos"}
    card = (folder / "model" / "README.md").read_text()
    assert masked_lm.name in card and "hf-vanilla finetune x" in card and "48 rows" in card


def test_an_interrupted_run_goes_on_and_ends_the_same(masked_lm, small_recipe, tmp_path, monkeypatch):
    fields = {
        "training__num_train_epochs": 4,
        "evaluation__eval_steps": 3,
        "unfreezing__mode": "gradual",
        "head__dropout": 0.2,
    }
    whole = run_finetuning(small_recipe(masked_lm, output__output_dir=str(tmp_path / "whole"), **fields))

    class Interrupted(run_module.Interruption):
        def on_step_end(self, args, state, control, **kwargs):
            self.interrupted = self.interrupted or state.global_step == 7
            return super().on_step_end(args, state, control, **kwargs)

    recipe = small_recipe(masked_lm, **fields)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "Interruption", Interrupted)
        assert run_finetuning(recipe).interrupted
    folder = tmp_path / "run"
    assert not (folder / "results.json").exists()
    with pytest.raises(ValueError, match=r"--resume"):
        run_finetuning(recipe)
    with pytest.raises(ValueError, match=r"rates.layerwise_lr_decay was 1.0 and is 2.0"):
        run_finetuning(small_recipe(masked_lm, **fields, rates__layerwise_lr_decay=2.0), resume=True)
    again = run_finetuning(recipe, resume=True)
    assert again.steps == whole.steps == 12
    one, other = load_weights(tmp_path / "whole" / "model"), load_weights(folder / "model")
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, msg=name)
    assert (folder / "trainable.json").read_text() == (tmp_path / "whole" / "trainable.json").read_text()
    with pytest.raises(ValueError, match="complete"):
        run_finetuning(recipe, resume=True)


def test_the_best_on_validation_is_kept_and_patience_ends_the_run(masked_lm, small_recipe, tmp_path):
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
def test_a_backbone_that_is_not_trained(masked_lm, small_recipe, tmp_path, backbone):
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


def test_the_gain_over_other_starts(masked_lm, small_recipe, tmp_path):
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


def test_what_cannot_be_compared_is_said_before_the_work(masked_lm, small_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"no recipe.yaml"):
        run_finetuning(small_recipe(masked_lm, comparison__start=["before"]))
    with pytest.raises(FileNotFoundError, match="neither `before` nor `scratch`"):
        run_finetuning(small_recipe(masked_lm, comparison__start=["nowhere"]))
    assert not (tmp_path / "run").exists()


def test_rows_drawn_by_seed_are_balanced_and_nested(masked_lm, small_recipe):
    drawn = {}
    for count in (8, 16):
        rows = run_module.prepare(small_recipe(masked_lm, data__max_labels=count, data__sample_seed=3)).splits.train
        drawn[count] = list(zip(rows["text"], rows["label"]))
        assert sorted(rows["label"]).count(0) == count // 2
    other = run_module.prepare(small_recipe(masked_lm, data__max_labels=8, data__sample_seed=4)).splits.train
    assert list(zip(other["text"], other["label"])) != drawn[8]
    with pytest.raises(ValueError, match="less than the 2 classes"):
        run_module.prepare(small_recipe(masked_lm, data__max_labels=1))


def test_a_file_alone_gives_a_validation_split(masked_lm, small_recipe, reviews):
    prepared = run_module.prepare(
        small_recipe(masked_lm, data__path=str(reviews / "train.csv"), data__validation_part=0.25)
    )
    assert (len(prepared.splits.train), len(prepared.splits.validation), prepared.splits.test) == (36, 12, None)
    assert sorted(prepared.splits.validation["label"]).count(0) == 6
    other = run_module.prepare(
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
    prepared = run_module.prepare(small_recipe(masked_lm, data__path=str(folder), data__validation_part=0.25))
    assert (len(prepared.splits.train), len(prepared.splits.validation), len(prepared.splits.test)) == (36, 12, 4)


def test_validation_by_a_sample_has_all_classes(masked_lm, small_recipe):
    prepared = run_module.prepare(small_recipe(masked_lm, evaluation__max_rows=6))
    trainer = run_module.FinetuneTrainer(
        prepared.task,
        prepared.model,
        prepared.base_model.tokenizer,
        prepared.train_rows,
        prepared.splits.validation,
        "unused",
    )
    assert len(trainer.validation_rows) == 6 and set(trainer.validation_rows["label"]) == {0, 1}


def test_long_texts(masked_lm, small_recipe, tmp_path):
    long = " ".join(["good"] * 100)
    (tmp_path / "long.csv").write_text("text,label\n" + f"{long},pos\nbad,neg\n" * 4, encoding="utf-8")
    fields = {"data__path": str(tmp_path / "long.csv"), "data__validation_part": 0.25, "text_length__max_tokens": 16}
    cut = run_module.prepare(small_recipe(masked_lm, **fields))
    assert len(cut.train_rows) == 6 and max(map(len, cut.train_rows["input_ids"])) == 16
    windows = run_module.prepare(small_recipe(masked_lm, **fields, text_length__too_long="window"))
    assert len(windows.train_rows) > 20 and max(map(len, windows.train_rows["input_ids"])) == 16
    found = windows.task.predict(windows.model, windows.base_model.tokenizer, windows.splits.validation)
    assert len(found) == 2 and {one.extra.get("windows", 1) > 1 for one in found} == {True, False}
    with pytest.raises(ValueError, match="max_length=16"):
        run_module.prepare(small_recipe(masked_lm, **fields, text_length__too_long="refuse"))


def test_what_does_not_fit_is_said_before_the_work(masked_lm, seq2seq, small_recipe, tmp_path):
    with pytest.raises(ValueError, match="is an encoder-decoder"):
        run_finetuning(small_recipe(seq2seq))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run_finetuning(small_recipe(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="more than the base model"):
        run_finetuning(small_recipe(masked_lm, text_length__max_tokens=65))
    with pytest.raises(ValueError, match="no field 'drop'"):
        run_finetuning(small_recipe(masked_lm, head__config={"drop": 0.1}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no model"):
        run_finetuning(small_recipe(tmp_path / "empty"))
    assert not (tmp_path / "run").exists()
