"""Training by a recipe: files, results, interruption and resume, limits, errors."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from hf_vanilla_transformer.generation import translate
from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.checkpoints import average_files, checkpoints, load_weights
from hf_vanilla_transformer.training.corpus import encode, encode_with_dropout, get_tokenizer, load_corpus
from hf_vanilla_transformer.training.history import read_history
from hf_vanilla_transformer.training.initial_embeddings import cooccurrence_embeddings
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.training_plan import plan
from hf_vanilla_transformer.training.training_run import TrainingRun

from .interruption import interrupt_at
from .toy import causal_lm_recipe, masked_lm_recipe, toy_recipe


def losses(folder):
    return [(record["step"], record["loss"]) for record in read_history(folder / "metrics.jsonl") if "loss" in record]


def rates(folder):
    return [record["learning_rate"] for record in read_history(folder / "metrics.jsonl") if "loss" in record]


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.fixture(scope="module")
def finished_recipe(pairs, tmp_path_factory):
    """12 updates, evaluated by BLEU after 6 and 12."""
    return toy_recipe(
        pairs,
        tmp_path_factory.mktemp("finished") / "run",
        "evaluation={eval_steps: 6, predict_with_generate: true, metric_for_best_model: bleu, max_rows: 4}",
        "output.plot=true",
    )


@pytest.fixture(scope="module")
def result(finished_recipe):
    return run_training(finished_recipe, command="hf-vanilla train --recipe toy")


class TestFinishedRun:
    """The folder of a run that reached its end."""

    def test_leaves_its_files(self, result):
        assert {path.name for path in result.folder.iterdir()} >= {
            "model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "recipe.yaml",
            "metrics.jsonl", "curves.png", "results.json", "model", "checkpoints", "test.translations.txt",
        }  # fmt: skip
        assert (result.folder / "curves.png").read_bytes().startswith(b"\x89PNG")

    def test_saves_its_recipe(self, result, finished_recipe):
        assert load_recipe(result.folder) == finished_recipe

    def test_takes_the_best_weights(self, result):
        assert result.chosen.startswith("best, of update") and result.steps == 12
        update = int(result.chosen.rpartition(" ")[2])
        assert_same(load_weights(result.folder / "checkpoints" / f"best-{update}"), load_weights(result.folder))

    def test_saves_a_checkpoint_after_the_last_update(self, result):
        assert [path.name for path in checkpoints(result.folder)] == ["checkpoint-12"]

    @pytest.mark.parametrize("place", [".", "model"])
    def test_model_translates_as_its_scored_translations(self, result, pairs, place):
        model = AutoModelForSeq2SeqLM.from_pretrained(result.folder / place)
        tokenizer = AutoTokenizer.from_pretrained(result.folder / place)
        sources = [line.split("\t")[0] for line in (pairs / "test.tsv").read_text().splitlines()]
        again = translate(model, tokenizer, sources, num_beams=2, max_extra_tokens=4)
        assert again == (result.folder / "test.translations.txt").read_text().splitlines()

    def test_results_have_scores_times_and_hardware(self, result):
        scores = json.loads((result.folder / "results.json").read_text())
        assert scores["test_bleu_signature"].startswith("nrefs:1|case:mixed")
        assert scores["wall_seconds"] >= scores["training_seconds"] > 0
        assert scores["hardware"] and len(scores["finished"]) == len("2026-11-21")

    def test_history_has_the_evaluations_and_their_time(self, result):
        evaluations = [record for record in read_history(result.folder / "metrics.jsonl") if "eval_bleu" in record]
        assert [record["step"] for record in evaluations] == [6, 12]
        assert all(record["wall_seconds"] > record["training_seconds"] for record in evaluations)

    def test_card_says_how_it_was_made(self, result):
        card = (result.folder / "model" / "README.md").read_text()
        assert "hf-vanilla train --recipe toy" in card and "test_bleu" in (result.folder / "results.json").read_text()

    def test_is_not_resumed(self, result, finished_recipe):
        with pytest.raises(ValueError, match=r"finished.*results\.json.*training\.max_steps"):
            run_training(finished_recipe, resume=True)

    def test_its_folder_takes_no_other_run(self, result, finished_recipe):
        with pytest.raises(ValueError, match=r"is finished.*--output"):
            run_training(finished_recipe)
        other = replace(finished_recipe, description="another")
        with pytest.raises(ValueError, match=r"finished run of another recipe: description.*--output"):
            run_training(other)


def test_training_lowers_the_loss(pairs, tmp_path):
    changes = ["training.max_steps=60", "training.logging_steps=20", "training.learning_rate=1e-2"]
    run_training(toy_recipe(pairs, tmp_path / "run", *changes, "model.config.dropout=0.0"))
    curve = losses(tmp_path / "run")
    assert curve[-1][1] < 0.9 * curve[0][1]


@pytest.mark.parametrize("kind", ["translation", "masked_lm", "causal_lm"])
def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(kind, pairs, texts, tmp_path, monkeypatch, capsys):
    make = {"translation": toy_recipe, "masked_lm": masked_lm_recipe, "causal_lm": causal_lm_recipe}[kind]
    data = pairs if kind == "translation" else texts
    more = [
        "training.average=last", "training.average_every=2", "training.average_last=3",
        "training.gradient_accumulation_steps=2",
    ]  # fmt: skip
    if kind == "translation":
        more += ["training.optim=muon", "model.initial_embeddings=cooccurrence"]
    unbroken = run_training(make(data, tmp_path / "unbroken", *more))

    with monkeypatch.context() as patch:
        interrupt_at(patch, step=7)
        stopped = run_training(make(data, tmp_path / "parts", *more))
    assert stopped.interrupted and stopped.steps == 7
    assert f"hf-vanilla train --resume {tmp_path / 'parts'}" in capsys.readouterr().err
    resumed = run_training(make(data, tmp_path / "parts", *more), resume=True)
    assert not resumed.interrupted

    assert losses(tmp_path / "parts") == losses(tmp_path / "unbroken")
    assert_same(load_weights(tmp_path / "parts"), load_weights(tmp_path / "unbroken"))
    assert resumed.metrics["validation_loss"] == unbroken.metrics["validation_loss"]
    assert resumed.metrics["tokens"] == unbroken.metrics["tokens"]


def test_a_finished_run_is_trained_further_with_a_higher_limit(pairs, tmp_path):
    unbroken = run_training(toy_recipe(pairs, tmp_path / "unbroken", "training.max_steps=8"))
    run_training(toy_recipe(pairs, tmp_path / "run", "training.max_steps=4"))
    further = run_training(toy_recipe(pairs, tmp_path / "run", "training.max_steps=8"), resume=True)
    assert further.steps == 8
    assert_same(load_weights(further.folder), load_weights(unbroken.folder))


AVERAGED = ["training.average=ema", "training.average_every=2"]


@pytest.fixture(scope="module")
def averaged(pairs, tmp_path_factory):
    """A finished run with a moving average."""
    return run_training(toy_recipe(pairs, tmp_path_factory.mktemp("averaged") / "run", *AVERAGED))


@pytest.mark.parametrize("moment", ["final_scores", "card_text"])
def test_a_run_killed_after_its_last_update_makes_no_further_one(moment, averaged, pairs, tmp_path, monkeypatch):
    recipe = toy_recipe(pairs, tmp_path / "run", *AVERAGED)

    def killed(*arguments, **keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            run_training(recipe)
    assert not (tmp_path / "run" / "results.json").exists()
    before = losses(tmp_path / "run")
    resumed = run_training(recipe, resume=True)
    assert resumed.steps == 12 and losses(tmp_path / "run") == before
    assert_same(load_weights(resumed.folder), load_weights(averaged.folder))
    assert resumed.metrics["validation_loss"] == averaged.metrics["validation_loss"]


def test_a_signal_in_the_last_evaluation_is_resumed_without_an_update(pairs, tmp_path, monkeypatch):
    from hf_vanilla_transformer.training.token_trainer import TokenTrainer

    recipe = toy_recipe(pairs, tmp_path / "run", "evaluation.eval_steps=12")
    scores = TokenTrainer.scores

    def interrupted(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return scores(self)

    with monkeypatch.context() as patch:
        patch.setattr(TokenTrainer, "scores", interrupted)
        assert run_training(recipe).interrupted
    resumed = run_training(recipe, resume=True)
    assert resumed.steps == 12 and (tmp_path / "run" / "results.json").is_file()


@pytest.mark.parametrize("make", [toy_recipe, causal_lm_recipe, masked_lm_recipe])
def test_embeddings_start_from_cooccurrences_and_their_seconds_count_as_training(make, request, tmp_path):
    data = request.getfixturevalue("pairs" if make is toy_recipe else "texts")
    runs = {}
    for start in ("random", "cooccurrence"):
        folder = tmp_path / start
        runs[start] = TrainingRun.prepare(make(data, folder, f"model.initial_embeddings={start}"), folder)
    clocks = {start: run.make_trainer(tmp_path / start).clock for start, run in runs.items()}
    random, counted = runs["random"], runs["cooccurrence"]
    if make is toy_recipe:
        rows = [[*source, *target] for source, target in zip(*counted.train_rows.columns.values())]
    else:  # complete texts, however they are cut into rows
        rows = [counted.tokenizer(text, add_special_tokens=False).input_ids for text in counted.corpus.train["text"]]
    expected, known = cooccurrence_embeddings(rows, len(counted.tokenizer), counted.model.config.hidden_size)
    embeddings = counted.model.get_input_embeddings().weight.detach()
    similarity = torch.nn.functional.cosine_similarity(embeddings[known], expected[known])
    torch.testing.assert_close(similarity, torch.ones_like(similarity))
    assert torch.equal(embeddings[~known], random.model.get_input_embeddings().weight[~known])
    assert clocks["cooccurrence"].training > clocks["random"].training == 0.0


def test_sigterm_saves_a_checkpoint_too(pairs, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, step=2, number=signal.SIGTERM)
    assert run_training(toy_recipe(pairs, tmp_path / "run")).interrupted
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-2"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_accumulated_batches_equal_one_large_batch(pairs, tmp_path):
    """Two accumulated batches make the same update as one batch of their rows, although their token counts differ."""
    seen = []
    for name, tokens, accumulation in (("one", 4000, 1), ("four", 100, 4)):
        recipe = toy_recipe(
            pairs, tmp_path / name, "model.config.dropout=0.0", "training.max_steps=3", "training.logging_steps=1",
            f"training.tokens_per_batch={tokens}", f"training.gradient_accumulation_steps={accumulation}",
            "data.max_rows=20",
        )  # fmt: skip
        result = run_training(recipe)
        if name == "four":  # the two are comparable only if the micro-batches are exactly one epoch
            assert result.metrics["tokens"] == seen[0].metrics["tokens"]
        seen.append(result)
    one, four = (losses(tmp_path / name) for name in ("one", "four"))
    assert [loss for _, loss in four] == pytest.approx([loss for _, loss in one], rel=1e-5)


def test_the_checkpoint_of_an_interruption_is_not_part_of_an_average(pairs, tmp_path, monkeypatch):
    more = ["training.max_steps=8", "checkpoint={save_steps: 4, average_last: 2}", "data.test=[]"]
    run_training(toy_recipe(pairs, tmp_path / "unbroken", *more))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=6)
        assert run_training(toy_recipe(pairs, tmp_path / "run", *more)).steps == 6
    run_training(toy_recipe(pairs, tmp_path / "run", *more))
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-4", "checkpoint-8"]
    assert_same(load_weights(tmp_path / "run"), load_weights(tmp_path / "unbroken"))


def test_training_stops_early_without_improvement(pairs, tmp_path, monkeypatch):
    more = [
        "training.max_steps=40", "training.learning_rate=1e-12",
        "evaluation={eval_steps: 2, predict_with_generate: true, metric_for_best_model: bleu, patience: 2, "
        "max_rows: 2}",
    ]  # fmt: skip
    assert run_training(toy_recipe(pairs, tmp_path / "unbroken", *more)).steps == 6
    # A resumed run keeps its count of evaluations: it stops after the same update.
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=5)
        assert run_training(toy_recipe(pairs, tmp_path / "run", *more)).steps == 5
    assert run_training(toy_recipe(pairs, tmp_path / "run", *more), resume=True).steps == 6


def test_final_scores_do_not_count_as_training_time(pairs, tmp_path, monkeypatch):
    score = TrainingRun.final_scores

    def score_slowly(self, trainer, *arguments):
        trainer.clock._before = (1000.0, 1000.0)
        return score(self, trainer, *arguments)

    monkeypatch.setattr(TrainingRun, "final_scores", score_slowly)
    result = run_training(toy_recipe(pairs, tmp_path / "run", "training.max_steps=2"))
    assert max(result.metrics["training_seconds"], result.metrics["wall_seconds"]) < 1000


def test_training_ends_after_its_minutes(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.max_steps=null", "training.max_minutes=0.03",
        "training.lr_scheduler_type=cosine", "training.schedule_by=minutes",
    )  # fmt: skip
    result = run_training(recipe)
    assert 1.8 <= result.metrics["training_seconds"] < 60
    assert rates(tmp_path / "run")[-1] < 0.1 * max(rates(tmp_path / "run"))


def test_the_rate_decays_to_zero_at_the_nearer_limit(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.max_steps=24", "training.max_minutes=60", "training.logging_steps=1",
        "training.lr_scheduler_type=linear", "training.schedule_by=minutes",
    )  # fmt: skip
    run_training(recipe)
    assert rates(tmp_path / "run")[-1] < 0.1 * max(rates(tmp_path / "run"))


def test_a_loss_that_is_not_a_number_ends_the_run_before_it_replaces_a_checkpoint(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.learning_rate=1e30", "training.lr_scheduler_type=constant",
        "training.warmup_steps=3", "checkpoint={save_steps: 1, save_total_limit: 1}",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"loss is (nan|inf) at update \d+.*training\.max_grad_norm"):
        run_training(recipe)
    (left,) = checkpoints(tmp_path / "run")
    assert all(tensor.isfinite().all() for tensor in load_weights(left).values())


def test_the_finished_model_is_the_average_of_the_last_checkpoints(pairs, tmp_path):
    recipe = toy_recipe(
        pairs, tmp_path / "run", "checkpoint={save_steps: 4, save_total_limit: 3, average_last: 2}"
    )  # fmt: skip
    result = run_training(recipe)
    found = checkpoints(tmp_path / "run")
    assert [path.name for path in found] == ["checkpoint-4", "checkpoint-8", "checkpoint-12"]
    assert result.chosen == "average of the last 2 checkpoints"
    assert_same(load_weights(tmp_path / "run"), average_files(found[-2:]))


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

    monkeypatch.setattr("hf_vanilla_transformer.training.training_run.encode_with_dropout", recorded)
    recipe = toy_recipe(
        pairs, tmp_path / "run", "data.packing=true", "tokenizer.dropout=0.5", "training.num_train_epochs=2"
    )  # fmt: skip
    run_training(recipe)
    assert len(drawn) == 2, "one segmentation per epoch"
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


def test_training_can_start_from_a_model(averaged, pairs, tmp_path):
    first = averaged.folder
    recipe = toy_recipe(pairs, tmp_path / "second", f"model.start_from={first}", f"tokenizer.path={first}")
    run_training(recipe)
    before, after = losses(first), losses(tmp_path / "second")
    assert after[0][1] < before[0][1]


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["data.path=nowhere/at/all"], FileNotFoundError, "nowhere/at/all"),
        (["data.path=null"], ValueError, r"data\.path"),
        (["data.train=training"], FileNotFoundError, r"'training'.*'test', 'train', 'validation'"),
        (["data.max_length=2"], ValueError, r"data\.max_length=2"),
        (["evaluation.eval_steps=3", "data.validation=dev"], ValueError, r"evaluation\.eval_steps=3.*data\.validation"),
        (["training.tokens_per_batch=3"], ValueError, r"training\.tokens_per_batch=3"),
        (["model.config.hidden_size=15"], ValueError, "hidden_size=15"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(overrides, error, message, pairs, tmp_path):
    with pytest.raises(error, match=message):
        run_training(toy_recipe(pairs, tmp_path / "run", *overrides))
    assert not (tmp_path / "run").exists()


def test_reporting_needs_its_package(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_vanilla_transformer.training.run.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"output\.report_to='trackio'.*\[trackio\]"):
        run_training(toy_recipe(pairs, tmp_path / "run", "output.report_to=trackio"))
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_scores(pairs, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    changes = [
        "output.report_to=tensorboard",
        "evaluation={eval_steps: 6, predict_with_generate: true, max_rows: 2}",
    ]
    run_training(toy_recipe(pairs, tmp_path / "run", *changes))
    (events,) = (tmp_path / "run").rglob("events.out.tfevents.*")
    reader = event_accumulator.EventAccumulator(str(events))
    reader.Reload()
    assert {"train/loss", "eval/loss", "eval/bleu"} <= set(reader.Tags()["scalars"])


def test_the_plan_of_a_training(pairs, tmp_path):
    text = plan(toy_recipe(pairs, tmp_path / "run", "training.gradient_accumulation_steps=2"))
    assert "VanillaTransformerForConditionalGeneration" in text
    assert "60 rows" in text and "after 12 updates" in text and "inverse_sqrt" in text
    assert "activations of the largest batch" in text
    assert not (tmp_path / "run").exists()
