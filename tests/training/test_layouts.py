"""Training with weights that are divided among processes equals training on one process, to rounding."""

import json

import pytest
import torch
import torch.distributed as dist
import yaml

from hf_vanilla_transformer import VanillaDecoderConfig
from hf_vanilla_transformer.models import heads_vanilla, kernels_loss_vanilla
from hf_vanilla_transformer.models.losses_vanilla import token_cross_entropy
from hf_vanilla_transformer.models.modeling_vanilla_decoder import VanillaDecoderForCausalLM
from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.checkpoints import load_weights
from hf_vanilla_transformer.training.model import build_config
from hf_vanilla_transformer.training.recipes.distributed_recipe import DistributedRecipe, problem_of_processes
from hf_vanilla_transformer.training.sharding import ShardedModel, check_divisible, whole_tensor

from ..old_transformers import skipped_before_tested
from .forked import in_processes
from .test_training_run import losses
from .toy import causal_lm_recipe, masked_lm_recipe, toy_recipe

MAKE = {"transformer": toy_recipe, "encoder": masked_lm_recipe, "decoder": causal_lm_recipe}
LAYOUTS = {
    "DDP": "distributed={}",
    "FSDP2": "distributed={fsdp_size: 2}",
    "TP2": "distributed={tp_size: 2}",
    "TP2xFSDP2": "distributed={tp_size: 2, fsdp_size: 2}",
    "HSDP2x2": "distributed={dp_replicate_size: 2, fsdp_size: 2}",
}
PROCESSES = {"DDP": 2, "FSDP2": 2, "TP2": 2, "TP2xFSDP2": 4, "HSDP2x2": 4}
COMMON = [
    "model.config.dropout=0.0", "model.config.attention_dropout=0.0", "training.logging_steps=1",
    "training.max_steps=8", "training.max_grad_norm=1.0", "evaluation={eval_steps: 4}", "checkpoint.save_steps=4",
]  # fmt: skip


def of_one_process(make, data, folder, layout, *overrides):
    """The run on one process that sees the same batches as those of a layout."""
    accumulation = {"TP2": 1, "HSDP2x2": 4}.get(layout, 2)
    more = f"training.gradient_accumulation_steps={accumulation}"
    return run_training(make(data, folder, *COMMON, *overrides, more))


def assert_equal_runs(first, second, loss_tolerance=2e-5, weight_tolerance=2e-5):
    """Equal curves, scores and weights, to rounding; returns the largest differences of losses and weights."""
    ours, theirs = losses(first), losses(second)
    assert [step for step, _ in theirs] == [step for step, _ in ours]
    assert [loss for _, loss in theirs] == pytest.approx([loss for _, loss in ours], rel=loss_tolerance)
    results = [json.loads((folder / "results.json").read_text()) for folder in (first, second)]
    for name, value in results[0].items():
        if name.startswith(("validation_", "test_")) and isinstance(value, float):
            assert results[1][name] == pytest.approx(value, rel=max(1e-4, loss_tolerance)), name
    for name in ("tokens", "steps", "weights"):
        assert results[0][name] == results[1][name], name
    weights = [load_weights(folder) for folder in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    worst = 0.0
    for name, tensor in weights[0].items():
        # A key's bias adds the same to all scores of a query, so its gradient is rounding, which Adam scales up.
        if not name.endswith("k_proj.bias"):
            torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=weight_tolerance)
            worst = max(worst, float((weights[1][name] - tensor).abs().max()))
    return max(abs(a - b) for (_, a), (_, b) in zip(ours, theirs)), worst


@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
def test_fsdp_trains_like_one_process(texts, tmp_path):
    """With an average, Adam, clipping, an evaluation, the best model and a checkpoint."""
    average = ["training.average=ema", "training.average_every=2"]
    of_one_process(masked_lm_recipe, texts, tmp_path / "one", "FSDP2", *average)
    recipe = masked_lm_recipe(texts, tmp_path / "two", *COMMON, *average, LAYOUTS["FSDP2"])
    in_processes(lambda: run_training(recipe), tmp_path)
    assert_equal_runs(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stack", MAKE)
def test_every_layout_trains_like_one_process(stack, layout, pairs, texts, tmp_path):
    make, data = MAKE[stack], pairs if stack == "transformer" else texts
    of_one_process(make, data, tmp_path / "one", layout)
    recipe = make(data, tmp_path / "two", *COMMON, LAYOUTS[layout])
    in_processes(lambda: run_training(recipe), tmp_path, PROCESSES[layout])
    loss, weight = assert_equal_runs(tmp_path / "one", tmp_path / "two")
    print(f"{stack} {layout}: largest difference of a loss {loss:.1e}, of a weight {weight:.1e}")


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize(
    "overrides",
    [
        ["training.optim=muon"],
        ["training.average=last", "training.average_every=1"],
        ["checkpoint.average_last=2"],
        ["training.gradient_checkpointing=true"],
        ["training.precision=bf16"],
        ["model.config.tie_word_embeddings=false"],
    ],
)
@pytest.mark.parametrize("layout", ["FSDP2", "TP2"])
def test_techniques_work_in_every_layout(layout, overrides, texts, tmp_path):
    of_one_process(causal_lm_recipe, texts, tmp_path / "one", layout, *overrides)
    recipe = causal_lm_recipe(texts, tmp_path / "two", *COMMON, *overrides, LAYOUTS[layout])
    in_processes(lambda: run_training(recipe), tmp_path)
    loose = {"loss_tolerance": 1e-2, "weight_tolerance": 2e-2} if overrides == ["training.precision=bf16"] else {}
    assert_equal_runs(tmp_path / "one", tmp_path / "two", **loose)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layout", ["FSDP2", "TP2", "TP2xFSDP2"])
def test_gradients_are_those_of_one_process_and_no_process_has_all_logits(layout, tied, tmp_path):
    torch.manual_seed(0)
    vocab_size, rows, length = 5000, 4, 128  # more logits than the loss computes at once
    config = VanillaDecoderConfig(
        vocab_size=vocab_size, hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2,
        max_position_embeddings=length, dropout=0.0, attention_dropout=0.0, tie_word_embeddings=tied, lm_head_bias=True,
    )  # fmt: skip
    whole = VanillaDecoderForCausalLM(config).train()
    batch = torch.randint(vocab_size, (rows, length))
    whole(input_ids=batch, labels=batch).loss.backward()
    expected = {name: parameter.grad.clone() for name, parameter in whole.named_parameters()}
    whole.zero_grad()

    def in_one():
        dist.init_process_group("gloo")
        section = DistributedRecipe(**yaml.safe_load(LAYOUTS[layout].partition("=")[2]))
        sharded = ShardedModel(whole, section, torch.device("cpu"))
        most = 0

        def watched(tensor, *_, **__):
            nonlocal most
            most = max(most, tensor.shape[:-1].numel() if tensor.shape[-1] == vocab_size else 0)
            return token_cross_entropy(tensor, *_, **__)

        kernels_loss_vanilla.token_cross_entropy = heads_vanilla.token_cross_entropy = watched
        part = dist.get_rank() // section.tp_size
        own = batch.chunk(section.fsdp_size)[part]
        sharded.model.train()(input_ids=own, labels=own).loss.backward()
        for name, parameter in sharded.model.named_parameters():
            torch.testing.assert_close(whole_tensor(parameter.grad), expected[name], rtol=1e-4, atol=1e-6, msg=name)
        assert most < own.numel() / 4, f"{most} rows of logits at once"

    in_processes(in_one, tmp_path, PROCESSES[layout])


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize(("first", "second"), [("FSDP2", "FSDP2"), ("TP2", "TP2"), ("FSDP2", None), (None, "FSDP2")])
def test_a_checkpoint_of_one_layout_continues_in_another(first, second, optimizer, texts, tmp_path):
    """None is one process that accumulates; a run in tensor parallelism has the batches of one without."""
    more = ["training.average=ema", "training.average_every=2", f"training.optim={optimizer}"]
    accumulated = "training.gradient_accumulation_steps=2"
    of_one_process(causal_lm_recipe, texts, tmp_path / "one", first or second, *more)

    def part(layout, steps, resume):
        overrides = [*COMMON, *more, f"training.max_steps={steps}", LAYOUTS.get(layout, "distributed={}")]
        recipe = causal_lm_recipe(texts, tmp_path / "two", *overrides, *([] if layout or resume else [accumulated]))
        if layout is None:
            run_training(recipe, resume=resume)
        else:
            in_processes(lambda: run_training(recipe, resume=resume), tmp_path)

    part(first, 4, False)
    if first is None:  # the recipe of a resumed run is that of its beginning
        continued = causal_lm_recipe(texts, tmp_path / "two", *COMMON, *more, accumulated, LAYOUTS[second])
        in_processes(lambda: run_training(continued, resume=True), tmp_path)
    else:
        part(second, 8, True)
    assert_equal_runs(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["distributed.fsdp_size=2"], "fsdp_size=2 .* needs 2 processes, but this is a single one: .*torchrun"),
        (["distributed.dp_replicate_size=3"], "dp_replicate_size=3 .* needs 3 processes"),
        (["distributed.pp_size=2"], "pipeline stages are not supported.*wrong logits"),
        (
            ["distributed.fsdp_size=2", "distributed.tp_size=2"],
            r"fsdp_size=2 \* distributed.tp_size=2 needs 4 processes",
        ),
        (["distributed.fsdp_size=2", "training.torch_compile=true"], "torch_compile"),
        (["distributed.tp_size=2", "training.precision=fp16"], "fp16"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_before_anything_is_written(overrides, message, texts, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_training(causal_lm_recipe(texts, tmp_path / "run", *overrides))
    assert not (tmp_path / "run").exists()


def test_the_number_of_processes_is_checked_with_the_arithmetic():
    assert problem_of_processes(DistributedRecipe(), 7) is None
    assert problem_of_processes(DistributedRecipe(fsdp_size=4), 4) is None
    assert "fsdp_size=4 * distributed.tp_size=1 is 4, but 6 processes run" in problem_of_processes(
        DistributedRecipe(fsdp_size=4), 6
    )
    assert "is 2, but 3 processes run" in problem_of_processes(DistributedRecipe(dp_replicate_size=2), 3)


def test_heads_must_be_divisible(texts, tmp_path):
    recipe = causal_lm_recipe(texts, tmp_path)
    model = VanillaDecoderForCausalLM(build_config(recipe, {"vocab_size": 10, "bos_token_id": 0, "eos_token_id": 0}))
    with pytest.raises(ValueError, match=r"tp_size=3 does not divide num_attention_heads=2 .* 2 / 3 = 0\.67.* 1, 2"):
        check_divisible(model, DistributedRecipe(tp_size=3))
    check_divisible(model, DistributedRecipe(tp_size=2))
