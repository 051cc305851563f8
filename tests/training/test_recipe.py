"""Recipes: typed, bounded, complete, and precise about what is wrong."""

import dataclasses
import importlib
import re
import typing

import pytest
from huggingface_hub.errors import StrictDataclassError

from hf_vanilla_transformer.training.finetuning.tasks import TASKS
from hf_vanilla_transformer.training.model import build_config
from hf_vanilla_transformer.training.recipes import finetuning_recipe, training_recipe
from hf_vanilla_transformer.training.recipes.field_list import field_descriptions, field_list
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe, load_finetune_recipe
from hf_vanilla_transformer.training.recipes.reading import as_override, fields_of, recipe_names
from hf_vanilla_transformer.training.recipes.sections import EvaluationSection, TrainingSection, short_average
from hf_vanilla_transformer.training.recipes.text_sections import TrainingRecipe
from hf_vanilla_transformer.training.recipes.training_recipe import Recipe, load_recipe

END = ["training.max_steps=10"]
# Text that YAML reads as something else, or as nothing.
TRICKY_TEXTS = [
    "no", "on", "true", "0", "010", "1e3", "1:30", "2020-01-01", "#", "|", ",", "my #1.csv", "a: b", "[x", "{x}", "*x",
    "&x", "!x", "%x", "@x", "`x", "'", '"', "it's", "'quoted'", '"quoted"', "both ' and \"", "back\\slash", "x ", " x",
    "U+3000\u3000", "no-break\u00a0space", "c:\\new\\table", "- x", "? x", ">", "...", "---",
]  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_are_valid_and_survive_a_round_trip(name, tmp_path):
    recipe = load_recipe(name)
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert load_recipe(tmp_path) == recipe  # the folder of a run
    assert recipe.description


def test_recipes_of_the_papers_are_packaged():
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
        ("training.learning_rat=1", r"training\.learning_rat'.*'training\.learning_rate'"),
        ("learning_rate=1", r"'learning_rate'.*'training\.learning_rate'"),
        ("trainin.max_steps=1", "'trainin'.*'training'"),
        ("data.batch=3", r"'data\.batch'.*data\.path"),
        ("training.output_dir=x", r"'training\.output_dir'.*'output\.output_dir'"),
        ("training.save_steps=3", r"'training\.save_steps'.*'checkpoint\.save_steps'"),
        ("training.max_steps=many", r"training\.max_steps .*whole number.*'many'"),
        ("training.max_steps=1.5", r"training\.max_steps .*whole number.*'1\.5'"),
        ("training.max_steps=true", r"training\.max_steps .*whole number.*'true'"),
        ("training.max_steps=[", r"training\.max_steps .*whole number.*'\['"),
        ("training.learning_rate=fast", r"training\.learning_rate .*number.*'fast'"),
        ("data.packing=maybe", r"data\.packing .*true or false.*'maybe'"),
        ("data.packing=1", r"data\.packing .*true or false.*'1'"),
        ("tokenizer.kind=bpee", r"tokenizer\.kind .*'bpe', 'byte_bpe', 'wordpiece', 'unigram'.*'bpee'.*'bpe'"),
        ("training.lr_scheduler_type=null", r"training\.lr_scheduler_type .*'noam'.*null"),
        ("model=tiny", "model .*mapping.*'tiny'"),
        ("model.config=3", r"model\.config .*mapping.*3"),
        ("model.preset.name=3", r"'model\.preset'.*'name'"),
        ("data.train={a: 1}", r"data\.train .*list.*{'a': 1}"),
        ("data.train=null", r"data\.train .*list.*null"),
        ("data.mixture=3", r"data\.mixture\[0\] .*mapping.*3"),
        ("data.test=[", r"data\.test.*'\['.*YAML"),
        ("no-value", "'no-value'.*="),
        ("training.accumulation=2", r"training\.accumulation .* training\.gradient_accumulation_steps"),
        ("training.bf16=true", r"training\.bf16 .* training\.precision: bf16"),
        ("checkpoint.save_optimizer=false", r"checkpoint\.save_optimizer .* checkpoint\.save_only_model, .*opposite"),
        ("checkpoint={every: 3}", r"checkpoint\.every .* checkpoint\.save_steps"),
    ],
)
def test_errors_name_the_field_the_value_and_the_nearest_or_legal_ones(override, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load_recipe("multi30k-en-de-tiny", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("body.train=frozen", "body .* backbone"),
        ("parent=x", "parent .* base_model"),
        ("rates.factor=2.6", r"rates\.factor .* rates\.layerwise_lr_decay"),
        ("evaluation.keep=last", r"evaluation\.keep .* evaluation\.load_best_model_at_end: true for"),
        ("training.lr=1", r"'training\.lr'"),
        ("task=clasification", "task .*'clasification'.*'classification'"),
        ("rates.layerwise_lr_decay=0.8", r"rates\.layerwise_lr_decay .*at least 1.*0\.8"),
        ("head.dropout=1", r"head\.dropout .*below 1.*1\.0"),
    ],
)
def test_errors_of_fine_tuning_recipes_name_the_field_and_the_value(override, message):
    with pytest.raises(ValueError, match=message):
        load_finetune_recipe(None, [override])


def test_all_errors_are_reported_at_once(tmp_path):
    (tmp_path / "wrong.yaml").write_text("training: {max_steps: 0, seed: x}\ndata: {packing: 3}\n")
    with pytest.raises(ValueError) as error:
        load_recipe(tmp_path / "wrong.yaml", ["evaluation.patience=0"])
    fields = [line.split()[0] for line in str(error.value).splitlines()]
    assert fields == ["training.max_steps", "training.seed", "data.packing", "evaluation.patience"]
    with pytest.raises(ValueError) as error:
        changes = ["checkpoint.save_total_limit=3", "training.learning_rate=1e-3", "data.reverse=true"]
        load_recipe("wmt14-en-de-base", changes)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    for line, field in zip(lines, ("checkpoint.average_last=5", "training.learning_rate=0.001", "data.reverse=true")):
        assert line.startswith(field)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name != "adapt"])
@pytest.mark.parametrize("limit", ["training.max_steps=20", "training.max_minutes=0.5"])
def test_a_recipe_of_the_package_is_shortened_in_one_step(name, limit):
    recipe = load_recipe(name, [limit])
    note = short_average(recipe.training, recipe.checkpoint)
    assert bool(note) == (limit.startswith("training.max_steps") and recipe.checkpoint.average_last > 1)


def test_errors_in_a_file_name_the_file(tmp_path):
    file = tmp_path / "recipe.yaml"
    for text in ("training: {max_steps: 0}", "trainin: {}", "training: 3", "training: {max_steps: 1, max_steps: 2}"):
        file.write_text(text)
        with pytest.raises(ValueError, match=re.escape(str(file))):
            load_recipe(file)
    for text in ("- 1\n", "", "text", "a: ]"):
        file.write_text(text)
        with pytest.raises(ValueError, match=re.escape(str(file))):
            load_recipe(file)


@pytest.mark.parametrize("kind", [Recipe, FinetuneRecipe])
def test_every_number_has_bounds(kind):
    for name, entry in fields_of(kind):
        numbers = {int, float} & {entry.type, *typing.get_args(entry.type)}
        assert bool(numbers) == ("validator" in entry.metadata), name


def bounded_fields():
    """Every bounded field of both recipes with a value outside of its bounds."""
    for kind, load, base in (
        (Recipe, load_recipe, "multi30k-en-de-tiny"),
        (FinetuneRecipe, load_finetune_recipe, None),
    ):
        for name, entry in fields_of(kind):
            if "validator" not in entry.metadata:
                continue
            (bounds,) = entry.metadata["validator"]
            outside = [
                bounds.above,
                bounds.below,
                bounds.at_least - 1 if bounds.at_least is not None else None,
                bounds.at_most + 1 if bounds.at_most is not None else None,
            ]
            yield kind, load, base, name, [value for value in outside if value is not None]


@pytest.mark.parametrize(
    ("load", "base", "name", "outside"),
    [pytest.param(*case, id=f"{kind.__name__}-{case[2]}") for kind, *case in bounded_fields()],
)
def test_values_outside_of_the_bounds_are_refused(load, base, name, outside):
    assert outside or name == "generation.length_penalty"
    for value in [*outside, float("nan"), float("inf"), float("-inf")]:
        with pytest.raises(ValueError, match=rf"{re.escape(name)} must be .*, not '?{re.escape(str(value))}"):
            load(base, [f"{name}={value}"])


def test_bounds_and_types_hold_in_python_too():
    with pytest.raises(StrictDataclassError, match=r"(?s)seed.*-1"):
        TrainingRecipe(seed=-1)
    recipe = load_recipe("multi30k-en-de-tiny")
    with pytest.raises(StrictDataclassError, match=r"(?s)max_steps.*0"):
        recipe.training.max_steps = 0
    with pytest.raises(StrictDataclassError, match=r"(?s)optim.*sgd"):
        recipe.training.optim = "sgd"
    recipe.training.max_minutes = 45  # a whole number is a number
    with pytest.raises(StrictDataclassError, match=r"(?s)average_last.*True"):
        recipe.training.average_last = True


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"training\.max_steps.*training\.max_minutes"),
        (
            ["training.max_steps=9", "model.initial_embeddings=cooccurrence", "model.start_from=runs/x"],
            r"model\.start_from='runs/x'.*model\.initial_embeddings='cooccurrence'",
        ),
        (
            [*END, "model.initial_embeddings=cooccurrence", "task=causal_lm", "data.streaming=true"],
            r"model\.initial_embeddings='cooccurrence'.*data\.streaming",
        ),
        ([*END, "training.lr_scheduler_type=cosine"], r"training\.lr_scheduler_type='cosine'.*training\.learning_rate"),
        (
            ["training.max_minutes=1", "training.lr_scheduler_type=linear", "training.learning_rate=1e-3"],
            r"training\.lr_scheduler_type='linear'.*training\.schedule_by: minutes",
        ),
        (
            [*END, "training.lr_scheduler_type=linear", "training.learning_rate=1e-3", "training.schedule_by=minutes"],
            r"training\.schedule_by='minutes'.*training\.max_minutes",
        ),
        (
            [*END, "task=causal_lm", "evaluation.metric_for_best_model=bleu"],
            r"evaluation\.metric_for_best_model='bleu'.*translation",
        ),
        ([*END, "task=masked_lm", "tokenizer.dropout=0.1"], r"tokenizer\.dropout=0\.1.*'masked_lm'.*null"),
        ([*END, "evaluation.patience=3"], r"evaluation\.patience=3.*evaluation\.eval_steps"),
        ([*END, "checkpoint.average_last=5"], r"checkpoint\.average_last=5.*checkpoint\.save_steps"),
        (
            [*END, "checkpoint.average_last=5", "checkpoint.save_steps=2", "checkpoint.save_total_limit=2"],
            r"checkpoint\.save_total_limit=2 .*checkpoint\.save_total_limit to 5",
        ),
        ([*END, "training.learning_rate=1e-3"], r"training\.learning_rate=0\.001.*training\.learning_rate_scale"),
    ],
)  # fmt: skip
def test_contradictions_are_found_before_any_work(overrides, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(None, overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.config.hidden_sise=4"], "hidden_sise.*'hidden_size'"),
        (["model.preset=tinny"], "'tinny'.*'tiny'"),
        (["model.preset=bert_base"], "'bert_base'.*base, big, speech_small, tiny"),
        (["model.config.vocab_size=5"], "vocab_size.*tokenizer"),
        (["model.config.num_attention_heads=3"], "num_attention_heads=3"),
        (["model.config.dropout=2.0"], "dropout.*2.0"),
    ],
)
def test_wrong_fields_of_the_model_are_found(overrides, message):
    recipe = load_recipe("multi30k-en-de-tiny", overrides)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        build_config(recipe, {"vocab_size": 100})


def test_unknown_recipes_are_reported_with_the_nearest(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'multi30k-en-de-tyni'.*'multi30k-en-de-tiny'"):
        load_recipe("multi30k-en-de-tyni")
    with pytest.raises(FileNotFoundError, match=r"missing\.yaml"):
        load_recipe(tmp_path / "missing.yaml")


def test_overrides_are_typed_and_later_ones_win():
    recipe = load_recipe(
        "multi30k-en-de-tiny",
        [
            "training.learning_rate=1e-3",  # YAML alone would read this as text
            "training.max_steps=1_000",
            "training.max_steps=2e3",
            "model.config.dropout=25e-2",
            "data.validation=dev",
            "data.packing=yes",
            "evaluation.eval_steps=null",
            "evaluation={patience: null, num_beams: 2}",
            "evaluation.max_rows=7",
        ],
    )
    assert recipe.training.learning_rate == 1e-3
    assert recipe.training.max_steps == 2000
    assert recipe.model.config == {"initializer": "normal", "dropout": 0.25, "label_smoothing": 0.1}
    assert recipe.data.validation == ["dev"]
    assert recipe.data.packing is True
    assert recipe.evaluation.eval_steps is None
    assert (recipe.evaluation.num_beams, recipe.evaluation.max_rows) == (2, 7)


@pytest.mark.parametrize("text", TRICKY_TEXTS)
def test_text_on_the_command_line_stays_text(text, tmp_path):
    fields = ["data.label_separator", "data.source", "data.label", "output.output_dir", "base_model"]
    recipe = load_finetune_recipe(None, [f"{name}={text}" for name in fields])
    assert recipe.data.label_separator == recipe.data.source == recipe.data.label == text
    assert recipe.output.output_dir == recipe.base_model == text
    if not text.startswith(("[", "{")):
        recipe = load_finetune_recipe(None, [f"data.train={text}", *(f"{name}={text}" for name in fields)])
        assert recipe.data.train == [text]
    recipe.save(tmp_path / "recipe.yaml")
    assert load_finetune_recipe(tmp_path) == recipe


def test_null_is_no_value_where_the_field_permits_it():
    recipe = load_finetune_recipe(None, ["data.label=null", "data.label_separator=~", "data.source=null", "data.text="])
    assert recipe.data.label is recipe.data.label_separator is None
    assert (recipe.data.source, recipe.data.text) == ("null", "")


def test_text_in_a_file_stays_text(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "data: {source: no, target: yes, label: 0, label_separator: 1e3, text: 010, tokens: 2020-01-01, tags: '#',\n"
        "       test: [no, 2016, null_], encoding: ~x, config: null}\n"
        "description: >\n  two\n  lines\n"
    )
    data = load_finetune_recipe(file).data
    assert (data.source, data.target, data.label, data.label_separator) == ("no", "yes", "0", "1e3")
    assert (data.text, data.tokens, data.tags, data.encoding) == ("010", "2020-01-01", "#", "~x")
    assert data.test == ["no", "2016", "null_"] and data.config is None
    file.write_text("data: {source: null}")
    with pytest.raises(ValueError, match=r"data\.source .*null"):
        load_finetune_recipe(file)


def test_anchors_and_merge_keys_of_yaml_work(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "evaluation: &small {num_beams: 2, max_rows: 5}\ngeneration: {num_beams: &beams 3}\n"
        "training: {max_steps: *beams}\n"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.training.max_steps == recipe.generation.num_beams == 3
    (tmp_path / "recipe.yaml").write_text(
        "evaluation: &beams {num_beams: 2}\ngeneration: {<<: *beams, max_extra_tokens: 9}\ntraining: {max_steps: 3}\n"
    )
    generation = load_recipe(tmp_path / "recipe.yaml").generation
    assert (generation.num_beams, generation.max_extra_tokens) == (2, 9)


@pytest.mark.parametrize("value", ["no", "a #1", 3, 0.25, 1e-9, True, None, ["a", "no", "0"], {"a": 1}])
def test_values_survive_as_overrides(value):
    name = {str: "data.source", int: "training.max_steps", float: "training.weight_decay", bool: "data.packing",
            type(None): "data.path", list: "data.train", dict: "model.config"}[type(value)]  # fmt: skip
    found = load_recipe("multi30k-en-de-tiny", [as_override(name, value)])
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize("kind", [Recipe, FinetuneRecipe])
def test_every_field_is_described(kind):
    listed = field_list(kind)
    for name, entry in fields_of(kind):
        owner = kind
        for part in name.split(".")[:-1]:
            owner = typing.get_type_hints(owner)[part]
        assert field_descriptions(owner)[entry.name].endswith("."), name
        assert re.search(rf"^{re.escape(name)} = .* \(.+\)$", listed, re.MULTILINE), name
    assert {entry.name for entry in dataclasses.fields(kind)} >= {"task", "data", "training", "evaluation", "output"}


def test_a_field_is_listed_with_default_type_and_bounds():
    listed = field_list(FinetuneRecipe).splitlines()
    assert "training.num_train_epochs = 4.0    (number or null, above 0)" in listed
    assert "backbone.train = full    (full | frozen | lora)" in listed
    assert "data.validation = [validation, valid, dev]    (list of texts)" in listed


def test_both_recipes_share_their_sections():
    shared = {entry.name for entry in dataclasses.fields(TrainingSection)}
    assert {"num_train_epochs", "max_steps", "max_minutes", "average", "ema_decay", "precision"} <= shared
    for module in (training_recipe, finetuning_recipe):
        recipe = getattr(module, "Recipe", None) or module.FinetuneRecipe
        assert isinstance(recipe().training, TrainingSection) and isinstance(recipe().evaluation, EvaluationSection)


def test_every_task_of_fine_tuning_is_a_class():
    assert set(TASKS) == set(typing.get_args(typing.get_type_hints(FinetuneRecipe)["task"]))
    for name, place in TASKS.items():
        file, owner = place.split(".")
        module = importlib.import_module(f"hf_vanilla_transformer.training.finetuning.tasks.{file}")
        assert getattr(module, owner).name == name
