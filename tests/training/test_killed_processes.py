"""Processes that are killed at random moments: the same command finishes the run, as if it had never been killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from hf_vanilla_transformer.commands.glibc_allocator import OPT_OUT
from hf_vanilla_transformer.commands.main import main

from .finetuning.conftest import reviews  # noqa: F401 — a fixture
from .kills import contents, leftovers, quick  # noqa: F401 — a fixture
from .test_kills import adapt, finetune_and_compare, pretrain, pretrain_on_a_stream, train
from .test_training_run import losses

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")]

KILLS = 20
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
# How a process may end that got a signal: by the signal itself, with its exit status, or finished before it arrived.
ENDS = {number: {-number, 128 + number, 0} for number in SIGNALS}


def command_line(command, request, output):
    """The command line of a recipe, which is saved beside the output folder."""
    run, recipe = command(request, output)
    name = {"run_training": "train", "run_adaptation": "adapt", "run_finetuning": "finetune"}[run.__name__]
    file = output.parent.parent / "recipe.yaml"
    recipe.save(file)
    base = [recipe.adaptation.base_model] if name == "adapt" else []
    return [name, *base, "--recipe", str(file), "--output", str(output)]


def started(arguments, log):
    """The number of a new process that runs a command and writes what it says into a file."""
    child = os.fork()
    if child == 0:
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(written, 1)
        os.dup2(written, 2)
        status = 99
        try:
            status = main(arguments)
        finally:
            os._exit(status)
    return child


def ended(child):
    """How a process has ended: its exit status, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("command", [train, pretrain, pretrain_on_a_stream, adapt, finetune_and_compare])
def test_killed_at_random_moments(command, quick, request, tmp_path):  # noqa: F811
    root, log = tmp_path / "root", tmp_path / "log.txt"
    arguments = command_line(command, request, root / "run")
    root.mkdir()
    began = time.monotonic()
    assert ended(started(arguments, log)) == 0
    seconds = time.monotonic() - began
    whole = contents(root)

    numbers = random.Random(command.__name__)
    kills = runs = 0
    while kills < KILLS:
        shutil.rmtree(root)
        root.mkdir()
        while not (root / "run" / "results.json").is_file() or numbers.random() < 0.3:
            number = numbers.choice(SIGNALS)
            child = started(arguments, log)
            time.sleep(numbers.uniform(0, seconds))
            os.kill(child, number)
            status = ended(child)
            assert status in ENDS[number], log.read_text()
            kills += status != 0
        assert ended(started(arguments, log)) == 0
        runs += 1
        found = contents(root)
        assert found.keys() == whole.keys() and not leftovers(root)
        assert [name for name in found if found[name] != whole[name]] == []
    assert "Traceback" not in log.read_text()
    print(f"{command.__name__}: {kills} kills in {runs} runs")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_new_process_is_killed(number, request, tmp_path):
    """From its start on, with all that a process imports."""
    outputs = [tmp_path / name / "run" for name in ("whole", "killed")]
    lines = [command_line(train, request, output) for output in outputs]
    environment = os.environ | {OPT_OUT: "1"}
    call = [sys.executable, "-m", "hf_vanilla_transformer.commands.main"]
    began = time.monotonic()
    subprocess.run([*call, *lines[0]], env=environment, check=True, capture_output=True)
    seconds = time.monotonic() - began
    numbers = random.Random(int(number))
    for _ in range(4):
        process = subprocess.Popen([*call, *lines[1]], env=environment, stderr=subprocess.PIPE, text=True)
        time.sleep(numbers.uniform(0, seconds))
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode in ENDS[number] and "Traceback" not in said, said
    subprocess.run([*call, *lines[1]], env=environment, check=True, capture_output=True)
    assert losses(outputs[1]) == losses(outputs[0])
    weights = [(output / "model.safetensors").read_bytes() for output in outputs]
    assert weights[0] == weights[1] and not leftovers(outputs[1])


def test_a_signal_to_all_processes_of_a_job_does_not_take_the_batches_away(request, tmp_path):
    """Schedulers signal the data-loading workers, too; the training finishes its update and saves."""
    _, recipe = train(request, tmp_path / "run")
    recipe.training.max_steps, recipe.training.dataloader_num_workers = 4000, 2
    recipe.checkpoint.save_steps = None
    recipe.evaluation.eval_steps = None
    recipe.save(tmp_path / "recipe.yaml")
    call = [sys.executable, "-m", "hf_vanilla_transformer.commands.main", "train", "--recipe"]
    process = subprocess.Popen(
        [*call, str(tmp_path / "recipe.yaml")], env=os.environ | {OPT_OUT: "1"}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("step 20/"):
            break
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143 and "Traceback" not in said and "RuntimeError" not in said, said
    assert len(list((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))) == 1
