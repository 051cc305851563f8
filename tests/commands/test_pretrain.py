"""`hf-vanilla pretrain`: from text to a language model that Auto classes load, and its error messages."""

import json
import logging
import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.training.model import CLASSES, build_config
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

from ..training.toy import STACK, write_texts

SMALL = [
    "--model.config", STACK, "--data.max_length", "32", "--training.max_steps", "4", "--training.logging_steps", "2",
    "--training.tokens_per_batch", "128", "--checkpoint.save_steps", "2", "--evaluation.eval_steps", "2",
]  # fmt: skip


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.mark.parametrize("objective", ["causal", "masked", "denoising", "span"])
def test_the_small_recipes_fit_a_cpu(objective):
    recipe = load_recipe(f"{ {'causal': 'decoder', 'masked': 'encoder'}.get(objective, objective) }-small")
    config = build_config(recipe, {"vocab_size": recipe.tokenizer.vocab_size})
    with torch.device("meta"):
        model = CLASSES[recipe.task][1](config)
    assert config.hidden_size == 256 and 5e6 < model.num_parameters() < 15e6


def test_the_special_tokens_of_a_preset_cause_no_warning(texts, tmp_path, caplog, monkeypatch):
    """The end token of GPT-2 is outside of a small vocabulary, until the tokenizer sets its id."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    arguments = ["pretrain", "--objective", "causal", "--output", str(tmp_path / "run"), *SMALL]
    assert main([*arguments, "--data.path", str(texts), "--tokenizer.vocab_size", "280"]) == 0
    assert "within the vocabulary" not in caplog.text


def test_masked_in_memory(texts, tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["pretrain", "--objective", "masked", "--data.path", str(texts), "--output", str(folder), *SMALL]
    arguments += ["--tokenizer.vocab_size", "60"]
    assert main([*arguments, "--dry-run", "--model.initial_embeddings", "cooccurrence"]) == 0
    planned = capsys.readouterr().out
    assert (
        "VanillaEncoderForMaskedLM" in planned
        and "co-occurrences" in planned
        and "30% of the tokens, whole words" in planned
    )
    assert "after 4 updates" in planned and "memory" in planned and not folder.exists()
    assert main(arguments) == 0
    printed = capsys.readouterr().err
    assert "evaluation at 4" in printed and "perplexity" in printed
    assert "AutoModelForMaskedLM" in printed and f"hf-vanilla adapt {folder}" in printed
    results = json.loads((folder / "results.json").read_text())
    assert results["steps"] == 4 and results["validation_perplexity"] > 1
    AutoModelForMaskedLM.from_pretrained(folder)
    assert "whole_word" in (folder / "recipe.yaml").read_text()


def test_causal_from_a_stream_and_resumed(texts, tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["pretrain", "--objective", "causal", "--output", str(folder), *SMALL, "--tokenizer.vocab_size", "280"]
    arguments += ["--data.path", str(texts / "train.txt"), "--data.hold_out", "5"]
    arguments += ["--data.streaming", "true", "--data.shuffle_buffer", "10"]
    assert main([*arguments, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "100.0% of the tokens, streamed" in planned and "5 rows, held out" in planned
    assert main(arguments) == 0
    assert main(["pretrain", "--resume", str(folder), "--training.max_steps", "6"]) == 0
    assert "step 6/6" in capsys.readouterr().err
    AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--objective causal, masked, denoising, span"),
        (["--objective", "causal"], r"data\.path .*--data\.path corpus\.txt"),
        (["--objective", "causal", "--recipe", "encoder-small"], "--objective causal.*'masked_lm'.*encoder-small"),
        (["--recipe", "multi30k-en-de-tiny"], "'translation'.*multi30k-en-de-tiny.*hf-vanilla train"),
        (["--objective", "masked", "--data.path", "no/such/text.txt"], r"no/such/text\.txt"),
        (["--objective", "masked", "--objective.unit", "words"], r"objective\.unit .*'token', 'whole_word', 'span'"),
    ],
)
def test_mistakes_are_reported_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["pretrain", *arguments, "--output", "run"]) == 2
    printed = capsys.readouterr().err
    assert re.search(message, printed) and printed.startswith("hf-vanilla pretrain: ") and "Traceback" not in printed
    assert not list(tmp_path.iterdir())
