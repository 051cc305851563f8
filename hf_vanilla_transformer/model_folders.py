"""Where the model of a run is: in its output folder, or in the subfolder `model` of it."""

from __future__ import annotations

from pathlib import Path

_CONFIG = "config.json"
_RECIPE = "recipe.yaml"
_SUBFOLDER = "model"


def model_folder(source: str | Path) -> str | Path:
    """The folder with the files of a model: `source` itself, or its subfolder `model`, if only that has a model.

    A name on the Hub, and every other name without a model, is returned unchanged: what loads the model knows best what
    to say about it.

    Raises:
        ValueError: `source` is the folder of a run that is not finished.
    """
    folder = Path(source)
    if (folder / _CONFIG).is_file():
        return source
    if (folder / _SUBFOLDER / _CONFIG).is_file():
        return folder / _SUBFOLDER
    if (folder / _RECIPE).is_file():
        raise ValueError(
            f"The run in {source} is not finished, so there is no model yet: continue it with --resume {source}."
        )
    return source
