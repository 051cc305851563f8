"""A run from recipe to model: what it leaves, how it is interrupted and resumed, what it refuses."""

import errno
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from hf_vanilla_transformer.generation import translate
from hf_vanilla_transformer.reports.curves import read_metrics
from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.averaging import average_files, checkpoints, load_weights
from hf_vanilla_transformer.training.corpus import encode, encode_with_dropout, get_tokenizer, load_corpus
from hf_vanilla_transformer.training.initial_embeddings import cooccurrence_embeddings
from hf_vanilla_transformer.training.plan import plan
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.run import prepare
from hf_vanilla_transformer.training.trainer import RecipeTrainer

from .toy import causal_lm_recipe, masked_lm_recipe, toy_recipe


def losses(folder):
    return [(record["step"], record["loss"]) for record in read_metrics(folder / "metrics.jsonl") if "loss" in record]


def weights(folder):
    return load_weights(folder)


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """Ctrl-C in the middle of an update."""
    original = RecipeTrainer.training_step
    sent = []

    def training_step(self, *arguments, **keywords):
        loss = original(self, *arguments, **keywords)
        if self.state.global_step == step - 1 and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return loss

    monkeypatch.setattr(RecipeTrainer, "training_step", training_step)


def test_a_run_leaves_a_model_that_auto_classes_load(pairs, tmp_path):
    recipe = toy_recipe(
        pairs,
        tmp_path / "run",
        "evaluation={eval_steps: 6, predict_with_generate: true, metric_for_best_model: bleu, max_rows: 4}",
        "output.plot=true",
    )
    result = run_training(recipe)
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} >= {
        "model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "recipe.yaml", "metrics.jsonl",
        "curves.png", "results.json", "best", "test.translations.txt",
    }  # fmt: skip
    assert load_recipe(folder) == recipe
    assert result.chosen.startswith("best") and result.steps == 12

    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sources = [line.split("\t")[0] for line in (pairs / "test.tsv").read_text().splitlines()]
    again = translate(model, tokenizer, sources, num_beams=2, max_extra_tokens=4)
    assert again == (folder / "test.translations.txt").read_text().splitlines()

    scores = json.loads((folder / "results.json").read_text())
    assert scores["test_bleu_signature"].startswith("nrefs:1|case:mixed")
    assert scores["wall_seconds"] >= scores["training_seconds"] > 0
    assert scores["hardware"] and len(scores["finished"]) == len("2026-11-21")
    evaluations = [record for record in read_metrics(folder / "metrics.jsonl") if "eval_bleu" in record]
    assert [record["step"] for record in evaluations] == [6, 12]
    assert all(record["wall_seconds"] > record["training_seconds"] for record in evaluations)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_training_learns(pairs, tmp_path):
    changes = ["training.max_steps=60", "training.logging_steps=20", "training.learning_rate=1e-2"]
    run_training(toy_recipe(pairs, tmp_path / "run", *changes, "model.config.dropout=0.0"))
    curve = losses(tmp_path / "run")
    assert curve[-1][1] < 0.9 * curve[0][1]


@pytest.mark.parametrize("kind", ["translation", "masked_lm", "causal_lm"])
def test_an_interrupted_run_goes_on_bit_for_bit(kind, pairs, texts, tmp_path, monkeypatch, capsys):
    make = {"translation": toy_recipe, "masked_lm": masked_lm_recipe, "causal_lm": causal_lm_recipe}[kind]
    data = pairs if kind == "translation" else texts
    more = [
        "training.average=last",
        "training.average_every=2",
        "training.average_last=3",
        "training.gradient_accumulation_steps=2",
    ]
    if kind == "translation":
        more += ["training.optim=muon", "model.initial_embeddings=cooccurrence"]
    whole = run_training(make(data, tmp_path / "whole", *more))

    with monkeypatch.context() as patch:
        interrupt_at(patch, step=7)
        stopped = run_training(make(data, tmp_path / "parts", *more))
    assert stopped.interrupted and stopped.steps == 7
    assert f"hf-vanilla train --resume {tmp_path / 'parts'}" in capsys.readouterr().err
    resumed = run_training(make(data, tmp_path / "parts", *more), resume=True)
    assert not resumed.interrupted

    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert_same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    assert resumed.metrics["validation_loss"] == whole.metrics["validation_loss"]
    assert resumed.metrics["tokens"] == whole.metrics["tokens"]


@pytest.mark.parametrize("make", [toy_recipe, causal_lm_recipe, masked_lm_recipe])
def test_embeddings_start_from_what_occurs_together_and_its_seconds_count_as_training(make, request, tmp_path):
    data = request.getfixturevalue("pairs" if make is toy_recipe else "texts")
    random = prepare(make(data, tmp_path / "random"), tmp_path / "random")
    counted = prepare(make(data, tmp_path / "run", "model.initial_embeddings=cooccurrence"), tmp_path / "run")
    if make is toy_recipe:
        rows = [[*source, *target] for source, target in zip(*counted.trainer.train_dataset.columns.values())]
    else:  # whole texts, however they are cut into rows
        rows = [counted.tokenizer(text, add_special_tokens=False).input_ids for text in counted.corpus.train["text"]]
    expected, known = cooccurrence_embeddings(rows, len(counted.tokenizer), counted.model.config.hidden_size)
    embeddings = counted.model.get_input_embeddings().weight.detach()
    similarity = torch.nn.functional.cosine_similarity(embeddings[known], expected[known])
    torch.testing.assert_close(similarity, torch.ones_like(similarity))
    assert torch.equal(embeddings[~known], random.model.get_input_embeddings().weight[~known])
    assert counted.trainer.clock.training > random.trainer.clock.training == 0.0


def test_sigterm_saves_a_checkpoint_too(pairs, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, step=2, number=signal.SIGTERM)
    assert run_training(toy_recipe(pairs, tmp_path / "run")).interrupted
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-2"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_accumulation_is_one_big_batch(pairs, tmp_path):
    """Two batches added up are the update of one batch of their rows, though they have unequally many tokens."""
    seen = []
    for name, tokens, accumulation in (("one", 4000, 1), ("four", 100, 4)):
        recipe = toy_recipe(
            pairs, tmp_path / name, "model.config.dropout=0.0", "training.max_steps=3", "training.logging_steps=1",
            f"training.tokens_per_batch={tokens}", f"training.gradient_accumulation_steps={accumulation}",
            "data.max_rows=20",
        )  # fmt: skip
        result = run_training(recipe)
        if name == "four":  # the number of micro-batches must be exactly one epoch for the two to be comparable
            assert result.metrics["tokens"] == seen[0].metrics["tokens"]
        seen.append(result)
    one, four = (losses(tmp_path / name) for name in ("one", "four"))
    assert [loss for _, loss in four] == pytest.approx([loss for _, loss in one], rel=1e-5)


def test_training_stops_early_when_nothing_gets_better(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.max_steps=40", "training.learning_rate=1e-12",
        "evaluation={eval_steps: 2, predict_with_generate: true, metric_for_best_model: bleu}",
        "evaluation.patience=2", "evaluation.max_rows=2",
    )  # fmt: skip
    assert run_training(recipe).steps == 6


def test_scoring_the_finished_model_is_not_training_time(pairs, tmp_path, monkeypatch):
    from hf_vanilla_transformer.training import run

    score = run._final_scores

    def score_slowly(*arguments):
        arguments[1].trainer.clock._before = (1000.0, 1000.0)
        return score(*arguments)

    monkeypatch.setattr(run, "_final_scores", score_slowly)
    result = run_training(toy_recipe(pairs, tmp_path / "run", "training.max_steps=2"))
    assert max(result.metrics["training_seconds"], result.metrics["wall_seconds"]) < 1000


def test_training_ends_with_its_minutes(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.max_steps=null", "training.max_minutes=0.01",
        "training.lr_scheduler_type=cosine", "training.schedule_by=minutes",
    )  # fmt: skip
    result = run_training(recipe)
    assert 0.6 <= result.metrics["training_seconds"] < 60
    rates = [record["learning_rate"] for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in record]
    assert rates[-1] < 0.1 * max(rates)


def test_the_rate_falls_to_zero_at_the_last_update_too_if_that_is_before_the_last_minute(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.max_steps=24", "training.max_minutes=60", "training.logging_steps=1",
        "training.lr_scheduler_type=linear", "training.schedule_by=minutes",
    )  # fmt: skip
    run_training(recipe)
    rates = [record["learning_rate"] for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in record]
    assert rates[-1] < 0.1 * max(rates)


def test_the_finished_model_is_the_average_of_the_last_checkpoints(pairs, tmp_path):
    recipe = toy_recipe(pairs, tmp_path / "run", "checkpoint={save_steps: 4, save_total_limit: 3, average_last: 2}")
    result = run_training(recipe)
    found = checkpoints(tmp_path / "run")
    assert [path.name for path in found] == ["checkpoint-4", "checkpoint-8", "checkpoint-12"]
    assert result.chosen == "average of the last 2 checkpoints"
    assert_same(weights(tmp_path / "run"), average_files(found[-2:]))


def test_old_checkpoints_are_deleted_by_number(pairs, tmp_path):
    run_training(
        toy_recipe(pairs, tmp_path / "run", "checkpoint={save_steps: 3, save_total_limit: 2, save_only_model: true}")
    )
    found = checkpoints(tmp_path / "run")
    assert [path.name for path in found] == ["checkpoint-9", "checkpoint-12"]
    assert not (found[-1] / "optimizer.pt").exists()
    with pytest.raises(FileNotFoundError, match="start_from"):
        run_training(toy_recipe(pairs, tmp_path / "run"), resume=True)


@pytest.mark.parametrize(
    ("make", "auto_class"), [(masked_lm_recipe, AutoModelForMaskedLM), (causal_lm_recipe, AutoModelForCausalLM)]
)
@pytest.mark.parametrize("packing", ["true", "false"])
def test_language_models_train_packed_and_padded(make, auto_class, packing, texts, tmp_path):
    result = run_training(make(texts, tmp_path / "run", f"data.packing={packing}"))
    assert 0 < result.metrics["validation_loss"] < 10
    auto_class.from_pretrained(tmp_path / "run")


def test_translation_trains_packed_with_bpe_dropout(pairs, tmp_path, monkeypatch):
    drawn = []

    def recorded(*arguments):
        drawn.append(encode_with_dropout(*arguments))
        return drawn[-1]

    monkeypatch.setattr("hf_vanilla_transformer.training.run.encode_with_dropout", recorded)
    recipe = toy_recipe(
        pairs, tmp_path / "run", "data.packing=true", "tokenizer.dropout=0.5", "training.num_train_epochs=2"
    )
    run_training(recipe)
    assert len(drawn) == 2, "one segmentation an epoch"
    first, second = ([list(ids) for ids in columns["input_ids"]] for columns in drawn)
    assert first != second
    saved = json.loads((tmp_path / "run" / "tokenizer.json").read_text())
    assert saved["model"]["dropout"] in (None, 0.0)


def test_dropout_never_makes_a_pair_longer_than_allowed(pairs, tmp_path):
    recipe = toy_recipe(pairs, tmp_path, "data.max_length=6", "tokenizer.dropout=0.9")
    corpus = load_corpus(recipe, ["train"])
    tokenizer = get_tokenizer(recipe, corpus)
    plain = encode(recipe, tokenizer, corpus.train, training=True)
    assert 0 < len(plain) < len(corpus.train)
    columns = encode_with_dropout(recipe, tokenizer, corpus.train, plain)
    assert all(len(column) == len(plain) for column in columns.values())
    assert max(len(ids) for column in columns.values() for ids in column) <= 6
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in columns["input_ids"]]
    assert texts == [tokenizer.decode(ids, skip_special_tokens=True) for ids in plain.columns["input_ids"]]


def test_training_can_start_from_a_model(pairs, tmp_path):
    run_training(toy_recipe(pairs, tmp_path / "first"))
    first = str(tmp_path / "first")
    recipe = toy_recipe(pairs, tmp_path / "second", f"model.start_from={first}", f"tokenizer.path={first}")
    run_training(recipe)
    before, after = losses(tmp_path / "first"), losses(tmp_path / "second")
    assert after[0][1] < before[0][1]


class TestFolders:
    """What an output folder may hold is decided before any work."""

    def test_something_else(self, pairs, tmp_path):
        (tmp_path / "thesis.doc").write_text("years of work")
        with pytest.raises(ValueError, match=r"holds something else \(thesis.doc\)"):
            run_training(toy_recipe(pairs, tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]

    def test_a_file(self, pairs, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="is a file"):
            run_training(toy_recipe(pairs, tmp_path / "file"))

    def test_an_earlier_run(self, pairs, tmp_path):
        recipe = toy_recipe(pairs, tmp_path / "run", "checkpoint.save_steps=6")
        run_training(recipe)
        with pytest.raises(ValueError, match=r"holds an earlier run, up to checkpoint-12.*--resume"):
            run_training(recipe)
        other = toy_recipe(pairs, tmp_path / "run", "tokenizer.vocab_size=61")
        with pytest.raises(ValueError, match=r"tokenizer is .* cannot go on"):
            run_training(other, resume=True)

    def test_nothing_to_resume(self, pairs, tmp_path):
        with pytest.raises(FileNotFoundError, match="no run to resume"):
            run_training(toy_recipe(pairs, tmp_path / "run"), resume=True)

    def test_none_given(self, pairs, tmp_path):
        with pytest.raises(ValueError, match="--output"):
            run_training(toy_recipe(pairs, tmp_path, "output.output_dir=null"))


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["data.path=nowhere/at/all"], FileNotFoundError, "nowhere/at/all"),
        (["data.path=null"], ValueError, "data.path is not set"),
        (["data.train=training"], FileNotFoundError, "has no split 'training'; it has 'test', 'train', 'validation'"),
        (["data.max_length=2"], ValueError, "data.max_length=2"),
        (["evaluation.eval_steps=3", "data.validation=dev"], ValueError, "needs a validation split"),
        (["training.tokens_per_batch=3"], ValueError, "training.tokens_per_batch=3 does not suit"),
        (["model.config.hidden_size=15"], ValueError, "hidden_size=15"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(overrides, error, message, pairs, tmp_path):
    with pytest.raises(error, match=message):
        run_training(toy_recipe(pairs, tmp_path / "run", *overrides))
    assert not (tmp_path / "run").exists()


class TestFullDisk:
    """The last good checkpoint survives whatever happens to the next one."""

    def test_an_error_while_writing(self, pairs, tmp_path, monkeypatch):
        recipe = toy_recipe(pairs, tmp_path / "run", "checkpoint.save_steps=4")
        save = torch.save

        def full_at_the_second(value, path, *arguments, **keywords):
            if "checkpoint-8" in str(path) and str(path).endswith("scheduler.pt"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return save(value, path, *arguments, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", full_at_the_second)
            with pytest.raises(OSError, match=r"checkpoint-8 could not be written.*No space.*checkpoint-4.*resume"):
                run_training(recipe)
        assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["checkpoint-4"]

        resumed = run_training(recipe, resume=True)
        whole = run_training(toy_recipe(pairs, tmp_path / "whole", "checkpoint.save_steps=4"))
        assert_same(weights(resumed.folder), weights(whole.folder))

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
    def test_a_real_one(self, pairs, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
            pytest.skip("no tmpfs can be mounted here")
        try:
            recipe = toy_recipe(
                pairs, disk / "run", "checkpoint={save_steps: 1, save_total_limit: 1000}", "training.max_steps=200"
            )
            with pytest.raises(OSError, match=r"No space left|could not be written"):
                run_training(recipe)
            left = checkpoints(disk / "run")
            assert left, "no checkpoint survived"
            AutoModelForSeq2SeqLM.from_pretrained(left[-1])
            torch.load(left[-1] / "optimizer.pt", weights_only=True)
            assert not list((disk / "run" / "checkpoints").glob(".*"))
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def test_reporting_needs_its_package(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_vanilla_transformer.training.run.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install .*\[trackio\]"):
        run_training(toy_recipe(pairs, tmp_path / "run", "output.report_to=trackio"))
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_scores(pairs, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    changes = ["output.report_to=tensorboard", "evaluation={eval_steps: 6, predict_with_generate: true, max_rows: 2}"]
    run_training(toy_recipe(pairs, tmp_path / "run", *changes))
    (events,) = (tmp_path / "run").rglob("events.out.tfevents.*")
    reader = event_accumulator.EventAccumulator(str(events))
    reader.Reload()
    assert {"train/loss", "eval/loss", "eval/bleu"} <= set(reader.Tags()["scalars"])


def test_a_plan_says_what_would_be_done(pairs, tmp_path):
    text = plan(toy_recipe(pairs, tmp_path / "run", "training.gradient_accumulation_steps=2"))
    assert "VanillaTransformerForConditionalGeneration" in text
    assert "60 rows" in text and "after 12 updates" in text and "inverse_sqrt" in text
    assert not Path(tmp_path / "run").exists()
