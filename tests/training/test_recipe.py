"""Recipes: typed, complete, and clear about what is wrong."""

import dataclasses
import inspect
import typing

import pytest

from hf_vanilla_transformer.training.model import build_config
from hf_vanilla_transformer.training.recipes.training_recipe import (
    Recipe,
    load_recipe,
    recipe_fields,
    recipe_names,
)

END = ["training.max_steps=10"]


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_are_valid_and_survive_a_round_trip(name, tmp_path):
    recipe = load_recipe(name)
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert load_recipe(tmp_path) == recipe  # the folder of a run
    assert recipe.description


def test_the_recipes_of_the_papers_are_there():
    expected = {"wmt14-en-de-base", "wmt14-en-fr-big", "multi30k-en-de-tiny", "bert-base-wikipedia"}
    assert expected | {"gpt2-small-openwebtext"} <= set(recipe_names())


@pytest.mark.parametrize(
    ("name", "last", "steps"), [("wmt14-en-de-base", 5, 100_000), ("wmt14-en-fr-big", 20, 300_000)]
)
def test_the_recipe_of_the_paper_is_exact(name, last, steps):
    """Sections 5.1 to 5.4 and 6.1 of Vaswani et al. 2017."""
    recipe = load_recipe(name)
    training, generation = recipe.training, recipe.generation
    assert (training.adam_beta1, training.adam_beta2, training.adam_epsilon) == (0.9, 0.98, 1e-9)
    assert (training.lr_scheduler_type, training.warmup_steps, training.max_steps) == ("noam", 4000, steps)
    assert (training.weight_decay, training.max_grad_norm) == (0.0, 0.0)
    assert training.tokens_per_batch * training.gradient_accumulation_steps == 25_000
    assert (generation.num_beams, generation.length_penalty, generation.length_penalty_form) == (4, 0.6, "gnmt")
    assert generation.max_extra_tokens == 50
    assert recipe.checkpoint.average_last == last
    config = build_config(recipe, {"vocab_size": recipe.tokenizer.vocab_size})
    assert (config.dropout, config.label_smoothing) == (0.1, 0.1)
    assert config.tie_word_embeddings and config.share_encoder_decoder_embeddings


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.learning_rat=1", "Did you mean 'training.learning_rate'"),
        ("learning_rate=1", "Did you mean 'training.learning_rate'"),
        ("trainin.max_steps=1", "Did you mean 'training'"),
        ("data.batch=3", "Valid here: .*data.path"),
        ("training.max_steps=many", "training.max_steps .* must be a whole number, not 'many'"),
        ("training.max_steps=1.5", "must be a whole number"),
        ("training.max_steps=true", "must be a whole number, not True"),
        ("data.packing=maybe", "data.packing .* must be true or false"),
        ("tokenizer.kind=bpee", "one of 'bpe', 'byte_bpe', 'wordpiece', 'unigram'"),
        ("training.lr_scheduler_type=null", "must be one of"),
        ("model=tiny", "'model' .* must be a mapping"),
        ("model.config=3", "must be a mapping"),
        ("model.preset.name=3", "is not valid|single value|must be text"),
        ("data.train={a: 1}", "must be a list"),
        ("training.max_steps=0", "must be above 0"),
        ("training.gradient_accumulation_steps=0", "must be at least 1"),
        ("tokenizer.dropout=1.0", r"must be in \[0, 1\)"),
        ("no-value", "must look like"),
        ("training.max_steps=[", "not valid YAML"),
        ("training.accumulation=2", r"training\.accumulation .* training\.gradient_accumulation_steps"),
        ("training.bf16=true", r"training\.bf16 .* training\.precision: bf16"),
        ("checkpoint.save_optimizer=false", r"checkpoint\.save_optimizer .* checkpoint\.save_only_model, .*opposite"),
    ],
)
def test_wrong_fields_are_named_with_the_nearest_or_the_legal_ones(override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("multi30k-en-de-tiny", [override])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "never ends"),
        (
            ["training.max_steps=9", "model.initial_embeddings=cooccurrence", "model.start_from=runs/x"],
            "has embeddings already",
        ),
        (
            [*END, "model.initial_embeddings=cooccurrence", "task=causal_lm", "data.streaming=true"],
            "needs the text in memory",
        ),
        ([*END, "training.lr_scheduler_type=cosine"], "needs training.learning_rate"),
        (
            ["training.max_minutes=1", "training.lr_scheduler_type=linear", "training.learning_rate=1e-3"],
            "schedule_by: minutes",
        ),
        (
            [*END, "training.lr_scheduler_type=linear", "training.learning_rate=1e-3", "training.schedule_by=minutes"],
            "max_minutes",
        ),
        ([*END, "task=causal_lm", "evaluation.metric_for_best_model=bleu"], "needs translations"),
        ([*END, "task=masked_lm", "tokenizer.dropout=0.1"], "set it to null"),
        ([*END, "evaluation.patience=3"], "set evaluation.eval_steps"),
        ([*END, "checkpoint.average_last=5"], "set checkpoint.save_steps"),
        (
            [*END, "checkpoint.average_last=5", "checkpoint.save_steps=2", "checkpoint.save_total_limit=2"],
            "Set checkpoint.save_total_limit to 5",
        ),
        ([*END, "training.learning_rate=1e-3"], "learning_rate_scale"),
    ],
)
def test_contradictions_are_found_before_any_work(overrides, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(None, overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.config.hidden_sise=4"], "Did you mean 'hidden_size'"),
        (["model.preset=tinny"], "Did you mean 'tiny'"),
        (["model.preset=bert_base"], "Valid: base, big, tiny"),
        (["model.config.vocab_size=5"], "follows from the tokenizer"),
        (["model.config.num_attention_heads=3"], "num_attention_heads=3"),
        (["model.config.dropout=2.0"], "dropout"),
    ],
)
def test_wrong_fields_of_the_model_are_found(overrides, message):
    recipe = load_recipe("multi30k-en-de-tiny", overrides)
    with pytest.raises(ValueError, match=message):
        build_config(recipe, {"vocab_size": 100})


def test_unknown_recipes_are_named_with_the_nearest(tmp_path):
    with pytest.raises(FileNotFoundError, match="Did you mean 'multi30k-en-de-tiny'"):
        load_recipe("multi30k-en-de-tyni")
    with pytest.raises(FileNotFoundError, match=r"no recipe file .*missing.yaml"):
        load_recipe(tmp_path / "missing.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must hold a mapping"):
        load_recipe(tmp_path / "list.yaml")


def test_overrides_are_typed_and_later_ones_win():
    recipe = load_recipe(
        "multi30k-en-de-tiny",
        [
            "training.learning_rate=1e-3",  # YAML alone would read this as text
            "training.max_steps=1_000",
            "training.max_steps=2000",
            "model.config.dropout=0.25",
            "data.validation=dev",
            "evaluation.eval_steps=null",
            "evaluation.patience=null",
        ],
    )
    assert recipe.training.learning_rate == 1e-3
    assert recipe.training.max_steps == 2000
    assert recipe.model.config == {"initializer": "normal", "dropout": 0.25, "label_smoothing": 0.1}
    assert recipe.data.validation == ["dev"]
    assert recipe.evaluation.eval_steps is None


def test_every_field_is_described():
    for name, entry in recipe_fields():
        owner = Recipe
        for part in name.split(".")[:-1]:
            owner = typing.get_type_hints(owner)[part]
        if owner is not Recipe:
            assert entry.name in inspect.getdoc(owner), f"{name} is not in the docstring of {owner.__name__}"
    assert {entry.name for entry in dataclasses.fields(Recipe)} >= {"model", "tokenizer", "data", "training"}
