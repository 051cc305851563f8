"""The page as a Space of the Hub: a folder that runs there as it stands."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import hf_vanilla_transformer

from ..files import folder_aside
from .page import import_gradio

_APP = '''\
"""The page of {name}. Made by `hf-vanilla demo`."""

from pathlib import Path

from hf_vanilla_transformer.web import ModelOnPage, build_page

MODEL = {model}
EXAMPLES = {examples}

page = build_page(ModelOnPage.load(MODEL, name={name!r}{languages}), examples=EXAMPLES)

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

A page for the model: type a text and see the answers of the model, how likely it finds them, and what its attention
looks at, layer by layer and head by head. Made with `hf-vanilla demo`.

On your own machine: `pip install -r requirements.txt gradio=={gradio}` and `python app.py`.
"""


def write_space(
    model: str,
    folder: str | Path,
    *,
    examples: list[str] | None = None,
    name: str = "",
    source_language: str | None = None,
    target_language: str | None = None,
) -> Path:
    """Writes a folder with which a Space shows a model.

    It holds `app.py`, `requirements.txt`, `README.md` with the metadata of a Space, and a copy of this package, so that
    the Space does not depend on where the package can be installed from. A model that is a folder is copied as well.

    Args:
        model: folder of a model, or its name on the Hub.
        folder: what to write; new or empty.
        examples: texts to choose from on the page.
        name: of the page; the last part of `model` if empty.
        source_language: code of the language of the sources, for models that know many.
        target_language: code of the language to translate into, for the same.

    Returns:
        `folder`.

    Raises:
        ValueError: `folder` holds something.
        FileNotFoundError: `model` is no folder of a model, and no name.
        ImportError: Gradio is not installed, so its version is not known.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something: remove it, or choose another folder for the Space.")
    gradio = import_gradio()
    source = Path(model)
    is_folder = source.is_dir()
    if is_folder and not (source / "config.json").is_file():
        raise FileNotFoundError(f"{model} has no config.json, so it is no model's folder.")
    if not is_folder and (model.count("/") != 1 or model.startswith((".", "/", "~"))):
        raise FileNotFoundError(f"There is no folder {model}, and it is no name on the Hub, such as user/model.")
    name = name or source.resolve().name if is_folder else name or model.rsplit("/", 1)[-1]
    with folder_aside(folder) as aside:
        if is_folder:
            _copy_model(source, aside / "model")
        _copy_package(aside)
        place = 'str(Path(__file__).resolve().with_name("model"))' if is_folder else repr(model)
        given = {"source_language": source_language, "target_language": target_language}
        languages = "".join(f", {option}={code!r}" for option, code in given.items() if code is not None)
        shown = json.dumps(examples or [], ensure_ascii=False)
        app = _APP.format(name=name, model=place, examples=shown, languages=languages)
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
    """Our dependencies without the extras, each at the version that is installed here, where the page was tried."""
    needed = (Requirement(line) for line in requires(hf_vanilla_transformer.__name__) or [])
    names = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    # Builds of torch have a local version, such as +cpu, that the package index does not know.
    return [f"{name}=={Version(version(name)).public}" for name in names]


def _copy_package(folder: Path) -> None:
    package = Path(hf_vanilla_transformer.__file__).parent
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def _copy_model(source: Path, folder: Path) -> None:
    """The files of a model: not the runs and checkpoints that may lie in folders beside them."""
    folder.mkdir()
    for path in sorted(source.iterdir()):
        # Training states are pickles, and no part of a model.
        if path.is_file() and path.suffix not in (".pt", ".bin", ".pth", ".pkl"):
            shutil.copy2(path, folder / path.name)
