"""The values of a config.json that may come from anybody: checked before anything is built of them.

A configuration of transformers makes a list of `num_labels` names, and a model makes its layers one by one, before
anything is compared with the weights. So numbers without measure are refused here. The checks need neither torch nor
transformers, so that a wrong file is reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..untrusted_files import read_json_object

__all__ = ["CONFIG", "REMEDY", "check_config_values", "read_config", "saved_config"]

CONFIG = "config.json"
REMEDY = "correct the field, or download or save the model again"
_COMMON_DTYPES = {"float32", "float16", "bfloat16", "float64"}
_MOST_LABELS = 1_000_000
# Field names of all families that count something, by the largest value that is accepted. Each is far beyond any
# published model; the shapes of the weights decide about smaller ones.
_LARGEST = {
    10_000: ("num_hidden_layers", "encoder_layers", "decoder_layers", "n_layer", "n_layers", "num_layers",
             "num_decoder_layers"),
    100_000: ("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "n_head", "n_heads"),
    1_000_000: ("hidden_size", "embedding_size", "d_model", "dim", "n_embd", "type_vocab_size", "position_offset"),
    10_000_000: ("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "hidden_dim", "n_inner", "d_ff", "ffn_dim"),
    20_000_000: ("vocab_size", "src_vocab_size", "tgt_vocab_size", "max_position_embeddings", "n_positions", "n_ctx"),
}  # fmt: skip
_LARGEST_OF = {name: largest for largest, names in _LARGEST.items() for name in names}


def read_config(path: Path) -> dict[str, Any]:
    """The content of a config.json.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is not a JSON object, or a value is of the wrong type or too large; the message names the file.
    """
    config = read_json_object(path)
    check_config_values(config, path)
    return config


def saved_config(folder: str | Path) -> dict[str, Any]:
    """The content of the config.json in a folder that must have one.

    Raises:
        FileNotFoundError: there is no such folder, or no config.json in it.
        ValueError: as for `read_config`.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        missing = f"There is no config.json in {folder}" if Path(folder).is_dir() else f"There is no folder {folder}"
        if Path(folder).is_file():
            missing = f"{folder} is a file"
        raise FileNotFoundError(
            f"{missing}: give a folder written by `hf-vanilla train` or save_pretrained. Download a model from the Hub "
            "with `hf download USER/MODEL --local-dir FOLDER`."
        )
    return read_config(path)


def check_config_values(config: Mapping[str, Any], path: str | Path) -> None:
    """Checks the values of a config.json that transformers takes as they are.

    Args:
        config: content of the file.
        path: of the file, for the message.

    Raises:
        ValueError: a value is of the wrong type, negative, or larger than any model has; the message names the file,
            the field and the value.
    """
    for name, largest in _LARGEST_OF.items():
        value = config.get(name)
        if isinstance(value, int) and not 0 <= value <= largest:
            raise _wrong(path, name, value, f"must be from 0 to {largest:,}")
    labels = config.get("num_labels")
    if labels is not None and not (isinstance(labels, int) and 0 <= labels <= _MOST_LABELS):
        raise _wrong(path, "num_labels", labels, f"must be a number from 0 to {_MOST_LABELS:,}")
    _check_type(path, config, "model_type", str, "a name")
    for name in ("id2label", "label2id", "auto_map", "quantization_config", "task_specific_params"):
        _check_type(path, config, name, dict, "an object")
    for key in config.get("id2label") or {}:
        if not key.removeprefix("-").isdecimal():
            raise _wrong(path, "id2label", {key: config["id2label"][key]}, "must have numbers as keys")
    classes = config.get("architectures")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise _wrong(path, "architectures", classes, "must be a list of class names")
    for name in ("dtype", "torch_dtype"):
        kind = config.get(name)
        if kind is not None and kind != "auto" and not isinstance(kind, dict) and not _is_dtype(kind):
            raise _wrong(path, name, kind, "must be a type of torch, such as float32")


def _check_type(path: str | Path, config: Mapping[str, Any], name: str, kind: type, what: str) -> None:
    if config.get(name) is not None and not isinstance(config[name], kind):
        raise _wrong(path, name, config[name], f"must be {what}")


def _wrong(path: str | Path, name: str, value: Any, rule: str) -> ValueError:
    return ValueError(f"{path} has {name}={repr(value)[:100]}, but it {rule}; {REMEDY}.")


def _is_dtype(name: Any) -> bool:
    if not isinstance(name, str) or name.removeprefix("torch.") in _COMMON_DTYPES:
        return isinstance(name, str)
    import torch  # only for a rare type: a mistake in another place of the file is then reported without waiting for it

    return isinstance(getattr(torch, name.removeprefix("torch."), None), torch.dtype)
