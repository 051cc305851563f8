"""Loading a model for a task: errors of one line, devices, and no code of a model without permission."""

import ast
import io
import json
import sys
from pathlib import Path

import pytest

import hf_vanilla_transformer
from hf_vanilla_transformer.device import check_device
from hf_vanilla_transformer.pipelines.loading import load_model

from ..tiny_models import tiny_folder

PACKAGE = Path(hf_vanilla_transformer.__file__).parent


def test_every_load_passes_its_decision_about_the_code_of_a_model():
    """Without a decision, transformers asks on standard input, where the answer may be a line of the user's text."""
    loads = [
        (f"{path.name}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", None) == "from_pretrained"
        and path.name != "safe_loading.py"  # whose argument is a dictionary
    ]
    assert loads and not [place for place, arguments in loads if "trust_remote_code" not in arguments]


def test_weights_are_loaded_in_one_place_that_unpickles_nothing():
    """Exports read back what they have just written, and sharding reads no file. The rest calls `load_pretrained`."""
    own = {"safe_loading.py", "sharding.py", "to_onnx.py", "to_gguf.py", "to_transformers.py"}
    others = [
        f"{path.name}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", None) == "from_pretrained"
        and not ast.unparse(node.func).removeprefix("transformers.").startswith(("AutoConfig.", "AutoTokenizer."))
        and path.name not in own
    ]
    assert not others


def with_code(folder, file, auto_map):
    """Adds Python code to a model, which leaves a trace if it runs."""
    trace = folder / "trace"
    (folder / "own_code.py").write_text(f"open({str(trace)!r}, 'w').close()\nclass Own: pass\n", encoding="utf-8")
    content = json.loads((folder / file).read_text(encoding="utf-8"))
    content |= auto_map
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    return trace


CODE = {
    "config.json": {"model_type": "own", "auto_map": {"AutoConfig": "own_code.Own"}},
    "tokenizer_config.json": {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own_code.Own", None]}},
}


@pytest.mark.parametrize("file", CODE)
def test_the_code_of_a_model_neither_runs_nor_asks_without_permission(file, tmp_path, monkeypatch):
    folder = tiny_folder(tmp_path / "model", "encoder")
    trace = with_code(folder, file, CODE[file])
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\ny\n1\n"))
    try:
        load_model(str(folder), "AutoModelForMaskedLM", purpose="a test")
    except ValueError as error:
        assert "--trust-remote-code" in str(error)
    assert not trace.exists() and sys.stdin.read() == "yes\ny\n1\n"


def test_a_device_that_does_not_exist_is_refused_by_name(tmp_path):
    check_device("cpu")
    for name in ("gpu", "cuda:99", "cpu:3", ""):
        with pytest.raises(ValueError, match=rf"{name!r}.*cpu"):
            check_device(name)


def test_a_folder_without_a_model_is_explained(tmp_path):
    def load(source):
        load_model(str(source), "AutoModelForMaskedLM", purpose="a test")

    with pytest.raises(FileNotFoundError, match="no/such/folder"):
        load("no/such/folder")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load(tmp_path)
    (tmp_path / "recipe.yaml").write_text("task: translation\n", encoding="utf-8")
    with pytest.raises(ValueError, match="--resume"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"recipe\.yaml is a file"):
        load(tmp_path / "recipe.yaml")
    folder = tiny_folder(tmp_path / "model", "encoder")
    load(tmp_path)  # the folder of a run, whose model is in its subfolder
    for file, damaged in (("model.safetensors", b"x" * 40), ("config.json", b"{"), ("tokenizer.json", b"{}")):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(damaged)
        with pytest.raises((ValueError, OSError), match=str(folder)):
            load(folder)
        (folder / file).write_bytes(content)
    load(folder)
