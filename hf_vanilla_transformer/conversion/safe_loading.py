"""Load the weights of models that may come from anybody: as data, never as code.

transformers loads pickled weights where there are no others, kernels that config.json names, and files outside of the
folder that an index of shards names. All loading of weights goes through `load_pretrained`, which allows none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from ..untrusted_files import read_json_object
from .checkpoint_files import check_json_object, other_weights, weight_files
from .config_files import load_config
from .config_values import CONFIG
from .loading_errors import plain_loading_errors
from .model_files import check_model_files, check_numbers

__all__ = ["check_untrusted_folder", "load_pretrained"]

_ADAPTER = "adapter_config.json"
_COUNTS = ("max_new_tokens", "max_length", "num_beams", "num_return_sequences")
_LARGEST_COUNT = 10_000_000
# Fields of config.json that choose the code of the attention; with a slash, it is code on the Hub.
_KERNEL_FIELDS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def load_pretrained(model_class: Any, source: str | Path, **options: Any) -> Any:
    """`model_class.from_pretrained(source, **options)` with safetensors only, after a check of the files of a folder.

    Args:
        model_class: a model class or an Auto class.
        source: folder of the model, or its name on the Hub.
        **options: of `from_pretrained`; `trust_remote_code` is False unless it is given. If it is true, config.json may
            name a kernel.

    Raises:
        OSError: there is no such model, or one of its files is missing.
        ValueError: the weights are pickled, config.json names a kernel on the Hub, the index of the shards names a
            file elsewhere, a file is damaged, or config.json and the weights differ (see `check_model_files`).
    """
    trusted = options.get("trust_remote_code", False)
    folder = Path(source)
    if folder.is_dir():
        check_untrusted_folder(folder, trusted=trusted)
        # PEFT loads the base model of an adapter from elsewhere.
        if (folder / CONFIG).is_file() and not (folder / _ADAPTER).is_file():
            config = options.get("config") or load_config(folder, trust_remote_code=trusted)
            check_model_files(folder, model_class, config=config, key_mapping=options.get("key_mapping"))
    elif not trusted:
        with plain_loading_errors(source):
            _check_config(PreTrainedConfig.get_config_dict(source)[0], str(source))
    with plain_loading_errors(source):
        loaded = model_class.from_pretrained(source, **{"use_safetensors": True, "trust_remote_code": False, **options})
    check_numbers(loaded[0] if isinstance(loaded, tuple) else loaded, source)
    return loaded


def check_untrusted_folder(folder: Path, *, trusted: bool = False) -> None:
    """Raises ValueError if loading the model in `folder` would run code or leave the folder; see `load_pretrained`.

    Args:
        folder: the folder.
        trusted: whether the user allows code of the model.
    """
    if (folder / CONFIG).is_file() and not trusted:
        _check_config(read_json_object(folder / CONFIG), str(folder))
    _check_generation(folder / "generation_config.json")
    if not weight_files(folder) and not any(folder.glob("*.safetensors")) and (reason := other_weights(folder)):
        raise ValueError(
            f"{folder} has no safetensors: {reason}. Use a version of the model with safetensors. If you trust the "
            "author, load it with transformers in a container without network, call save_pretrained, and use that "
            "folder."
        )


def _check_generation(path: Path) -> None:
    """Checks the limits of a generation_config.json, which transformers takes as they are."""
    check_json_object(path)
    settings = read_json_object(path) if path.is_file() else {}
    for name in _COUNTS:
        value = settings.get(name)
        if value is not None and not (isinstance(value, int) and 1 <= value <= _LARGEST_COUNT):
            raise ValueError(
                f"{path} has {name}={value!r}, but it must be from 1 to {_LARGEST_COUNT:,}; correct or delete it."
            )


def _check_config(config: Mapping[str, Any], source: str) -> None:
    for name in _KERNEL_FIELDS:
        if "/" in str(config.get(name)):
            raise ValueError(
                f"config.json of {source} has {name}={config[name]!r}, which is code on the Hub that would run on this "
                "machine: delete the field."
            )
