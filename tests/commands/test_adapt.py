"""`hf-vanilla adapt`: from a base model and text to a folder that reports what the model learned and forgot."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.hub import export_folder
from hf_vanilla_transformer.training import TrainingResult
from hf_vanilla_transformer.training.adaptation.adaptation_run import AdaptationRun
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

from ..training.adaptation.conftest import causal_base, domain, general  # noqa: F401

QUICK = [
    "--training.num_train_epochs", "null", "--training.max_steps", "8", "--training.tokens_per_batch", "96",
    "--training.warmup_steps", "2", "--training.logging_steps", "4", "--evaluation.eval_steps", "4",
    "--data.hold_out", "12",
]  # fmt: skip


def test_a_base_model_is_adapted(causal_base, domain, general, tmp_path, capsys):  # noqa: F811
    output = tmp_path / "adapted"
    assert main(["adapt", str(causal_base), "--data.path", str(domain), "--output", str(output), *QUICK,
                 "--adaptation.replay", "0.25", "--adaptation.l2_sp", "2"]) == 0  # fmt: skip
    printed = capsys.readouterr().err
    assert "Gain over the base model: domain perplexity" in printed and "general perplexity" in printed
    assert "| base model | 0 |" in printed

    recipe = load_recipe(output)
    # Task, length and general text are those of the base model.
    assert (recipe.task, recipe.data.max_length) == ("causal_lm", 24)
    assert recipe.adaptation.general.path == str(general)
    results = json.loads((output / "results.json").read_text())
    history = results["adaptation"]["history"]
    assert [(point["when"], point["step"]) for point in history] == [
        ("base model", 0), ("training", 4), ("training", 8), ("after", 8),
    ]  # fmt: skip
    assert all(point["general"]["perplexity"] > 1 and point["domain"]["perplexity"] > 1 for point in history)
    assert results["adaptation"]["gain"]["domain"] > 0
    assert results["validation_domain_perplexity_after"] < results["validation_domain_perplexity_before"]
    assert (output / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "perplexity.md").read_text().startswith("|")

    card = (output / "model" / "README.md").read_text()
    assert f"The training started from `{causal_base.name}`" in card
    assert f"Adapted to `{domain.name}`, mixed with 25% of `{general.name}`" in card
    assert f"on `{general.name}`" in card  # what the base model was trained on
    assert "perplexity.png" in card and "domain_perplexity_after" in card
    assert (output / "model" / "perplexity.png").is_file()
    AutoModelForCausalLM.from_pretrained(output / "model")
    AutoTokenizer.from_pretrained(output / "model")
    # A run can be adapted again; its lineage then names both.
    again = tmp_path / "again"
    assert main(["adapt", str(output), "--data.path", str(general), "--output", str(again), *QUICK,
                 "--adaptation.general.path", str(general)]) == 0  # fmt: skip
    line = json.loads((again / "results.json").read_text())["adaptation"]["lineage"]
    assert line.index("adapted") < line.index(causal_base.name)


def test_a_dry_run_prints_the_plan_and_writes_nothing(causal_base, domain, tmp_path, capsys):  # noqa: F811
    output = tmp_path / "none"
    assert main(["adapt", str(causal_base), "--data.path", str(domain), "--output", str(output), *QUICK,
                 "--adaptation.new_words", "5", "--adaptation.replay", "0.5", "--dry-run",
                 "--adaptation.embeddings", "cooccurrence"]) == 0  # fmt: skip
    printed = capsys.readouterr().out
    for part in (
        "the next token",
        "new words",
        "50% of the training tokens",
        "co-occurrence directions of the domain's tokens",
        "after 8 updates",
        str(causal_base.name),
    ):
        assert part in printed
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "BASE_MODEL.*--resume"),
        (["nowhere/at/all"], "nowhere/at/all"),
        (["BASE", "--task.x", "1"], "task"),
        (["BASE", "--set", "task=masked_lm", "--set", "data.path=DOMAIN"], "'masked_lm'"),
        (["BASE", "--data.path", "DOMAIN", "--data.max_length", "512"], r"data\.max_length=512"),
        (["BASE", "--data.path", "DOMAIN", "--data.hold_out", "0"], r"data\.hold_out"),
        (["BASE", "--data.path", "DOMAIN", "--data.hold_out", "100"], r"hold_out"),
        (["BASE", "--data.path", "EMPTY"], "no .*row|No .*row|empty"),
        (
            ["BASE", "--data.path", "DOMAIN", "--data.hold_out", "9", "--adaptation.general.path", "EMPTY"],
            "[Gg]eneral.*empty|empty.*general",
        ),
        (
            ["BASE", "--data.path", "DOMAIN", "--adaptation.replay", "1"],
            r"adaptation\.replay must be .*below 1, not 1\.0",
        ),
        (
            ["BASE", "--data.path", "DOMAIN", "--adaptation.l2_sp", "-1"],
            r"adaptation\.l2_sp must be at least 0, not -1\.0",
        ),
        (
            ["BASE", "--data.path", "DOMAIN", "--adaptation.l2_sp", "1", "--training.weight_decay", "0.1"],
            r"training\.weight_decay=0\.1.*adaptation\.l2_sp=1\.0",
        ),
        (
            ["BASE", "--data.path", "DOMAIN", "--adaptation.l2_sp", "1e5"],
            r"adaptation\.l2_sp=100000\.0.*training\.learning_rate",
        ),
        (["BASE", "--data.path", "DOMAIN", "--evaluation.eval_steps", "null"], r"evaluation\.eval_steps=null"),
        (["BASE", "--data.path", "DOMAIN", "--model.start_from", "x"], r"model\.start_from \(x\)"),
        (["BASE", "--resume", "x"], "--resume x.*--output|--resume x.*BASE_MODEL"),
    ],
)
def test_mistakes_are_reported_before_the_work(arguments, message, causal_base, domain, tmp_path, capsys):  # noqa: F811
    import re

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "train.txt").write_text("\n  \n\n")
    places = {"BASE": causal_base, "DOMAIN": domain, "EMPTY": tmp_path / "empty"}
    for name, place in places.items():
        arguments = [argument.replace(name, str(place)) for argument in arguments]
    output = tmp_path / "none"
    status = main(["adapt", *arguments, "--output", str(output)])
    assert status in (1, 2)
    assert re.search(message, capsys.readouterr().err)
    assert not output.exists()


def test_replay_without_general_text(causal_base, domain, tmp_path, capsys):  # noqa: F811
    lonely = tmp_path / "published"
    lonely.mkdir()
    for file in causal_base.iterdir():
        if file.suffix in (".json", ".safetensors"):
            (lonely / file.name).write_bytes(file.read_bytes())
    arguments = ["adapt", str(lonely), "--data.path", str(domain), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--adaptation.replay", "0.1"]) == 2
    assert "adaptation.general.path" in capsys.readouterr().err
    # Without general text, forgetting is not measured.
    assert main([*arguments, *QUICK]) == 0
    history = json.loads((tmp_path / "out" / "results.json").read_text())["adaptation"]["history"]
    assert all("general" not in point for point in history)


def test_a_recipe_file_overrides_the_base_model(causal_base, domain, general, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "mine.yaml"
    tree = load_recipe("adapt").to_dict()
    tree["task"] = "causal_lm"
    tree["data"]["max_length"] = 16
    tree["data"]["path"] = str(domain)
    file.write_text(yaml.safe_dump(tree))
    arguments = ["adapt", str(causal_base), "--recipe", str(file), "--output", str(tmp_path / "out"), *QUICK]
    assert main(arguments) == 0
    assert load_recipe(tmp_path / "out").data.max_length == 16
    tree["task"] = "masked_lm"
    file.write_text(yaml.safe_dump(tree))
    arguments[arguments.index("--output") + 1] = str(tmp_path / "other")
    assert main(arguments) == 2
    assert "masked_lm" in capsys.readouterr().err


def test_train_refuses_the_recipe_of_an_adaptation(causal_base, domain, tmp_path, capsys):  # noqa: F811
    output = tmp_path / "out"
    assert main(["adapt", str(causal_base), "--data.path", str(domain), "--output", str(output), *QUICK]) == 0
    assert main(["train", "--recipe", str(output / "recipe.yaml"), "--output", str(tmp_path / "x")]) == 2
    assert "hf-vanilla adapt" in capsys.readouterr().err
    assert main(["adapt", "--resume", str(causal_base)]) == 2
    assert f"hf-vanilla train --resume {causal_base}" in capsys.readouterr().err


def test_the_card_names_base_model_and_data_of_the_hub(causal_base, domain, tmp_path):  # noqa: F811
    """The metadata contain the names of the base model and of the data sets."""
    model = AutoModelForCausalLM.from_pretrained(causal_base)
    tokenizer = AutoTokenizer.from_pretrained(causal_base)
    recipe = load_recipe(
        "adapt",
        ["task=causal_lm", "adaptation.base_model=someone/base", "data.path=someone/reviews", "adaptation.replay=0.25",
         "adaptation.general.path=someone/news"],
    )  # fmt: skip
    metrics = {"adaptation": {"lineage": "`someone/base`"}}
    run = AdaptationRun(recipe, None, tokenizer, model, None, None, facts_before=metrics["adaptation"])
    card = run.card_text(TrainingResult(tmp_path / "run", model, tokenizer))
    metadata = ModelCard.load(export_folder(model, tokenizer, tmp_path / "model", card=card) / "README.md").data
    assert metadata.base_model == "someone/base"
    assert metadata.datasets == ["someone/reviews", "someone/news"]
