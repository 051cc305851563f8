"""The base model of a fine-tuning: a folder that a run made, or a published checkpoint, as a backbone that heads are
put on."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from ...conversion import from_checkpoint
from ...conversion.checkpoint import ORIGINAL_FORMATS
from ...conversion.checkpoint_files import CheckpointSource
from ...conversion.checkpoint_tokenizer import load_tokenizer
from ...models.registration import AUTO_CLASSES

STACKS = {"vanilla_encoder": "encoder", "vanilla_decoder": "decoder", "vanilla_transformer": "encoder_decoder"}

# An ancestor's recipe may name a folder that holds this very model again; nobody has so many real ancestors.
_MOST_ANCESTORS = 20


@dataclass(frozen=True)
class Ancestor:
    """One step that led to a base model.

    Attributes:
        source: where its model is.
        task: what it was trained for, such as `causal_lm`; empty where nobody wrote it down.
        data: names of what it was trained on.
    """

    source: str
    task: str = ""
    data: tuple[str, ...] = ()


@dataclass
class BaseModel:
    """A trained backbone, with its tokenizer and where it comes from.

    Attributes:
        source: as the recipe names it.
        stack: `encoder`, `decoder` or `encoder_decoder`.
        config: of the backbone; a head gets a copy.
        tokenizer: its tokenizer.
        weights: of the backbone, by their names in it; empty for random weights.
        lineage: the base model itself, the base model of the base model, and so on.
        reads_backward: its recipe says that it was trained on texts in reverse order.
        known: it has a recipe.
        generation_config: how it generates, of a model that can.
        attention: attention implementation that models are built with.
    """

    source: str
    stack: str
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    weights: dict[str, torch.Tensor] = field(repr=False)
    lineage: list[Ancestor] = field(default_factory=list)
    attention: str = "sdpa"
    reads_backward: bool = False
    known: bool = False
    generation_config: GenerationConfig | None = None

    def head_config(self, **fields: Any) -> PreTrainedConfig:
        """A copy of the base model's configuration with other values for some fields.

        Raises:
            ValueError: a field does not exist or has no such value.
        """
        config = copy.deepcopy(self.config)
        for name, value in fields.items():
            if not hasattr(config, name):
                raise ValueError(f"{type(config).__name__}, the base model's configuration, has no field {name!r}.")
            try:
                setattr(config, name, value)
            except (StrictDataclassError, TypeError, ValueError) as error:
                raise ValueError(f"The base model's configuration takes no {name}={value!r}: {error}") from error
        config.validate_architecture()
        config._attn_implementation = self.attention
        return config

    def put_into(self, backbone: PreTrainedModel) -> list[str]:
        """Copies the base model's weights into a backbone of its shape.

        Returns:
            Names of the backbone's weights that the base model does not have, such as a pooler's; they stay random.

        Raises:
            ValueError: the backbone has another shape, or misses more than a pooler.
        """
        if not self.weights:
            return [name for name, _ in backbone.named_parameters()]
        own = backbone.state_dict()
        fitting = {name: tensor for name, tensor in self.weights.items() if name in own}
        wrong = [name for name, tensor in fitting.items() if tensor.shape != own[name].shape]
        if wrong:
            name = wrong[0]
            raise ValueError(
                f"{name} is {tuple(self.weights[name].shape)} in the base model {self.source}, but "
                f"{tuple(own[name].shape)} in the new model: what decides the shape of the backbone must be the base "
                "model's."
            )
        missing = sorted(own.keys() - fitting.keys())
        backbone.load_state_dict(fitting, strict=False)
        backbone.tie_weights()
        return missing


def open_base_model(
    source: str | Path, *, format: str = "transformers", random_weights: bool = False, attention: str = "sdpa"
) -> BaseModel:
    """Reads a base model.

    Args:
        source: a folder that `train`, `pretrain`, `adapt` or `finetune` made (or its ``model``), a model of this
            package on the Hub, or any checkpoint that `from_checkpoint` reads.
        format: what wrote a checkpoint, as for `from_checkpoint`.
        random_weights: take only the shape and the tokenizer.
        attention: attention implementation of models that are made of it.

    Raises:
        FileNotFoundError: there is no such folder or model.
        ValueError: it cannot be read; the message says why.
    """
    where = model_folder(source)
    generation_config = None
    if format != "transformers":
        model = from_checkpoint(where, head=None, format=format)
        tokenizer = ORIGINAL_FORMATS[format].tokenizer(Path(where))
        config, weights, generation_config = model.config, _backbone_weights(model), _generation_config(model)
    elif CheckpointSource(str(where)).config().get("model_type") in STACKS:
        config, weights = AutoConfig.from_pretrained(where), {}
        if not random_weights:
            weights, generation_config = _own_weights(where, config)
        tokenizer = AutoTokenizer.from_pretrained(where)
    else:
        model = from_checkpoint(where, head=_transformers_head(where))
        config, weights, generation_config = model.config, _backbone_weights(model), _generation_config(model)
        tokenizer = load_tokenizer(CheckpointSource(str(where)))
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"The tokenizer of the base model {source} has {len(tokenizer)} entries, its model only "
            f"{config.vocab_size}: "
            "they belong to different models."
        )
    give_padding(tokenizer, str(source))
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    recipe = recipe_of(str(source))
    # A fine-tuned base model has no data.reverse; how it reads, its configuration says.
    backward = getattr(config, "classifier_direction", "forward") == "backward"
    return BaseModel(
        source=str(source),
        stack=STACKS[config.model_type],
        config=config,
        tokenizer=tokenizer,
        weights={} if random_weights else weights,
        lineage=[] if random_weights else lineage(source),
        attention=attention,
        reads_backward=bool((recipe.get("data") or {}).get("reverse")) or backward,
        known=bool(recipe),
        generation_config=generation_config,
    )


def require_stack(base_model: BaseModel, stacks: tuple[str, ...], task: str) -> None:
    """Raises ValueError unless the base model is of one of the stacks."""
    if base_model.stack not in stacks:
        words = {"encoder": "an encoder (as BERT)", "decoder": "a decoder (as GPT)"}
        wanted = " or ".join(words.get(stack, "an encoder-decoder") for stack in stacks)
        found = words.get(base_model.stack, "an encoder-decoder")
        raise ValueError(f"task={task!r} starts from {wanted}, but the base model {base_model.source} is {found}.")


def model_class(base_model: BaseModel, auto_class: str) -> type[PreTrainedModel]:
    """Our class that an Auto class finds for the base model's configuration."""
    return AUTO_CLASSES[type(base_model.config)][auto_class]


def lineage(source: str | Path) -> list[Ancestor]:
    """The steps that led to a model, newest first, as far as the recipes of its folders tell."""
    found: list[Ancestor] = []
    current: str | None = str(source)
    while current is not None and len(found) < _MOST_ANCESTORS:
        recipe = recipe_of(current)
        data = recipe.get("data") or {}
        paths = [data.get("path"), *(part.get("path") for part in data.get("mixture") or [] if isinstance(part, dict))]
        found.append(Ancestor(current, recipe.get("task") or "", tuple(str(path) for path in paths if path)))
        adapted = (recipe.get("adaptation") or {}).get("base_model")
        before = recipe.get("base_model") or adapted or (recipe.get("model") or {}).get("start_from")
        if recipe.get("from_scratch") or before in {ancestor.source for ancestor in found}:
            break
        current = before
    return found


def model_folder(source: str | Path) -> str | Path:
    """Where the model itself is: in the folder, or in its `model`."""
    folder = Path(source)
    if not folder.is_dir() or (folder / "config.json").is_file():
        return source
    if (folder / "model" / "config.json").is_file():
        return folder / "model"
    raise FileNotFoundError(
        f"The folder {source} holds no model (no config.json, nor model/config.json): name the output folder of a "
        "finished run, or a checkpoint."
    )


def recipe_of(source: str) -> dict[str, Any]:
    """The recipe a model was trained by; empty where there is none.

    That of the run, whose paths are whole, is preferred to that of its publishable folder.
    """
    folder = Path(source)
    places = [folder / "recipe.yaml", folder / "model" / "recipe.yaml"]
    if folder.name == "model":
        places.insert(0, folder.parent / "recipe.yaml")
    for place in places:
        if place.is_file():
            try:
                recipe = yaml.safe_load(place.read_text(encoding="utf-8"))
            except yaml.YAMLError as error:
                raise ValueError(f"{place} is not valid YAML ({error}); correct it or take it away.") from error
            return recipe if isinstance(recipe, dict) else {}
    return {}


def _own_weights(
    where: str | Path, config: PreTrainedConfig
) -> tuple[dict[str, torch.Tensor], GenerationConfig | None]:
    """The backbone's weights of a model of ours. An encoder-decoder's head goes along under its own names."""
    auto_class = AutoModelForSeq2SeqLM if config.model_type == "vanilla_transformer" else AutoModel
    verbosity = transformers_logging.get_verbosity()
    # It would list the old head and the pooler, which are meant to be missing; what is not is refused below.
    transformers_logging.set_verbosity_error()
    try:
        model, report = auto_class.from_pretrained(where, dtype="auto", output_loading_info=True)
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = set(report["missing_keys"])
    backbone = [name for name in missing if "pooler." not in name and not name.startswith("lm_head")]
    if backbone:
        raise ValueError(
            f"The base model {where} lacks {', '.join(sorted(backbone)[:3])}{' ...' if len(backbone) > 3 else ''}, "
            "which its "
            "config.json promises: the folder is damaged, or of another model."
        )
    weights = {name: tensor for name, tensor in _backbone_weights(model).items() if name not in missing}
    return weights, _generation_config(model)


def _generation_config(model: PreTrainedModel) -> GenerationConfig | None:
    return model.generation_config if model.can_generate() else None


def _backbone_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Of an encoder-decoder everything; of the others what is inside their base model."""
    whole = model if model.config.is_encoder_decoder else model.base_model
    return {name: tensor.detach().float() for name, tensor in whole.state_dict().items()}


def _transformers_head(where: str | Path) -> str | None:
    """Which head to convert: an encoder-decoder's own, since a new task writes with it; of the others none."""
    config = CheckpointSource(str(where)).config()
    return None if config.get("is_encoder_decoder") else "base"


def give_padding(tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """Gives a tokenizer without padding, such as GPT-2's, its end token for it: padding has no attention and no labels.

    Args:
        tokenizer: changed in place.
        source: where it comes from, for the message.

    Raises:
        ValueError: it has no end token, either.
    """
    if tokenizer.pad_token is not None:
        return
    if tokenizer.eos_token is None:
        raise ValueError(
            f"The tokenizer of {source} has neither a padding nor an end token; set one and save it, for example "
            "tokenizer.add_special_tokens({'pad_token': '<pad>'})."
        )
    tokenizer.pad_token = tokenizer.eos_token


def describe(ancestors: list[Ancestor]) -> str:
    """A line for the card: each ancestor with its task and data, newest first."""
    parts = []
    for ancestor in ancestors:
        name = Path(ancestor.source).resolve().name if Path(ancestor.source).exists() else ancestor.source
        about = [ancestor.task] if ancestor.task else []
        if ancestor.data:
            about.append("on " + ", ".join(f"`{Path(path).name}`" for path in ancestor.data))
        parts.append(f"`{name}`" + (f" ({' '.join(about)})" if about else ""))
    return ", made from ".join(parts)
