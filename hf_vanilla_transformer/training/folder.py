"""The output folder of a run: what may be in it before, and what is in it after."""

from __future__ import annotations

from pathlib import Path

from .averaging import checkpoints
from .recipes.training_recipe import Recipe, load_recipe

RECIPE_FILE = "recipe.yaml"
METRICS_FILE = "metrics.jsonl"
CURVES_FILE = "curves.png"
RESULTS_FILE = "results.json"
TRANSLATIONS_FILE = "{split}.translations.txt"


def command_of(recipe: Recipe) -> str:
    """The command that runs a recipe, or goes on with it."""
    return "train" if recipe.adaptation.base_model is None else "adapt"


def check_new(folder: Path) -> None:
    """Raises ValueError, before any work, unless `folder` is new or empty."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file; choose another with --output.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if checkpoints(folder) and (folder / RECIPE_FILE).is_file():
        command = command_of(load_recipe(folder))
        raise ValueError(
            f"The output folder {folder} holds an earlier run, up to {checkpoints(folder)[-1].name}. Go on with it: "
            f"hf-vanilla {command} --resume {folder}. Or choose another folder with --output."
        )
    names = sorted(path.name for path in folder.iterdir())
    raise ValueError(
        f"The output folder {folder} holds something else ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}), "
        "which a run would mix with its own files; choose another with --output."
    )


def check_resumable(folder: Path, recipe: Recipe) -> Path:
    """The checkpoint from which a run of `recipe` in `folder` goes on.

    Raises:
        FileNotFoundError: there is no run, or it has no checkpoint.
        ValueError: what the weights or the data depend on differs from the saved recipe.
    """
    folder = Path(folder)
    if not (folder / RECIPE_FILE).is_file():
        raise FileNotFoundError(f"There is no run to resume in {folder}: it has no {RECIPE_FILE}.")
    found = checkpoints(folder)
    if not found:
        raise FileNotFoundError(f"The run in {folder} was interrupted before its first checkpoint; start it anew.")
    if not (found[-1] / "optimizer.pt").is_file():
        raise FileNotFoundError(
            f"{found[-1]} has no optimizer state (checkpoint.save_only_model was true), so the run cannot be resumed. "
            f"Its weights can start a new one: --model.start_from {found[-1]}."
        )
    before = load_recipe(folder).to_dict()
    now = recipe.to_dict()
    for section in ("task", "model", "tokenizer", "data", "objective", "adaptation"):
        if before[section] != now[section]:
            raise ValueError(
                f"The recipe's {section} is {now[section]}, but the run in {folder} had {before[section]} and "
                "cannot go on with another; leave it as it was, or start a new run."
            )
    return found[-1]
