"""Compare the files of a model with each other before any weights are read, and so before memory is taken for them.

The names, shapes and types of the tensors stand in the headers of the safetensors files. A model on the meta device has
the names and shapes that config.json requires, and takes no memory.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from ..models.registration import AUTO_CLASSES
from ..untrusted_files import read_json_object
from .checkpoint_files import INDEX, weight_files
from .config_files import config_reason, load_config
from .config_values import CONFIG, REMEDY, read_config
from .families import FAMILIES

__all__ = ["StoredTensor", "check_left_over", "check_model_files", "check_numbers", "stored_tensors", "tensor_names"]

# More new weights than these and four times those of the file are no head on a saved backbone, but another model.
_MOST_NEW_WEIGHTS = 20_000_000
# Positions times width. Some families fill tables of sinusoids in Python before they are compared with anything.
_LARGEST_TABLE = 1 << 28
# Layers of other families that are built to be compared, whatever the names of their layers are.
_MOST_UNSEEN_LAYERS = 500
_LAYER = re.compile(r"(?:^|\.)(?:h|layer|layers|block|blocks)\.(\d+)\.")
_OWN_LAYER = re.compile(r"(?:^|\.)(?:(encoder|decoder)\.)?layers\.(\d+)\.")
_FLOATING = re.compile(r"B?F\d")
_LFS = b"version https://git-lfs"
# Fields that decide about shapes, in the order in which an error names them.
_SIZES = (
    "vocab_size", "max_position_embeddings", "type_vocab_size", "hidden_size", "embedding_size", "intermediate_size",
    "encoder_ffn_dim", "decoder_ffn_dim", "num_labels", "parser_arc_size", "parser_label_size",
)  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """What the header of a safetensors file says about a tensor.

    Attributes:
        shape: of the tensor.
        dtype: name of its type, such as `F32`.
        file: that contains it.
    """

    shape: tuple[int, ...]
    dtype: str
    file: Path


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors in the safetensors files of a folder by name. No tensor is loaded.

    Raises:
        FileNotFoundError: a shard of the index does not exist.
        ValueError: a file is damaged, or the index names a tensor that its shard does not contain.
    """
    found: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    view = file.get_slice(name)
                    found[name] = StoredTensor(tuple(view.get_shape()), view.get_dtype(), path)
        except (SafetensorError, OSError) as error:
            raise ValueError(_damaged(path, error)) from error
    if found and next(iter(found.values())).file.name != "model.safetensors":
        for name, shard in read_json_object(folder / INDEX)["weight_map"].items():
            if name not in found or found[name].file.name != shard:
                raise ValueError(
                    f"{folder / INDEX} says that {shard} contains {name}, but it does not: the files belong to "
                    "different models; download them again."
                )
    return found


def tensor_names(folder: Path) -> set[str]:
    """Names of the tensors in the safetensors files of a folder; errors as for `stored_tensors`."""
    return set(stored_tensors(folder))


def check_model_files(
    folder: str | Path,
    model_class: Any = None,
    *,
    config: PreTrainedConfig | None = None,
    key_mapping: Mapping[str, str] | None = None,
) -> None:
    """Checks that config.json and the weights of a model belong together.

    A head that the weights lack is left to the caller, because a new head can be trained.

    Args:
        folder: the folder of a model, with config.json.
        model_class: the model class or Auto class that will be loaded; None for the class named in config.json.
        config: the configuration, if it was loaded before.
        key_mapping: patterns of names and their replacements, as in `from_pretrained`.

    Raises:
        FileNotFoundError: a shard is missing.
        ValueError: a file is damaged, or a size in config.json differs from the weights; the message names the file,
            the field and the value.
    """
    folder = Path(folder)
    read_config(folder / CONFIG)
    stored = stored_tensors(folder)
    if not stored:
        return  # what loads the model says which files it needs
    config = load_config(folder) if config is None else config
    concrete = _concrete_class(model_class, config)
    if concrete is None:
        return
    own = type(config) in AUTO_CLASSES
    path = folder / CONFIG
    _check_layers(config, stored, path, own)
    expected, backbone, ties = _expected_shapes(concrete, config, path)
    prefix = f"{concrete.base_model_prefix}."
    present = {_bare(_renamed(name, key_mapping), prefix): (name, tensor) for name, tensor in stored.items()}
    missing = []
    for name, shape in expected.items():
        if name not in present:
            missing.append(name)
            continue
        stored_name, tensor = present[name]
        if tensor.shape != shape:
            raise ValueError(_other_shape(path, config, stored_name, tensor, shape))
        if not _FLOATING.match(tensor.dtype) and not getattr(config, "quantization_config", None):
            raise ValueError(
                f"{tensor.file} has {stored_name} of type {tensor.dtype}, but weights are floating-point numbers: "
                "download or save the model again."
            )
    if own:
        _check_names(path, expected, backbone, ties, present, missing)
    new = sum(math.prod(expected[name]) for name in missing)
    known = sum(math.prod(tensor.shape) for tensor in stored.values())
    if new > 4 * known + _MOST_NEW_WEIGHTS:
        largest = max(missing, key=lambda name: math.prod(expected[name]))
        raise ValueError(
            f"{path} describes a model with {new:,} weights that its files, with {known:,} weights, lack; the "
            f"largest, {largest}, would be {expected[largest]}. They belong to different models, or config.json was "
            f"edited: {_fields(config, expected[largest])}; {REMEDY}."
        )


def check_left_over(config: PreTrainedConfig, source: str | Path, names: Iterable[str]) -> None:
    """Raises ValueError if a model of a published family left layers of its file unused: it is another function then.

    Args:
        config: the configuration.
        source: folder or name of the model, for the message.
        names: names of the tensors in the file that the model did not take.
    """
    left = sorted(name for name in names if _LAYER.search(name)) if config.model_type in FAMILIES else []
    if left:
        raise ValueError(
            f"{source} contains {_some(left)}, which a model with its config.json does not have: they belong to "
            f"different models, or config.json was edited; {REMEDY}."
        )


def check_numbers(model: PreTrainedModel, source: str | Path) -> None:
    """Raises ValueError if a weight of the model is not a number, as after a training that diverged.

    Args:
        model: the model, loaded.
        source: its folder or name, for the message.
    """
    for name, value in model.named_parameters():
        # A sum needs no memory. It is only looked at closer if it is not finite: half precision can overflow.
        if value.is_floating_point() and not value.is_meta and not bool(torch.isfinite(value.detach().sum())):
            wrong = value.detach().isnan()
            if bool(wrong.any()):
                raise ValueError(
                    f"{source} has {int(wrong.sum()):,} of {value.numel():,} weights in {name} that are not numbers "
                    "(NaN): the file is damaged, or the training diverged; use another checkpoint."
                )


def _damaged(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(len(_LFS))
    if start == _LFS:
        return f"{path} is a pointer of Git LFS, not the weights: run `git lfs pull` there, or download it again."
    size = path.stat().st_size
    reason = "it is empty" if size == 0 else str(error).strip().rstrip(".")
    return f"{path} is damaged or not in safetensors format ({reason}); download or save it again."


def _concrete_class(model_class: Any, config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """The class that will be built; None if it is code of the model, or not known."""
    if model_class is None:
        by_name = {one.__name__: one for one in AUTO_CLASSES.get(type(config), {}).values()}
        return next((by_name[name] for name in config.architectures or () if name in by_name), None)
    if hasattr(model_class, "_model_mapping"):
        if type(config) not in model_class._model_mapping:
            return None
        model_class = model_class._model_mapping[type(config)]
    if isinstance(model_class, (list, tuple)):
        names = config.architectures or ()
        model_class = next((one for one in model_class if one.__name__ in names), model_class[0])
    same = isinstance(model_class, type) and isinstance(config, getattr(model_class, "config_class", None) or ())
    return model_class if same else None


def _check_layers(config: PreTrainedConfig, stored: Collection[str], path: Path, own: bool) -> None:
    """Compares the numbers of layers, which a model would make one by one, with those in the names of tensors."""
    if not own:
        width = getattr(config, "hidden_size", None)
        positions = getattr(config, "max_position_embeddings", None)
        has_table = isinstance(width, int) and isinstance(positions, int) and config.model_type in FAMILIES
        if has_table and width * positions > _LARGEST_TABLE:
            raise ValueError(
                f"{path} has max_position_embeddings={positions} and hidden_size={width}, a table of "
                f"{width * positions:,} numbers; {REMEDY}."
            )
        layers = max((getattr(config, name, None) or 0 for name in ("num_hidden_layers", "decoder_layers")), default=0)
        seen = 1 + max((int(number) for name in stored for number in _LAYER.findall(name)), default=-1)
        if layers > max(seen, _MOST_UNSEEN_LAYERS):
            raise ValueError(f"{path} says that the model has {layers:,} layers, but its files have {seen}; {REMEDY}.")
        return
    found: dict[str, int] = {}
    for name in stored:
        if match := _OWN_LAYER.search(name):
            found[match[1] or ""] = max(found.get(match[1] or "", 0), int(match[2]) + 1)
    both = config.is_encoder_decoder
    fields = {"encoder": "encoder_layers", "decoder": "decoder_layers"} if both else {"": "num_hidden_layers"}
    for stack, field in fields.items():
        if stack in found and getattr(config, field) != found[stack]:
            raise ValueError(
                f"{path} has {field}={getattr(config, field)}, but the weights have {found[stack]} "
                f"{stack}{' ' * bool(stack)}layers: they belong to different models, or a file was edited; {REMEDY}."
            )


def _expected_shapes(
    model_class: type[PreTrainedModel], config: PreTrainedConfig, path: Path
) -> tuple[dict[str, tuple[int, ...]], set[str], list[set[str]]]:
    """The tensors that a class needs: their shapes by name, the names of the backbone, and groups of tied names.

    Names have no prefix of the base model, because files may have it or not.
    """
    prefix = f"{model_class.base_model_prefix}."
    try:
        if getattr(config, "position_embedding_type", "learned") != "learned" and type(config) in AUTO_CLASSES:
            config = copy.deepcopy(config)
            config.max_position_embeddings = 1  # sinusoids are not saved, and are computed on the CPU even here
        with torch.device("meta"), init.no_init_weights(), torch.random.fork_rng(devices=[]):
            model = model_class(config)
    except Exception as error:  # whatever a wrong value leads to
        raise ValueError(f"{path} does not describe a model: {config_reason(error)}; {REMEDY}.") from error
    shapes = {_bare(name, prefix): tuple(value.shape) for name, value in model.state_dict().items()}
    has_head = model.base_model is not model
    backbone = {name if not has_head else _bare(f"{prefix}{name}", prefix) for name in model.base_model.state_dict()}
    ties: dict[str, set[str]] = {}
    for name, source in (getattr(model, "all_tied_weights_keys", None) or {}).items():
        ties.setdefault(source, {_bare(source, prefix)}).add(_bare(name, prefix))
    return shapes, backbone, list(ties.values())


def _check_names(
    path: Path,
    expected: Collection[str],
    backbone: Collection[str],
    ties: Iterable[Collection[str]],
    present: Mapping[str, tuple[str, StoredTensor]],
    missing: list[str],
) -> None:
    """Compares the names of the tensors of a model of ours; a head, and a pooler, may be missing or left over."""
    supplied = {name for group in ties if any(one in present for one in group) for name in group}
    lacking = [name for name in missing if name in backbone and name not in supplied and not name.startswith("pooler.")]
    if lacking:
        # In the names of the file, which may have the prefix of the base model.
        added = {original.removesuffix(name) for name, (original, _) in present.items() if name in backbone}
        lacking = [f"{min(added, default='')}{name}" for name in lacking]
        raise ValueError(
            f"The weights in {path.parent} lack {_some(lacking)}, which {path.name} requires: they belong to different "
            "models, or a file is damaged; download or save the model again."
        )
    parts = {name.split(".")[0] for name in backbone}
    left = sorted(
        original
        for name, (original, _) in present.items()
        if name not in expected and name.split(".")[0] in parts and not name.startswith("pooler.")
    )
    if left:
        raise ValueError(
            f"The weights in {path.parent} contain {_some(left)}, which a model with this {path.name} does not have: "
            "they belong to different models, or a file was edited; download or save the model again."
        )


def _other_shape(
    path: Path, config: PreTrainedConfig, name: str, tensor: StoredTensor, expected: tuple[int, ...]
) -> str:
    differing = expected
    if len(expected) == len(tensor.shape):
        differing = tuple(size for size, stored in zip(expected, tensor.shape, strict=True) if size != stored)
    return (
        f"{path} requires {_fields(config, differing)}, but {name} in {tensor.file.name} has the shape {tensor.shape} "
        f"instead of {expected}: they belong to different models, or a file was edited; {REMEDY}."
    )


def _fields(config: PreTrainedConfig, sizes: Collection[int]) -> str:
    """The fields that have one of these sizes, with their values; or else the sizes."""
    names = [name for name in _SIZES if getattr(config, name, None) in sizes]
    return " or ".join(f"{name}={getattr(config, name)}" for name in names) or f"the size {', '.join(map(str, sizes))}"


def _bare(name: str, prefix: str) -> str:
    return name.removeprefix(prefix)


def _renamed(name: str, key_mapping: Mapping[str, str] | None) -> str:
    for pattern, replacement in (key_mapping or {}).items():
        name = re.sub(pattern, replacement, name)
    return name


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
