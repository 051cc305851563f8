"""The page of a model as a Space: a folder that runs on the Hugging Face Hub without changes."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from ..files import folder_aside
from ..hub_names import check_hub_name
from .page import import_gradio

_PACKAGE = Path(__file__).parents[1]

_APP = '''\
"""The page of {name}, written by `hf-vanilla demo`."""

from pathlib import Path

from hf_vanilla_transformer.web import PageModel, build_page

MODEL = {model}
EXAMPLES = {examples}

page = build_page(PageModel.load(MODEL, name={name!r}{languages}), examples=EXAMPLES)

if __name__ == "__main__":
    page.launch()
'''

_README = """\
---
title: {title}
emoji: 🔎
colorFrom: blue
colorTo: gray
sdk: gradio
sdk_version: {gradio}
app_file: app.py
{models}---

# {name}

A page for the model: type a text to see the predictions of the model, their probabilities, and the attention weights of
each layer and head. Written by `hf-vanilla demo`.

To run it on your own machine: `pip install -r requirements.txt gradio=={gradio}` and `python app.py`.
"""


def write_space(
    model: str,
    folder: str | Path,
    *,
    examples: list[str] | None = None,
    name: str = "",
    src_lang: str | None = None,
    tgt_lang: str | None = None,
) -> Path:
    """Writes the folder of a Space that shows a model.

    It contains `app.py`, `requirements.txt`, `README.md` with the metadata of the Space, and a copy of this package,
    which the Space therefore need not install. If `model` is a folder, its files are copied as well.

    Args:
        model: folder of a model, or its name on the Hub.
        folder: the folder to write; new or empty.
        examples: texts to choose from on the page.
        name: title of the page; the last part of `model` if empty.
        src_lang: code of the source language, for models that know several languages.
        tgt_lang: code of the target language, for the same models.

    Returns:
        `folder`.

    Raises:
        ValueError: `folder` is not empty.
        FileNotFoundError: `model` is neither the folder of a model nor a name on the Hub.
        ImportError: Gradio, whose version the Space needs, is not installed.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"The folder {folder} of the Space is not empty: remove it, or choose another folder.")
    gradio = import_gradio()
    source = Path(model)
    is_folder = source.is_dir()
    if is_folder and not (source / "config.json").is_file():
        raise FileNotFoundError(f"The folder {model} has no config.json: give the folder of a saved model.")
    if not is_folder:
        check_hub_name(model, "model")
    name = name or source.resolve().name if is_folder else name or model.rsplit("/", 1)[-1]
    with folder_aside(folder) as aside:
        if is_folder:
            _copy_model(source, aside / "model")
        _copy_package(aside)
        model_code = 'str(Path(__file__).resolve().with_name("model"))' if is_folder else repr(model)
        options = {"src_lang": src_lang, "tgt_lang": tgt_lang}
        languages = "".join(f", {option}={code!r}" for option, code in options.items() if code is not None)
        examples_code = json.dumps(examples or [], ensure_ascii=False)
        app = _APP.format(name=name, model=model_code, examples=examples_code, languages=languages)
        if not is_folder:
            app = app.replace("from pathlib import Path\n\n", "")
        (aside / "app.py").write_text(app, encoding="utf-8")
        (aside / "requirements.txt").write_text("".join(f"{line}\n" for line in _requirements()), encoding="utf-8")
        readme = _README.format(
            title=json.dumps(name, ensure_ascii=False),
            name=name,
            gradio=gradio.__version__,
            models="" if is_folder else f"models:\n- {model}\n",
        )
        (aside / "README.md").write_text(readme, encoding="utf-8")
    return folder


def _requirements() -> list[str]:
    """The dependencies of this package without extras, each with the version that is installed here."""
    needed = (Requirement(line) for line in requires(_PACKAGE.name) or [])
    names = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    # torch may have a local version, such as +cpu, that the package index does not know.
    return [f"{name}=={Version(version(name)).public}" for name in names]


def _copy_package(folder: Path) -> None:
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def _copy_model(source: Path, folder: Path) -> None:
    """Copies the files of a model without subfolders, which may contain runs and checkpoints."""
    folder.mkdir()
    for path in sorted(source.iterdir()):
        # These suffixes belong to training states, which are pickles.
        if path.is_file() and path.suffix not in (".pt", ".bin", ".pth", ".pkl"):
            shutil.copy2(path, folder / path.name)
