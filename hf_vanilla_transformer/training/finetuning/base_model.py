"""The base model of a fine-tuning: the backbone of a run's model or of a published checkpoint."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoModel,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ...conversion import from_checkpoint
from ...conversion.checkpoint import ORIGINAL_FORMATS
from ...conversion.checkpoint_files import CheckpointSource
from ...conversion.checkpoint_tokenizer import load_tokenizer, tokens_beyond
from ...conversion.config_files import load_config
from ...conversion.loading_report import no_loading_report
from ...conversion.safe_loading import load_pretrained
from ...model_folders import model_folder
from ...models.registration import AUTO_CLASSES
from ...untrusted_files import read_yaml

STACKS = {"vanilla_encoder": "encoder", "vanilla_decoder": "decoder", "vanilla_transformer": "encoder_decoder"}

# Bounds the lineage: an ancestor's recipe may name a folder that now holds a descendant.
_MOST_ANCESTORS = 20


@dataclass(frozen=True)
class Ancestor:
    """One model in the lineage of a base model.

    Attributes:
        source: folder or Hub name of the model.
        task: that it was trained for, such as `causal_lm`; empty if unknown.
        data: names of its training data.
    """

    source: str
    task: str = ""
    data: tuple[str, ...] = ()


@dataclass
class BaseModel:
    """A trained backbone, with its tokenizer and its lineage.

    Attributes:
        source: folder or Hub name, as given in the recipe.
        stack: `encoder`, `decoder` or `encoder_decoder`.
        config: of the backbone; models with a head get a copy.
        tokenizer: its tokenizer.
        weights: of the backbone, by parameter name; empty for random weights.
        lineage: the base model itself, the base model of the base model, and so on.
        attention: attention implementation of the models built from it.
        reads_backward: whether it was trained on reversed texts, by its recipe or configuration.
        known: whether it has a recipe.
        generation_config: of a model that can generate; None for others.
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
        """A copy of the base model's configuration with some fields replaced.

        Raises:
            ValueError: a field does not exist or does not accept the value.
        """
        config = copy.deepcopy(self.config)
        for name, value in fields.items():
            if not hasattr(config, name):
                raise ValueError(f"The base model's configuration, {type(config).__name__}, has no field {name!r}.")
            try:
                setattr(config, name, value)
            except (StrictDataclassError, TypeError, ValueError) as error:
                raise ValueError(f"The base model's configuration does not accept {name}={value!r}: {error}") from error
        config.validate_architecture()
        config._attn_implementation = self.attention
        return config

    def put_into(self, backbone: PreTrainedModel) -> list[str]:
        """Copies the base model's weights into a backbone of the same shape.

        Returns:
            Names of weights that the base model does not have, such as those of a pooler; they keep random values.

        Raises:
            ValueError: the backbone has another shape.
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
                f"{tuple(own[name].shape)} in the new model: do not change the shape of the backbone."
            )
        missing = sorted(own.keys() - fitting.keys())
        backbone.load_state_dict(fitting, strict=False)
        backbone.tie_weights()
        return missing


def open_base_model(
    source: str | Path, *, format: str = "transformers", random_weights: bool = False, attention: str = "sdpa"
) -> BaseModel:
    """Loads a base model.

    Args:
        source: the output folder of `train`, `pretrain`, `adapt` or `finetune` (or its ``model``), a model of this
            package on the Hub, or any checkpoint that `from_checkpoint` reads.
        format: of the checkpoint, as for `from_checkpoint`.
        random_weights: load only the configuration and the tokenizer.
        attention: attention implementation of the models built from it.

    Raises:
        FileNotFoundError: the folder or model does not exist.
        ValueError: the model cannot be loaded, or its tokenizer has more entries than its vocabulary.
    """
    where = model_folder(source) if format == "transformers" else source
    generation_config = None
    if format != "transformers":
        model = from_checkpoint(where, head=None, format=format)
        tokenizer = ORIGINAL_FORMATS[format].tokenizer(Path(where))
        config, weights, generation_config = model.config, _backbone_weights(model), _generation_config(model)
    elif CheckpointSource(str(where)).config().get("model_type") in STACKS:
        config, weights = load_config(where), {}
        if not random_weights:
            weights, generation_config = _own_weights(where, config)
        tokenizer = load_tokenizer(CheckpointSource(str(where)))
    else:
        model = from_checkpoint(where, head=_transformers_head(where))
        config, weights, generation_config = model.config, _backbone_weights(model), _generation_config(model)
        tokenizer = load_tokenizer(CheckpointSource(str(where)))
    if tokens_beyond(tokenizer, config.vocab_size, mask=False):
        raise ValueError(
            f"The tokenizer of the base model {source} has {len(tokenizer)} entries, its model only "
            f"{config.vocab_size}: they belong to different models. Save the tokenizer of the model in its folder."
        )
    give_padding(tokenizer, str(source))
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    recipe = recipe_of(str(source))
    # The recipe of a fine-tuned model has no data.reverse; its configuration tells the direction.
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
        names = {
            "encoder": "an encoder (as BERT)",
            "decoder": "a decoder (as GPT)",
            "encoder_decoder": "an encoder-decoder",
        }
        supported = " or ".join(names[stack] for stack in stacks)
        raise ValueError(
            f"task={task!r} needs {supported}, but the base model {base_model.source} is {names[base_model.stack]}; "
            "choose another base model."
        )


def model_class(base_model: BaseModel, auto_class: str) -> type[PreTrainedModel]:
    """The class of this package that an Auto class loads for the base model's configuration."""
    return AUTO_CLASSES[type(base_model.config)][auto_class]


def lineage(source: str | Path) -> list[Ancestor]:
    """The model and its ancestors, newest first, as far as their recipes are found."""
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


def recipe_of(source: str) -> dict[str, Any]:
    """The recipe that a model was trained by; empty if it has none.

    The recipe of the run is preferred to that of its folder `model`, whose paths are shortened for publishing.

    Raises:
        ValueError: the recipe is not valid YAML.
    """
    folder = Path(source)
    places = [folder / "recipe.yaml", folder / "model" / "recipe.yaml"]
    if folder.name == "model":
        places.insert(0, folder.parent / "recipe.yaml")
    for place in places:
        if place.is_file():
            recipe = read_yaml(place)
            return recipe if isinstance(recipe, dict) else {}
    return {}


def _own_weights(
    where: str | Path, config: PreTrainedConfig
) -> tuple[dict[str, torch.Tensor], GenerationConfig | None]:
    """The backbone weights of a model of this package; of an encoder-decoder, also the weights of its head."""
    auto_class = AutoModelForSeq2SeqLM if config.model_type == "vanilla_transformer" else AutoModel
    # The head and the pooler may be missing; other missing weights raise below.
    with no_loading_report():
        model, report = load_pretrained(auto_class, where, dtype="auto", output_loading_info=True)
    missing = set(report["missing_keys"])
    backbone = [name for name in missing if "pooler." not in name and not name.startswith("lm_head")]
    if backbone:
        raise ValueError(
            f"The weights of the base model {where} lack {', '.join(sorted(backbone)[:3])}"
            f"{' ...' if len(backbone) > 3 else ''}, which its config.json requires: the folder is damaged, or mixes "
            "two models. Save or download it again."
        )
    weights = {name: tensor for name, tensor in _backbone_weights(model).items() if name not in missing}
    return weights, _generation_config(model)


def _generation_config(model: PreTrainedModel) -> GenerationConfig | None:
    return model.generation_config if model.can_generate() else None


def _backbone_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """All weights of an encoder-decoder; of other models, the weights of their backbone."""
    source = model if model.config.is_encoder_decoder else model.base_model
    return {name: tensor.detach().float() for name, tensor in source.state_dict().items()}


def _transformers_head(where: str | Path) -> str | None:
    """The head to convert: an encoder-decoder keeps its own, which the new task generates with; others have none."""
    config = CheckpointSource(str(where)).config()
    return None if config.get("is_encoder_decoder") else "base"


def give_padding(tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """Sets the end token as padding token if there is none, as for GPT-2: padding is never attended to or predicted.

    Args:
        tokenizer: changed in place.
        source: of the tokenizer, for the error message.

    Raises:
        ValueError: the tokenizer has no end token, either.
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
    """The lineage as one line: each model with its task and data, newest first."""
    parts = []
    for ancestor in ancestors:
        name = Path(ancestor.source).resolve().name if Path(ancestor.source).exists() else ancestor.source
        about = [ancestor.task] if ancestor.task else []
        if ancestor.data:
            about.append("on " + ", ".join(f"`{Path(path).name}`" for path in ancestor.data))
        parts.append(f"`{name}`" + (f" ({' '.join(about)})" if about else ""))
    return ", made from ".join(parts)
