"""What is a name on the Hub, and what is a local path."""

from pathlib import Path

import pytest

from hf_vanilla_transformer.hub_names import check_hub_name, check_repository_name, could_be_on_hub, is_hub_name

PATHS = [
    "",
    " ",
    "\t",
    ".",
    "..",
    "./model",
    "../model",
    ".hidden",
    "~",
    "~/model",
    "~user/model",
    "/model",
    "/home/user/model",
    "C:\\models\\bert",
    "C:/models/bert",
    "runs\\tiny",
    "one/two/three",
    "user/",
    "/user",
    "user//model",
    "user/model/",
    "user/my model",
    " user/model",
    "user/model ",
    "https://huggingface.co/user/model",
    "user/model.git",
    "user/a--b",
    "user/model.",
    "rows.csv",
    "data/rows.CSV",
    "corpus/train.jsonl",
    "texts.txt.gz",
    "recipe.yaml",
    "folder/model.safetensors",
    "x" * 97,
    None,
    Path("user/model"),
    Path("gpt2"),
]
NAMES = ["gpt2", "bert-base-uncased", "user/model", "user/model.v1", "User_1/my-model_2", "a/b", "user/corpus.raw"]


@pytest.mark.parametrize("name", PATHS, ids=repr)
def test_a_path_is_not_a_name_on_the_hub(name):
    assert not could_be_on_hub(name)
    assert not is_hub_name(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_on_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert could_be_on_hub(name)
    assert is_hub_name(name) == ("/" in name)
    check_hub_name(name, "model")


def test_a_local_folder_of_the_same_name_is_not_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("user/model").mkdir(parents=True)
    assert could_be_on_hub("user/model")
    assert not is_hub_name("user/model")
    assert is_hub_name("user/other")


@pytest.mark.parametrize("name", [name for name in PATHS if name is not None], ids=repr)
def test_the_error_names_field_and_value(name):
    with pytest.raises(FileNotFoundError) as error:
        check_hub_name(name, "data.path")
    assert f"data.path={str(name)!r}" in str(error.value)


@pytest.mark.parametrize("name", ["user/model", "user/table.csv"])
def test_a_name_to_publish_under(name):
    check_repository_name(name)


@pytest.mark.parametrize("name", ["", "gpt2", "./model", "one/two/three", "user/my model"], ids=repr)
def test_a_name_to_publish_under_has_a_user(name):
    with pytest.raises(ValueError) as error:
        check_repository_name(name)
    assert f"repository={name!r}" in str(error.value)
