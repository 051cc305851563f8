"""Runs, recipes, splits and licenses that do not fit a command: one line that says what there is and what to type."""

import json
import shutil

import pytest
import yaml
from transformers import AutoTokenizer

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.data.readers.splits import choose_split
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe, load_finetune_recipe
from hf_vanilla_transformer.training.recipes.recipe_kind import command_of
from hf_vanilla_transformer.training.recipes.training_recipe import Recipe, load_recipe
from hf_vanilla_transformer.training.run_folder import check_resumed_by

from ..training.toy import causal_lm_recipe, toy_recipe, write_pairs, write_texts

SPLITS = ("validation", "test")
RECIPES = {
    "train": lambda: Recipe().to_dict(),
    "pretrain": lambda: Recipe(task="masked_lm").to_dict(),
    "adapt": lambda: Recipe().to_dict() | {"adaptation": {"base_model": "runs/base"}},
    "finetune": lambda: FinetuneRecipe(base_model="runs/base").to_dict(),
}


def one_line(capsys, *arguments):
    """The error of a command that is refused."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1, printed
    return printed


@pytest.mark.parametrize("owner", RECIPES)
@pytest.mark.parametrize("command", RECIPES)
def test_a_run_is_resumed_by_the_command_that_made_it(command, owner, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPES[owner]()))
    if {command, owner} <= {"train", "pretrain"} or command == owner:
        check_resumed_by(command, tmp_path)
        return
    printed = one_line(capsys, command, "--resume", tmp_path)
    typed = {"pretrain": "train"}.get(owner, owner)
    assert f"hf-vanilla {typed} --resume {tmp_path}" in printed


def test_what_is_no_run_is_named(tmp_path, capsys):
    assert "There is no folder" in one_line(capsys, "train", "--resume", tmp_path / "nothing")
    (tmp_path / "config.json").write_text("{}")
    assert "it is the folder of a model" in one_line(capsys, "finetune", "--resume", tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPES["train"]()))
    (tmp_path / "model").mkdir()
    assert f"--resume {tmp_path}.\n" in one_line(capsys, "train", "--resume", tmp_path / "model")


def test_a_recipe_of_another_command_is_named(tmp_path, capsys):
    for name, content in RECIPES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content()))
        assert command_of(content()) == {"pretrain": "train"}.get(name, name)
    printed = one_line(capsys, "train", "--recipe", tmp_path / "finetune.yaml", "--output", tmp_path / "out")
    assert "is a recipe of hf-vanilla finetune" in printed
    for name in ("train", "adapt"):
        with pytest.raises(ValueError, match=rf"is a recipe of hf-vanilla {name}"):
            load_finetune_recipe(tmp_path / f"{name}.yaml")
    (tmp_path / "part.yaml").write_text("training: {max_steps: 3}\n")
    assert load_recipe(tmp_path / "part.yaml").training.max_steps == 3
    assert load_finetune_recipe(tmp_path / "part.yaml").training.max_steps == 3
    printed = one_line(capsys, "train", "--recipe", tmp_path / "train.yaml", "--task", "x")
    assert "Did you mean --set task=VALUE?" in printed


@pytest.mark.parametrize(
    ("field", "value", "bound"),
    [
        ("tokenizer.vocab_size", "10000000000", "1,000,000"),
        ("data.max_length", "1e13", "1,000,000"),
        ("training.max_steps", "1e24", "1,000,000,000"),
        ("training.dataloader_num_workers", "100000", "1,024"),
        ("training.average_last", "1e6", "1,000"),
        ("checkpoint.save_total_limit", "1e12", "1,000,000"),
    ],
)
def test_numbers_of_a_recipe_have_bounds(field, value, bound, capsys):
    printed = one_line(capsys, "train", "--recipe", "multi30k-en-de-tiny", "--dry-run", f"--{field}", value)
    assert f"{field} must be at least" in printed and f"at most {bound}, not {int(float(value))}" in printed


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path, capsys):
    toy_recipe(write_pairs(tmp_path / "pairs"), tmp_path / "run").save(tmp_path / "toy.yaml")
    causal_lm_recipe(write_texts(tmp_path / "texts"), tmp_path / "run").save(tmp_path / "lm.yaml")
    there = rf"data.path='{tmp_path / 'pairs'}' has no split 'nix'; it has 'test', 'train', 'validation'"
    for split in ("train", "validation", "test"):
        printed = one_line(
            capsys, "train", "--recipe", tmp_path / "toy.yaml", f"--data.{split}", "nix", "--output", tmp_path / "out"
        )
        assert there in printed and (f"data.{split}=[]" in printed) == (split != "train")
    printed = one_line(
        capsys, "train", "--recipe", tmp_path / "lm.yaml", "--data.path", tmp_path / "texts" / "train.txt",
        "--data.validation", "nix", "--output", tmp_path / "out",
    )  # fmt: skip
    assert "is a single file without splits" in printed and not (tmp_path / "out").exists()
    rows = [json.dumps({"text": f"a {number}", "label": "ab"[number % 2]}) for number in range(8)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    (tmp_path / "test.jsonl").write_text("\n".join(rows))
    # A name that is tried without knowing the data may be missing, and a file beside the data is a split.
    fields = {"path": tmp_path / "rows.jsonl", "test": tmp_path / "test.jsonl"}
    data = load_finetune_recipe(None, [f"data.{name}={value}" for name, value in fields.items()]).data
    splits = {split: choose_split(data.path, None, getattr(data, split), split, required=False) for split in SPLITS}
    assert splits == {"validation": None, "test": (str(fields["test"]), "test")}


def test_a_card_has_a_license_of_the_hub_and_a_tokenizer_that_fits(tmp_path, seq2seq, capsys):
    folder = tmp_path / "model"
    shutil.copytree(seq2seq, folder)
    card = ("card", folder, "--output", tmp_path / "card.md")
    assert "license='foo' is not one of the Hub's identifiers" in one_line(capsys, *card, "--license", "foo")
    assert "license='bar'" in one_line(capsys, *card, "--set", "license=bar")
    assert main([*map(str, card), "--license", "MIT"]) == 0
    assert "license: mit\n" in (tmp_path / "card.md").read_text()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    publish = ("publish", folder, "me/tiny", "--dry-run", "--output", tmp_path / "out")
    for arguments in (card, publish):
        assert "such as '<new>', but the model has vocab_size=" in one_line(capsys, *arguments, "--license", "mit")
