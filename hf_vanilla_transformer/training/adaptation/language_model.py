"""The base model of an adaptation: a language model with its head, its tokenizer, and the settings of its recipe."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...conversion import from_checkpoint
from ...conversion.checkpoint import MissingHeadError, find_class
from ...conversion.checkpoint_files import CheckpointSource
from ...conversion.checkpoint_tokenizer import load_tokenizer
from ...conversion.families import FAMILIES
from ...conversion.loading_report import no_loading_report
from ...conversion.safe_loading import load_pretrained
from ...hub.local_paths import strip_path
from ...model_folders import model_folder
from ...untrusted_files import read_yaml
from ..finetuning.base_model import STACKS, give_padding, recipe_of
from ..model import CLASSES
from ..recipes.adaptation_recipe import DEFAULT_RECIPE
from ..recipes.objective import OBJECTIVES
from ..recipes.reading import as_override, recipe_file
from ..recipes.training_recipe import Recipe, load_recipe

logger = logging.getLogger(__name__)

# The head of each stack that predicts tokens, as `from_checkpoint` names it.
_HEADS = {"vanilla_encoder": "masked-lm", "vanilla_decoder": "causal-lm", "vanilla_transformer": "seq2seq-lm"}
_WORDS = {
    "vanilla_encoder": "an encoder (as BERT)",
    "vanilla_decoder": "a decoder (as GPT)",
    "vanilla_transformer": "an encoder-decoder",
}
# Stacks with a single task; an encoder-decoder has several.
_ONLY_TASK = {"vanilla_encoder": "masked_lm", "vanilla_decoder": "causal_lm"}
_DEFAULT_LENGTH = 256


@dataclass
class LanguageModel:
    """A model that predicts tokens, its tokenizer, and whether its head is random."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    new_head: bool = False


def base_model_stack(source: str | Path) -> str:
    """The `model_type` that a base model has or converts to, from its config.json alone.

    Raises:
        FileNotFoundError: the folder or model does not exist.
        ValueError: the model cannot be converted to one of our stacks.
    """
    where = CheckpointSource(str(model_folder(source)))
    kind = where.config().get("model_type")
    if kind in STACKS:
        return kind
    if kind in FAMILIES:
        return FAMILIES[kind].stack
    return find_class(where, None)[0].stack  # raises the ValueError


def base_model_settings(source: str | Path) -> dict[str, Any]:
    """Default values of an adaptation that come from its base model, by dotted name of the recipe field.

    Task, objective, length, packing and direction are taken from the base model's recipe, if it has one. The general
    text is the base model's training text, if it still exists at that path.

    Raises:
        FileNotFoundError, ValueError: see `base_model_stack`.
    """
    stack = base_model_stack(source)
    before = recipe_of(str(source))
    data = before.get("data") or {}
    found: dict[str, Any] = {}
    if stack in _ONLY_TASK:
        found["task"] = _ONLY_TASK[stack]
    elif before.get("task") in OBJECTIVES.values():
        found["task"] = before["task"]
    if before.get("task") == found.get("task"):
        for name, value in (before.get("objective") or {}).items():
            found[f"objective.{name}"] = value
        for name in ("max_length", "packing", "reverse"):
            if data.get(name) is not None:
                found[f"data.{name}"] = data[name]
    if "data.max_length" not in found:
        longest = longest_row(source)
        found["data.max_length"] = _DEFAULT_LENGTH if longest is None else min(_DEFAULT_LENGTH, longest)
    if not data.get("path") and data.get("mixture"):  # use its first source
        source_of_general = dict(data["mixture"][0])
        split = source_of_general.pop("split", data.get("train"))
        data = {**data, **source_of_general, "train": [split] if isinstance(split, str) else split}
    # The recipe of a published model holds only the last part of the path, which does not exist here.
    if found.get("task") in OBJECTIVES.values() and data.get("path") and Path(data["path"]).exists():
        for name in ("path", "config", "text_column", "train", "validation", "sample_by", "hold_out", "max_rows"):
            # A base model that held out no text and has no validation split keeps the default hold_out: its general
            # perplexity is then measured on text that it was trained on.
            if data.get(name) is not None and (name, data[name]) != ("hold_out", 0):
                found[f"adaptation.general.{name}"] = data[name]
    return found


def adaptation_overrides(source: str | Path, recipe: str | Path, overrides: list[str]) -> list[str]:
    """`base_model_settings` as overrides of a recipe, without the fields that the recipe file or `overrides` set.

    Args:
        source: the base model.
        recipe: name or YAML file of the recipe. The base model takes precedence over the package's own recipe.
        overrides: ``"data.max_length=128"``, as for `load_recipe`.
    """
    file = recipe_file(recipe)
    tree = {} if file == recipe_file(DEFAULT_RECIPE) else read_yaml(file)
    decided = {override.partition("=")[0].strip().lstrip("-") for override in overrides}
    kept = []
    for name, value in base_model_settings(source).items():
        parts = name.split(".")
        node: Any = tree
        for part in parts:
            node = node.get(part) if isinstance(node, dict) else None
        if node is None and not any(".".join(parts[:depth]) in decided for depth in range(1, len(parts) + 1)):
            # The base model's splits do not apply to another general text.
            if name.startswith("adaptation.general.") and "adaptation.general.path" in decided:
                continue
            kept.append(as_override(name, value))
    return [f"adaptation.base_model={source}", *kept]


def load_adaptation_recipe(
    base_model: str | Path, overrides: Iterable[str] = (), recipe: str | Path = DEFAULT_RECIPE
) -> Recipe:
    """The recipe that adapts `base_model`: settings of the base model, then the recipe file, then overrides.

    Args:
        base_model: the folder of a run, or any checkpoint that `from_checkpoint` reads.
        overrides: ``"adaptation.replay=0.2"``, as for `load_recipe`.
        recipe: name or YAML file.

    Raises:
        FileNotFoundError, ValueError: see `base_model_stack` and `load_recipe`.
    """
    overrides = list(overrides)
    loaded = load_recipe(recipe, [*adaptation_overrides(base_model, recipe, overrides), *overrides])
    if loaded.description == load_recipe(DEFAULT_RECIPE).description:
        name = Path(base_model).resolve().name if Path(base_model).exists() else base_model
        domain = strip_path(loaded.data.path) if loaded.data.path else "a domain"
        loaded = dataclasses.replace(loaded, description=f"`{name}`, adapted to the text of `{domain}`.")
    return loaded


def longest_row(source: str | Path) -> int | None:
    """The most tokens that a base model takes; None if its positions are unlimited (sinusoidal) or not configured."""
    where = model_folder(source)
    config = CheckpointSource(str(where)).config()
    if config.get("position_embedding_type") not in (None, "learned", "absolute"):
        return None
    longest = config.get("max_position_embeddings") or config.get("n_positions")
    return int(longest) if longest else None


def open_language_model(recipe: Recipe) -> LanguageModel:
    """Loads the base model of a recipe for training: in float32, with its LM head.

    Raises:
        FileNotFoundError: the base model does not exist.
        ValueError: its stack does not fit the task, it has no LM head or no tokenizer, its tokenizer has another
            vocabulary, or it has fewer positions than ``data.max_length``.
    """
    source = recipe.adaptation.base_model
    stack = base_model_stack(source)
    config_class, model_class = CLASSES[recipe.task]
    if config_class.model_type != stack:
        raise ValueError(
            f"task={recipe.task!r} adapts {_WORDS[config_class.model_type]}, but the base model {source} is "
            f"{_WORDS[stack]}: {_remedy(stack)}"
        )
    where = model_folder(source)
    own = CheckpointSource(str(where)).config().get("model_type") in STACKS
    model, new = (_own_model if own else _converted_model)(where, model_class, recipe)
    if new:
        what = f"The base model {source} has no weights of the head that predicts tokens ({', '.join(new[:3])}"
        if not recipe.adaptation.new_head:
            raise ValueError(
                f"{what}). Adapt the language model before it is fine-tuned, or start with a random head: "
                "--adaptation.new_head true."
            )
        logger.warning(
            f"{what}), so the head is random (adaptation.new_head): perplexities before training are those of a "
            "random head."
        )
    model.set_attn_implementation(recipe.model.attn_implementation)
    tokenizer = _tokenizer(recipe, where, own)
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"The tokenizer has {len(tokenizer)} entries, the base model {source} only {model.config.vocab_size}: they "
            "belong to different models. Leave tokenizer.path out to take the base model's own."
        )
    if model.config.position_embedding_type == "learned":
        longest = model.config.max_position_embeddings
        if recipe.data.max_length > longest:
            raise ValueError(
                f"data.max_length={recipe.data.max_length} is more than the {longest} positions of the base model "
                f"{source}: choose at most {longest}."
            )
    return LanguageModel(model, tokenizer, new_head=bool(new))


def _own_model(
    where: str | Path, model_class: type[PreTrainedModel], recipe: Recipe
) -> tuple[PreTrainedModel, list[str]]:
    """A model of this package with its head, and the names of the tensors of the head that are new."""
    with torch.random.fork_rng(devices=[]), no_loading_report():
        torch.manual_seed(recipe.training.seed)
        model, report = load_pretrained(model_class, where, dtype=torch.float32, output_loading_info=True)
    missing = sorted(report["missing_keys"])
    backbone = [name for name in missing if not name.startswith("lm_head")]
    if backbone:
        raise ValueError(
            f"The weights of the base model {where} lack {', '.join(backbone[:3])}, which its config.json requires: "
            "the folder is damaged, or mixes two models. Save or download it again."
        )
    return model, missing


def _converted_model(
    where: str | Path, model_class: type[PreTrainedModel], recipe: Recipe
) -> tuple[PreTrainedModel, list[str]]:
    """The same for a checkpoint of another family."""
    try:
        return from_checkpoint(where, head=_HEADS[model_class.config_class.model_type], dtype=torch.float32), []
    except MissingHeadError:
        backbone = from_checkpoint(where, head="base", dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = model_class(backbone.config)
    # A language model has no pooler.
    weights = {name: value for name, value in backbone.state_dict().items() if not name.startswith("pooler.")}
    model.base_model.load_state_dict(weights)
    known = {id(parameter) for parameter in model.base_model.parameters()}
    return model, sorted(name for name, parameter in model.named_parameters() if id(parameter) not in known)


def _tokenizer(recipe: Recipe, where: str | Path, own: bool) -> PreTrainedTokenizerBase:
    place = recipe.tokenizer.path or where
    if recipe.tokenizer.path is None and own:
        try:
            tokenizer = load_tokenizer(CheckpointSource(str(place)))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"The tokenizer of the base model {recipe.adaptation.base_model} cannot be loaded ({error}); set "
                "--tokenizer.path to the tokenizer that it was trained with."
            ) from error
    else:
        tokenizer = load_tokenizer(CheckpointSource(str(place)))
    give_padding(tokenizer, str(place))
    return tokenizer


def _remedy(stack: str) -> str:
    if stack in _ONLY_TASK:
        return f"leave task out, or set task={_ONLY_TASK[stack]}."
    return "set task=denoising or task=span."


__all__ = [
    "DEFAULT_RECIPE",
    "LanguageModel",
    "adaptation_overrides",
    "base_model_settings",
    "base_model_stack",
    "load_adaptation_recipe",
    "longest_row",
    "open_language_model",
]
