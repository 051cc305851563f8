"""Updates with a loss or a gradient that is NaN or infinite, or with a loss that has exploded, are not made."""

import json
import math

import pytest
from safetensors.torch import load_file

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.bad_updates import BadUpdates
from hf_vanilla_transformer.training.checkpoints import checkpoints, load_weights
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning
from hf_vanilla_transformer.training.losses import Losses
from hf_vanilla_transformer.training.trainer import RecipeTrainer

from .finetuning.conftest import review_recipe, reviews  # noqa: F401 — a fixture
from .test_training_run import assert_same, losses
from .toy import causal_lm_recipe, toy_recipe

EVERY = ["training.max_steps=8", "training.logging_steps=1", "training.gradient_accumulation_steps=2"]
SKIP = "training.on_bad_loss=skip"


def factor_of_loss(monkeypatch, factor, *updates):
    """Multiplies the loss of the second batch of some updates."""
    compute = RecipeTrainer.compute_loss

    def compute_loss(self, model, inputs, **keywords):
        loss = compute(self, model, inputs, **keywords)
        if self.state.global_step + 1 in updates and len(self.update_inputs) == 2:
            loss = loss * factor
        return loss

    monkeypatch.setattr(RecipeTrainer, "compute_loss", compute_loss)


@pytest.fixture(scope="module")
def unbroken(pairs, tmp_path_factory):
    """Eight updates without a bad one."""
    return run_training(toy_recipe(pairs, tmp_path_factory.mktemp("unbroken") / "run", *EVERY))


@pytest.mark.parametrize(
    ("factor", "problem"),
    [
        (math.nan, "loss is nan"),
        (math.inf, "loss is inf"),
        (1e4, r"loss is .* more than training.loss_limit=100 times"),
    ],
)
def test_the_run_stops_before_a_bad_update_and_goes_on_from_there(
    factor, problem, unbroken, pairs, tmp_path, monkeypatch
):
    recipe = toy_recipe(pairs, tmp_path / "run", *EVERY)
    with monkeypatch.context() as patch:
        factor_of_loss(patch, factor, 5)
        with pytest.raises(ValueError, match=rf"The {problem}.* at update 5.*checkpoint-4.*update-5\.json"):
            run_training(recipe)
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-4"]
    assert losses(tmp_path / "run") == losses(unbroken.folder)[:4]
    # The fault is gone, so the run is the unbroken one.
    assert run_training(recipe).steps == 8
    assert_same(load_weights(tmp_path / "run"), load_weights(unbroken.folder))
    assert losses(tmp_path / "run") == losses(unbroken.folder)


def test_the_batch_is_kept_with_the_numbers_and_the_texts_of_its_rows(pairs, tmp_path, monkeypatch):
    factor_of_loss(monkeypatch, math.nan, 3)
    with pytest.raises(ValueError, match="update 3"):
        run_training(toy_recipe(pairs, tmp_path / "run", *EVERY))
    record = json.loads((tmp_path / "run" / "bad_updates" / "update-3.json").read_text())
    assert (record["update"], record["loss"], len(record["batches"])) == (3, "nan", 2)
    tensors = load_file(tmp_path / "run" / "bad_updates" / "update-3.safetensors")
    lines = (pairs / "train.tsv").read_text().splitlines()
    for number, batch in enumerate(record["batches"]):
        sources = [lines[row].split("\t")[0] for row in batch["rows"]]
        shown = [text.replace("</s>", "").replace("<pad>", "").strip() for text in batch["texts"]["input_ids"]]
        assert sorted(shown) == sorted(sources)
        assert len(tensors[f"{number}.input_ids"]) == len(sources) and f"{number}.labels" in tensors


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_skipped_update_changes_nothing(optimizer, pairs, tmp_path, monkeypatch, caplog):
    """The run that skips at once equals the one that stops and is told to skip."""
    more = [*EVERY, f"training.optim={optimizer}", "training.weight_decay=0.1"]
    factor_of_loss(monkeypatch, math.nan, 5)
    saved = "checkpoint.save_steps=1"
    skipping = run_training(toy_recipe(pairs, tmp_path / "skipping", *more, SKIP, saved))
    assert skipping.steps == 8 and "loss is nan at update 5, which is skipped" in caplog.text
    before, after = checkpoints(skipping.folder)[0:2]
    assert (before.name, after.name) == ("checkpoint-4", "checkpoint-5")
    assert_same(load_weights(before), load_weights(after))
    assert [step for step, _ in losses(skipping.folder)] == [1, 2, 3, 4, 6, 7, 8]
    assert all(math.isfinite(loss) for _, loss in losses(skipping.folder))

    with pytest.raises(ValueError, match="update 5"):
        run_training(toy_recipe(pairs, tmp_path / "stopped", *more))
    resumed = run_training(toy_recipe(pairs, tmp_path / "stopped", *more, SKIP), resume=True)
    assert_same(load_weights(resumed.folder), load_weights(skipping.folder))
    assert losses(resumed.folder) == losses(skipping.folder)
    assert resumed.metrics["tokens"] == skipping.metrics["tokens"]


def test_too_many_bad_updates_in_a_row_stop_the_run(pairs, tmp_path, monkeypatch):
    factor_of_loss(monkeypatch, math.inf, 2, 4, 5, 6)
    recipe = toy_recipe(pairs, tmp_path / "run", *EVERY, SKIP, "training.max_bad_losses=3")
    with pytest.raises(ValueError, match=r"at update 6, and training.max_bad_losses=3 .*checkpoint-5"):
        run_training(recipe)
    names = sorted(path.name for path in (tmp_path / "run" / "bad_updates").glob("*.json"))
    assert names == [f"update-{number}.json" for number in (2, 4, 5, 6)]
    # The next run counts on.
    with pytest.raises(ValueError, match="at update 6, and"):
        run_training(recipe)


def test_a_bad_gradient_is_found_too(pairs, tmp_path, monkeypatch):
    step = RecipeTrainer.training_step

    def training_step(self, model, *arguments, **keywords):
        loss = step(self, model, *arguments, **keywords)
        if self.state.global_step == 2:
            next(model.parameters()).grad[0, 0] = math.inf
        return loss

    monkeypatch.setattr(RecipeTrainer, "training_step", training_step)
    with pytest.raises(ValueError, match=r"norm of the gradient is (inf|nan) at update 3"):
        run_training(toy_recipe(pairs, tmp_path / "run", *EVERY))


def test_streams_and_fine_tunings_are_watched_too(texts, masked_lm, reviews, tmp_path, monkeypatch):  # noqa: F811
    factor_of_loss(monkeypatch, math.nan, 2)
    stream = causal_lm_recipe(texts, tmp_path / "stream", *EVERY, "data.streaming=true", "data.shuffle_buffer=20", SKIP)
    assert run_training(stream).steps == 8
    assert json.loads((tmp_path / "stream" / "bad_updates" / "update-2.json").read_text())["batches"][0]["rows"] is None
    recipe = review_recipe(
        masked_lm, reviews, tmp_path / "tuned", training__gradient_accumulation_steps=2,
        training__per_device_train_batch_size=8,
    )  # fmt: skip
    with pytest.raises(ValueError, match="loss is nan at update 2"):
        run_finetuning(recipe)
    record = json.loads((tmp_path / "tuned" / "bad_updates" / "update-2.json").read_text())
    texts_of_rows = [line.split(",")[0] for line in (reviews / "train.csv").read_text().splitlines()[1:]]
    batch = record["batches"][0]
    assert [texts_of_rows[row] in text for row, text in zip(batch["rows"], batch["texts"]["input_ids"])] == [True] * 8


def test_weights_that_are_not_finite_are_never_saved(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(BadUpdates, "on_pre_optimizer_step", lambda *arguments, **keywords: None)
    recipe = toy_recipe(
        pairs, tmp_path / "run", "training.learning_rate=1e39", "training.lr_scheduler_type=constant",
        "training.warmup_steps=3", "checkpoint={save_steps: 1, save_total_limit: 1}",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"has values that are not finite after update \d+: no checkpoint is saved"):
        run_training(recipe)
    for left in checkpoints(tmp_path / "run"):
        assert all(tensor.isfinite().all() for tensor in load_weights(left).values())


class TestLosses:
    """What counts as a bad loss."""

    def test_the_first_loss_sets_the_scale(self):
        watch = Losses()
        assert watch.problem(1e9, None, 100.0) is None  # nothing to compare with
        watch.accept(2.0)
        for _ in range(1000):
            watch.accept(1e-6)
        assert watch.problem(199.0, 1.0, 100.0) is None
        assert "first loss" in watch.problem(201.0, 1.0, 100.0)

    def test_losses_may_grow_slowly(self):
        watch = Losses()
        watch.accept(1.0)
        for _ in range(1000):
            watch.accept(50.0)
        assert watch.problem(1000.0, 1.0, 100.0) is None
        assert "mean of the losses before" in watch.problem(6000.0, 1.0, 100.0)

    def test_without_a_limit_only_values_that_are_not_finite_are_bad(self):
        watch = Losses()
        watch.accept(1.0)
        assert watch.problem(1e30, 1e30, None) is None
        assert watch.problem(math.nan, None, None) == "loss is nan"
        assert watch.problem(1.0, math.inf, None) == "norm of the gradient is inf"

    def test_its_state_continues(self):
        watch, restored = Losses(), Losses()
        watch.accept(3.0)
        watch.accept(1.0)
        watch.in_a_row = 2
        restored.load_state_dict(watch.state_dict())
        assert restored.state_dict() == watch.state_dict()


def test_skipping_does_not_go_with_loss_scaling(pairs, tmp_path):
    with pytest.raises(ValueError, match=r"on_bad_loss='skip'.*precision='fp16'.*bf16"):
        toy_recipe(pairs, tmp_path, SKIP, "training.precision=fp16")


def test_rows_of_an_update_are_found_without_disturbing_the_training(pairs, tmp_path):
    from hf_vanilla_transformer.training.training_run import TrainingRun

    recipe = toy_recipe(pairs, tmp_path / "run", *EVERY)
    batches = TrainingRun.prepare(recipe, tmp_path / "run").make_trainer(tmp_path / "run").batches
    loader = iter(batches.loader(8, 0))
    per_update = batches.updates_per_epoch
    for update in (1, 2, per_update, per_update + 1, 2 * per_update + 1):
        assert len(batches.rows_of(update, 0)) == 2
    first = [len(rows) for rows in batches.rows_of(1, 0)]
    assert [len(next(loader)["input_ids"]) for _ in range(2)] == first
