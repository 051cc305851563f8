"""The folder of a Space: its metadata is valid, and its page runs with the copied package."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import RepoCard

from hf_vanilla_transformer.commands.main import main

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
    assert main(given) == 2
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
