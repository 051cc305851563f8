"""`accelerate launch` with two processes on the CPU equals one process with gradient accumulation."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.checkpoints import checkpoints, load_weights

from ..old_transformers import skipped_before_tested
from .test_training_run import losses
from .toy import causal_lm_recipe, toy_recipe

CONFIG = Path(__file__).parents[2] / "scripts" / "accelerate" / "two_processes_cpu.yaml"


def launch(recipe, folder, command="train"):
    """Runs a recipe on two processes and returns the output."""
    recipe.save(folder / "launched.yaml")
    return on_two_processes(command, "--recipe", str(folder / "launched.yaml"))


def on_two_processes(*arguments):
    """A command on two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG),
        "--main_process_port", str(port), "-m", "hf_vanilla_transformer.commands.main", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
def test_two_processes_and_accumulation_have_the_same_curve(pairs, tmp_path):
    """Dropout is off, because each process has its own generator for dropout."""
    common = [
        "model.config.dropout=0.0", "training.logging_steps=1", "training.max_steps=8", "training.max_grad_norm=1.0",
        "evaluation={eval_steps: 4, predict_with_generate: true, metric_for_best_model: bleu}",
        "checkpoint.save_steps=4",
    ]  # fmt: skip
    one = run_training(toy_recipe(pairs, tmp_path / "one", *common, "training.gradient_accumulation_steps=2"))
    printed = launch(toy_recipe(pairs, tmp_path / "two", *common), tmp_path)

    first, second = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [step for step, _ in second] == list(range(1, 9)), "lines of both processes, or of none"
    assert [loss for _, loss in second] == pytest.approx([loss for _, loss in first], rel=1e-5)
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    assert results["tokens"] == one.metrics["tokens"]
    for name in ("validation_loss", "validation_bleu", "test_bleu", "test_chrf"):
        assert results[name] == pytest.approx(one.metrics[name], rel=1e-4), name
    second_weights = load_weights(tmp_path / "two")
    for name, tensor in load_weights(tmp_path / "one").items():
        # A key's bias adds the same to all scores of a query, so its gradient is rounding, which Adam scales up.
        if not name.endswith("k_proj.bias"):
            torch.testing.assert_close(
                second_weights[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda message, name=name: f"{name}: {message}"
            )
    assert printed.count("evaluation at 8") == 1
    last = checkpoints(tmp_path / "two")[-1]
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt"} <= {path.name for path in last.iterdir()}


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
def test_two_processes_share_a_stream_and_resume_it(texts, tmp_path):
    """Interrupted after four updates and resumed, they equal one uninterrupted process with accumulation."""
    common = [
        "model.config.dropout=0.0", "model.config.attention_dropout=0.0", "training.logging_steps=1",
        "training.max_grad_norm=1.0", "data.streaming=true", "data.shuffle_buffer=20", "checkpoint.save_steps=4",
    ]  # fmt: skip
    steps = ["training.max_steps=8", "training.gradient_accumulation_steps=2"]
    one = run_training(causal_lm_recipe(texts, tmp_path / "one", *common, *steps))
    launch(causal_lm_recipe(texts, tmp_path / "two", *common, "training.max_steps=4"), tmp_path)
    on_two_processes("train", "--resume", str(tmp_path / "two"), "--training.max_steps", "8")
    first, second = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [step for step, _ in second] == list(range(1, 9))
    assert [loss for _, loss in second] == pytest.approx([loss for _, loss in first], rel=1e-5)
    assert json.loads((tmp_path / "two" / "results.json").read_text())["tokens"] == one.metrics["tokens"]
