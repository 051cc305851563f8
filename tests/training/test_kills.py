"""A run that dies at any file operation is finished by the same command, with the result of an unbroken run.

The result is compared file by file: weights, averages, best weights, checkpoints, history, scores, reports.
"""

import sys

import pytest

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.adaptation.adaptation_run import run_adaptation
from hf_vanilla_transformer.training.finetuning.finetuning_run import run_finetuning

from .. import faults
from .finetuning.conftest import review_recipe, reviews  # noqa: F401 — a fixture
from .kills import KilledRun, contents, leftovers, quick  # noqa: F401 — a fixture
from .toy import causal_lm_recipe, masked_lm_recipe, toy_recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc and forks")

SHORT = ["training.max_steps=4", "training.logging_steps=1", "data.max_rows=30"]
SAVED = ["checkpoint={save_steps: 2, save_total_limit: 1}", "evaluation={eval_steps: 2, predict_with_generate: false}"]


def train(request, output):
    """Keeps the best weights and one checkpoint."""
    return run_training, toy_recipe(request.getfixturevalue("pairs"), output, *SHORT, *SAVED, "data.test=[]")


def pretrain(request, output):
    """Keeps a running average, and stops by patience."""
    average = ["training.average=last", "training.average_every=1", "evaluation.patience=1"]
    return run_training, masked_lm_recipe(request.getfixturevalue("texts"), output, *SHORT, *SAVED, *average)


def pretrain_on_a_stream(request, output):
    """Averages checkpoints."""
    stream = ["data.streaming=true", "data.shuffle_buffer=20", "data.validation=[]"]
    checkpoint = "checkpoint={save_steps: 2, average_last: 2}"
    return run_training, causal_lm_recipe(request.getfixturevalue("texts"), output, *SHORT, *stream, checkpoint)


def adapt(request, output):
    """Pulls the weights towards those of the base model."""
    base = [f"adaptation.base_model={request.getfixturevalue('masked_lm')}", "model.preset=base", "model.config={}"]
    texts = request.getfixturevalue("texts")
    return run_adaptation, masked_lm_recipe(texts, output, *SHORT, *SAVED, *base, "adaptation.l2_sp=1")


def finetune(request, output, **fields):
    """Unfreezes the layers one after the other."""
    return run_finetuning, review_recipe(
        request.getfixturevalue("masked_lm"), request.getfixturevalue("reviews"), output,
        training__num_train_epochs=2, training__per_device_train_batch_size=24, training__logging_steps=1,
        unfreezing__mode="gradual", **fields,
    )  # fmt: skip


def finetune_and_compare(request, output):
    """Fine-tunes random weights, too, in a folder of their own."""
    return finetune(request, output, comparison__start=["scratch"])


def prepared(command, request, folder):
    run, recipe = command(request, folder / "root" / "run")
    return KilledRun(folder / "root", lambda: run(recipe))


def recorded(command, request, folder):
    killed = prepared(command, request, folder)
    killed.record(folder / "states")
    assert not leftovers(killed.root)
    return killed


@pytest.mark.parametrize("command", [train, pretrain_on_a_stream, adapt, finetune])
def test_a_kill_at_any_file_operation_loses_nothing(command, quick, request, tmp_path):  # noqa: F811
    """Each state is looked at; the command runs again in one state for each place where a run starts."""
    killed = recorded(command, request, tmp_path)
    assert len(killed.states) > 50
    for state in killed.states:
        killed.check_names(state)
    chosen = killed.one_of_each_start()
    assert len(chosen) == 5
    for state in chosen:
        killed.restart(state)
        assert not leftovers(killed.root)


@pytest.mark.slow
@pytest.mark.parametrize("command", [train, pretrain, pretrain_on_a_stream, adapt, finetune, finetune_and_compare])
def test_the_command_finishes_the_run_in_every_state(command, quick, request, tmp_path):  # noqa: F811
    killed = recorded(command, request, tmp_path)
    for state in killed.states:
        killed.check_names(state)
        killed.restart(state)
        assert not leftovers(killed.root)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(quick, request, tmp_path):  # noqa: F811
    """A second kill, at any file operation of the run that was started again."""
    killed = recorded(train, request, tmp_path)
    for number, state in enumerate(killed.one_of_each_start()):
        again = KilledRun(killed.root, killed.run, killed.whole)
        again.restore(state)
        again.record(tmp_path / f"states-{number}")
        assert again.whole == killed.whole
        for second in again.states:
            again.check_names(second)
        for second in again.one_of_each_start():
            again.restart(second)


def failures(killed, folder, *, each):
    """Lets operations of a run fail; each is an error of one line that names the folder, and leaves no leftovers."""
    killed.run_once()
    killed.clear()
    folder.mkdir()
    found = faults.failures_of_one_run(killed.root, killed.run, folder, each=each)
    assert contents(killed.root) == killed.whole, "the failures have changed the run that they were tried in"
    for failure in found:
        assert failure.error == "OSError", failure
        assert str(killed.root) in failure.message and "\n" not in failure.message, failure
        assert "No space left" in failure.message or "did not take all of it" in failure.message, failure
        assert not leftovers(failure.state), failure
        killed.check_names(failure.state)
    return found


def test_a_full_disk_at_any_place_that_writes_loses_nothing(quick, request, tmp_path):  # noqa: F811
    killed = prepared(train, request, tmp_path)
    found = failures(killed, tmp_path / "failures", each=False)
    assert len(found) > 20
    killed.restart(found[len(found) // 2].state)


@pytest.mark.slow
@pytest.mark.parametrize("command", [train, pretrain, pretrain_on_a_stream, adapt, finetune_and_compare])
def test_a_full_disk_at_any_file_operation_loses_nothing(command, quick, request, tmp_path):  # noqa: F811
    killed = prepared(command, request, tmp_path)
    found = failures(killed, tmp_path / "failures", each=True)
    assert len(found) > 100
    for failure in found[::20]:
        killed.restart(failure.state)
        assert not leftovers(killed.root)
