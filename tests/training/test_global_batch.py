"""The batches of an update, and their masks, are the same for every number of processes; also after a resume."""

import json

import pytest
import torch

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.checkpoints import RUN_STATE, load_weights
from hf_vanilla_transformer.training.collators import collator
from hf_vanilla_transformer.training.corpus import encode, get_tokenizer, load_corpus
from hf_vanilla_transformer.training.global_batch import keep_global_batch
from hf_vanilla_transformer.training.streaming import StreamedRows
from hf_vanilla_transformer.training.token_trainer import token_batches

from ..old_transformers import skipped_before_tested
from .test_processes import launch, on_two_processes
from .test_training_run import losses
from .toy import masked_lm_recipe


@pytest.mark.parametrize("streamed", [False, True])
def test_masks_depend_on_the_batch_and_not_on_the_process(streamed, texts, tmp_path):
    more = ["data.streaming=true", "data.shuffle_buffer=20", "training.num_train_epochs=null"] if streamed else []
    recipe = masked_lm_recipe(texts, tmp_path, *more)
    corpus = load_corpus(recipe)
    tokenizer = get_tokenizer(recipe, corpus)
    in_memory = None if streamed else encode(recipe, tokenizer, corpus.train, training=True)

    def updates(processes):
        """Four updates of four batches, as the processes make them."""
        recipe.training.gradient_accumulation_steps = 4 // processes
        made = []
        for rank in range(processes):
            rows = StreamedRows(recipe, tokenizer) if streamed else in_memory
            batches = token_batches(recipe, rows, collator(recipe, tokenizer), processes)
            assert batches.batches_per_update == 4
            made.append(list(batches.loader(4, rank)))
        return [made[number % processes][number // processes] for number in range(16)]

    alone = updates(1)
    assert len({tuple(batch["labels"].flatten().tolist()) for batch in alone}) == 16, "every batch has its own masks"
    for processes in (2, 4):
        for one, other in zip(alone, updates(processes), strict=True):
            assert one.keys() == other.keys()
            for name, tensor in one.items():
                assert torch.equal(tensor, other[name]), name


def test_the_batch_of_a_checkpoint_is_kept_or_refused_with_the_arithmetic(texts, tmp_path):
    recipe = masked_lm_recipe(texts, tmp_path, "training.gradient_accumulation_steps=2")
    torch.save({"batches_per_update": 8}, tmp_path / RUN_STATE)
    assert keep_global_batch(recipe, tmp_path, 4) is recipe
    for processes in (1, 2, 8):
        kept = keep_global_batch(recipe, tmp_path, processes)
        assert kept.training.gradient_accumulation_steps == 8 // processes
    assert recipe.training.gradient_accumulation_steps == 2
    with pytest.raises(ValueError, match=r"8 / 3 = 2\.67.*on 1, 2, 4, 8 processes"):
        keep_global_batch(recipe, tmp_path, 3)


@pytest.mark.slow
@skipped_before_tested("several processes on CPU cannot resume: torch knows no place cpu:0")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the processes would choose the GPU")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("grows", [False, True])
def test_a_checkpoint_of_n_processes_continues_on_m(streamed, grows, texts, tmp_path):
    """From two processes to one, and from one to two: the curve of masked language modelling stays the unbroken one."""
    common = [
        "model.config.dropout=0.0", "model.config.attention_dropout=0.0", "training.logging_steps=1",
        "training.max_grad_norm=1.0", "checkpoint.save_steps=4",
        *(["data.streaming=true", "data.shuffle_buffer=20"] if streamed else []),
    ]  # fmt: skip
    accumulated = "training.gradient_accumulation_steps=2"
    run_training(masked_lm_recipe(texts, tmp_path / "one", *common, "training.max_steps=8", accumulated))
    folder = tmp_path / "other"
    if grows:
        run_training(masked_lm_recipe(texts, folder, *common, "training.max_steps=4", accumulated))
        on_two_processes("train", "--resume", str(folder), "--training.max_steps", "8")
    else:
        launch(masked_lm_recipe(texts, folder, *common, "training.max_steps=4"), tmp_path)
        longer = masked_lm_recipe(texts, folder, *common, "training.max_steps=8")
        run_training(longer, resume=True)
    first, second = losses(tmp_path / "one"), losses(folder)
    assert [step for step, _ in second] == list(range(1, 9))
    assert [loss for _, loss in second] == pytest.approx([loss for _, loss in first], rel=1e-5)
    results = [json.loads((path / "results.json").read_text()) for path in (tmp_path / "one", folder)]
    assert results[0]["tokens"] == results[1]["tokens"]
    weights = load_weights(folder)
    for name, tensor in load_weights(tmp_path / "one").items():
        if not name.endswith("k_proj.bias"):  # its gradient is rounding, which Adam scales up
            torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5)
