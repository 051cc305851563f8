"""The page of a model as a Space: a folder that runs on the Hugging Face Hub without changes."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from importlib.metadata import requires, version
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from ..conversion.checkpoint_files import MODEL_FILES
from ..files import check_inside, folder_aside
from ..hub_names import check_hub_name
from .gradio_library import import_gradio

_PACKAGE = Path(__file__).parents[1]

_APP = '''\
"""The page of a model, written by `hf-vanilla demo`."""

from pathlib import Path

from hf_vanilla_transformer.web import PageModel, build_page, launch_page

MODEL = {model}
EXAMPLES = {examples!r}

page = build_page(PageModel.load(MODEL, name={name!r}{languages}), examples=EXAMPLES)

if __name__ == "__main__":
    launch_page(page)
'''

_README = """\
---
{metadata}---

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
    which the Space therefore need not install. If `model` is a folder, the files of the model in it are copied as well:
    configuration, weights and tokenizer, and nothing else.

    Args:
        model: folder of a model, or its name on the Hub.
        folder: the folder to write; new or empty. A Space with the same content stays as it is.
        examples: texts to choose from on the page.
        name: title of the page; the last part of `model` if empty.
        src_lang: code of the source language, for models that know several languages.
        tgt_lang: code of the target language, for the same models.

    Returns:
        `folder`.

    Raises:
        ValueError: `folder` is not empty, or a file of the model is a link to a place outside of its folder.
        FileNotFoundError: `model` is neither the folder of a model nor a name on the Hub.
        ImportError: Gradio, whose version the Space needs, is not installed.
    """
    folder = Path(folder)
    occupied = f"The folder {folder} of the Space is not empty: remove it, or choose another folder."
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "app.py").is_file())):
        raise ValueError(occupied)
    gradio = import_gradio()
    source = Path(model)
    is_folder = source.is_dir()
    if is_folder and not (source / "config.json").is_file():
        raise FileNotFoundError(f"The folder {model} has no config.json: give the folder of a saved model.")
    if not is_folder:
        check_hub_name(model, "model")
    name = name or (source.resolve().name if is_folder else model.rsplit("/", 1)[-1])
    if is_folder:
        check_inside(source, _model_files(source))
    # A name with a line break, or one that is not UTF-8, would end the heading or could not be written.
    name = " ".join(name.encode("utf-8", "replace").decode("utf-8").split())
    with folder_aside(folder, occupied=occupied) as aside:
        if is_folder:
            _copy_model(source, aside / "model")
        _copy_package(aside)
        model_code = 'str(Path(__file__).resolve().with_name("model"))' if is_folder else repr(model)
        options = {"src_lang": src_lang, "tgt_lang": tgt_lang}
        languages = "".join(f", {option}={code!r}" for option, code in options.items() if code is not None)
        app = _APP.format(name=name, model=model_code, examples=examples or [], languages=languages)
        if not is_folder:
            app = app.replace("from pathlib import Path\n\n", "")
        (aside / "app.py").write_text(app, encoding="utf-8")
        (aside / "requirements.txt").write_text("".join(f"{line}\n" for line in _requirements()), encoding="utf-8")
        metadata = {
            "title": name,
            "emoji": "🔎",
            "colorFrom": "blue",
            "colorTo": "gray",
            "sdk": "gradio",
            "sdk_version": gradio.__version__,
            "app_file": "app.py",
            **({} if is_folder else {"models": [model]}),
        }
        readme = _README.format(
            metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True),
            name=name,
            gradio=gradio.__version__,
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
    """Copies the files that an installation has, too; a checkout may contain others."""

    def others(_: str, names: list[str]) -> set[str]:
        return {name for name in names if name == "__pycache__" or Path(name).suffix not in ("", ".py", ".yaml", ".md")}

    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=others)


def _copy_model(source: Path, folder: Path) -> None:
    folder.mkdir()
    for path in _model_files(source):
        shutil.copy2(path, folder / path.name)


def _model_files(source: Path) -> list[Path]:
    """The files of a folder that belong to its model. Others, such as states of a training, stay where they are."""
    return sorted(
        path
        for path in source.iterdir()
        if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in MODEL_FILES)
    )
