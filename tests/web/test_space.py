"""The folder of a Space: its metadata is valid, and its page runs with the copied package."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import RepoCard

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.web.space import write_space

gradio = pytest.importorskip("gradio")

# Runs `app.py` as a Space does: from its own folder, with the package in that folder.
_RUN = """
import runpy, sys
sys.path.insert(0, ".")
app = runpy.run_path("app.py")
import hf_vanilla_transformer
print(hf_vanilla_transformer.__file__)
print(len(app["page"].fns), app["MODEL"])
"""


def test_a_space_of_a_model_folder_runs_without_changes(seq2seq, tmp_path, capsys):
    space = tmp_path / "space"
    given = ["demo", str(seq2seq), "--output", str(space), "--example", 'A "dog".']
    assert main(given) == 0
    assert "hf upload --repo-type space" in capsys.readouterr().out
    assert {path.name for path in space.iterdir()} == {
        "app.py",
        "requirements.txt",
        "README.md",
        "model",
        "hf_vanilla_transformer",
    }
    card = RepoCard.load(space / "README.md").data.to_dict()
    assert card["sdk"] == "gradio" and card["sdk_version"] == gradio.__version__ and card["app_file"] == "app.py"
    needed = (space / "requirements.txt").read_text().splitlines()
    assert any(line.startswith("torch==") and "+" not in line for line in needed)
    assert not any(line.startswith(("pytest", "ruff", "peft", "gradio")) for line in needed)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN], cwd=space, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    where, page = done.stdout.splitlines()[-2:]
    assert Path(where).is_relative_to(space)
    assert page.endswith(str(space / "model"))
    assert main(given) == 0  # the same content
    assert main([*given, "--example", "Another."]) == 2
    assert f"{space} of the Space is not empty" in capsys.readouterr().err


def test_a_space_of_a_hub_name_loads_the_model_from_the_hub(tmp_path):
    space = tmp_path / "space"
    assert main(["demo", "someone/some-model", "--output", str(space), "--example", "Ein Hund."]) == 0
    assert not (space / "model").exists()
    written = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((space / "app.py").read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id.isupper()
    }
    assert written == {"MODEL": "someone/some-model", "EXAMPLES": ["Ein Hund."]}
    metadata = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert metadata["models"] == ["someone/some-model"] and json.dumps(metadata["title"]) == '"some-model"'


def test_a_space_passes_the_languages_on(tmp_path):
    space = tmp_path / "space"
    given = ["demo", "facebook/nllb-200-distilled-600M", "--src-lang", "eng_Latn", "--tgt-lang", "kor_Hang"]
    assert main([*given, "--output", str(space)]) == 0
    app = (space / "app.py").read_text()
    assert "src_lang='eng_Latn', tgt_lang='kor_Hang')" in app
    ast.parse(app)


NAMES = ["'quoted'", '"""\nimport os\nos.abort()\n"""', "{braces} \\N{BULLET}", "a\n---\nsdk: docker", "\udcff"]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_model_is_text_and_never_code(name, tmp_path):
    folder = write_space("someone/model", tmp_path / "space", name=name, examples=[name], src_lang=name)
    app = ast.parse((folder / "app.py").read_text())
    strings = [node.value for node in ast.walk(app) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert name in strings
    expected = ast.parse(
        (write_space("someone/model", tmp_path / "plain", name="x", src_lang="x") / "app.py").read_text()
    )
    assert [type(node) for node in app.body] == [type(node) for node in expected.body]
    metadata = RepoCard.load(folder / "README.md").data.to_dict()
    assert metadata["sdk"] == "gradio" and metadata["app_file"] == "app.py"


def test_only_the_files_of_the_model_are_copied_and_no_links_out_of_its_folder(seq2seq, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(seq2seq, model)
    for name in (".env", "last.ckpt", "optimizer.pt", "notes.txt", "predictions_test.jsonl", "id_rsa"):
        (model / name).write_text("secret")
    space = write_space(str(model), tmp_path / "space")
    copied = {path.name for path in (space / "model").iterdir()}
    assert copied == {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} | {
        "tokenizer_config.json"
    }
    (tmp_path / "private").write_text("secret")
    (model / "vocab.txt").symlink_to(tmp_path / "private")
    with pytest.raises(ValueError, match=r"vocab\.txt is a link to .*private, outside of the folder"):
        write_space(str(model), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/folder", "--output", "x"], "model='no/such/folder'"),
        (["user/model", "--output", "x", "--steps", "3"], "--steps"),
        (["--port", "80"], "--port"),
        (["--tgt-lang", "fr_XX"], "--tgt-lang"),
    ],
)
def test_invalid_arguments_are_named(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
