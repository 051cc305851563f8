"""What can be wrong with the folder of a model: a table of damages for any family, each with the words of its error."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Damage:
    """A change of the folder of a model, and a pattern of the error."""

    message: str
    change: Callable[[Path], object]

    @staticmethod
    def copied(original: Path, folder: Path) -> Path:
        """A copy of a folder whose files can be changed."""
        shutil.copytree(original, folder)
        return folder

    def applied(self, original: Path, folder: Path) -> Path:
        """A damaged copy of a folder."""
        self.change(self.copied(original, folder))
        return folder


def edit(folder: Path, **fields: Any) -> None:
    """Changes fields of config.json; `num_hidden_layers` are those of the encoder where there are two stacks."""
    config = json.loads((folder / "config.json").read_text())
    if "encoder_layers" in config and "num_hidden_layers" in fields:
        fields["encoder_layers"] = fields.pop("num_hidden_layers")
    (folder / "config.json").write_text(json.dumps(config | fields))


def field(message: str, **fields: Any) -> Damage:
    return Damage(message, lambda folder: edit(folder, **fields))


def content(message: str, name: str, data: bytes) -> Damage:
    return Damage(message, lambda folder: (folder / name).write_bytes(data))


def tensors(message: str, change: Callable[[dict[str, torch.Tensor], str], object]) -> Damage:
    """Changes the tensors; the change is given their names, and that of the inner bias of a layer's network."""

    def rewrite(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        change(found, next(name for name in sorted(found) if "fc1.bias" in name or "intermediate.dense.bias" in name))
        save_file(found, folder / WEIGHTS, {"format": "pt"})

    return Damage(message, rewrite)


def flipped(folder: Path, place: int) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[place] ^= 0x40
    (folder / WEIGHTS).write_bytes(data)


def truncated(folder: Path, size: int) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:size])


def shards(folder: Path) -> None:
    found = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    index = {}
    for number in (0, 1):
        name = f"model-0000{number + 1}-of-00002.safetensors"
        part = {key: found[key] for key in sorted(found)[number::2]}
        save_file(part, folder / name, {"format": "pt"})
        index |= dict.fromkeys(part, name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))


def missing_shard(folder: Path) -> None:
    shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def wrong_index(folder: Path) -> None:
    shards(folder)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["nothing.weight"] = "model-00002-of-00002.safetensors"
    (folder / INDEX).write_text(json.dumps(index))


def half_precision(folder: Path) -> None:
    found = {name: tensor.half() for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(found, folder / WEIGHTS, {"format": "pt"})


def _not_a_number(found: dict[str, torch.Tensor], name: str) -> None:
    found[name][0] = float("nan")


DAMAGES = {
    # The two files belong to different models.
    "vocabulary": field(r"config\.json requires vocab_size=77.*embed.*weight.*instead of \(77, ", vocab_size=77),
    "width": field(r"config\.json requires hidden_size=96", hidden_size=96),
    "inner width": field(r"config\.json requires intermediate_size=72", intermediate_size=72),
    "too many layers": field(r"config\.json has \w+_layers=3, but the weights have 2|layer\.2\.", num_hidden_layers=3),
    "too few layers": field(r"config\.json has \w+_layers=1, but the weights have 2|layer\.1\.", num_hidden_layers=1),
    "missing tensor": tensors("(lack|has no) .*bias", lambda found, name: found.pop(name)),
    "layer too many": tensors(
        "8 .*layers|contain.*layer.*7", lambda found, name: found.update({name.replace("0", "7"): torch.zeros(3)})
    ),
    "shape": tensors(
        r"bias in model\.safetensors has the shape \(5,\)", lambda found, name: found.update({name: torch.zeros(5)})
    ),
    "whole numbers": tensors("of type I32", lambda found, name: found.update({name: found[name].int()})),
    "NaN": tensors(r"1 of \d+ weights in .*bias that are not numbers", _not_a_number),
    # A file is damaged.
    "truncated weights": Damage(r"model\.safetensors is damaged", lambda folder: truncated(folder, 5000)),
    "truncated header": Damage(r"model\.safetensors is damaged", lambda folder: truncated(folder, 100)),
    "flipped bit": Damage(r"model\.safetensors is damaged", lambda folder: flipped(folder, 20)),
    "no weights": content(r"model\.safetensors is damaged.*it is empty", WEIGHTS, b""),
    "endless header": content(r"model\.safetensors is damaged", WEIGHTS, struct.pack("<Q", 1 << 60) + b"{}" * 50),
    "pointer": content("git lfs pull", WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n"),
    "missing shard": Damage(r"lacks 1 of 2 shards \(model-00002", missing_shard),
    "wrong index": Damage(r"index\.json says that .* contains nothing\.weight", wrong_index),
    "no JSON": content(r"config\.json is not valid JSON", "config.json", b"{"),
    "no object": content(r"config\.json must contain a JSON object", "config.json", b"[]"),
    "no text": content(r"config\.json is not UTF-8", "config.json", bytes(range(128, 256))),
    "generation": content(r"generation_config\.json is not valid JSON", "generation_config.json", b"{"),
    "generated length": content(
        r"generation_config\.json has max_new_tokens=-3", "generation_config.json", b'{"max_new_tokens": -3}'
    ),
    # A value is of the wrong type, or absurd.
    "text for a number": field(r"config\.json.*'hidden_size' expected int", hidden_size="16"),
    "heads": field(r"config\.json.*hidden.*heads|config\.json.*hidden size", num_attention_heads=7),
    "classes": field(r"config\.json has architectures=3", architectures=3),
    "labels": field(r"config\.json has id2label=\{'a': 'b'\}", id2label={"a": "b"}),
    "type": field(r"config\.json has dtype='float99'", dtype="float99"),
    "activation": field(r"config\.json.*gellu", hidden_act="gellu"),
    "endless width": field(r"config\.json has hidden_size=1000000000", hidden_size=10**9),
    "endless positions": field(r"config\.json has max_position_embeddings", max_position_embeddings=2**31),
    "endless layers": field(r"config\.json has \w+_layers=1000000000", num_hidden_layers=10**9),
    "negative layers": field(r"config\.json has \w+_layers=-3", num_hidden_layers=-3),
    "endless labels": field(r"config\.json has num_labels=100000000", num_labels=10**8),
}


def _changed(change: Callable[[Path], object]) -> Callable[[Path, Path], Path]:
    def copy(original: Path, folder: Path) -> Path:
        change(Damage.copied(original, folder))
        return folder

    return copy


# Other forms of a sound folder.
HARMLESS = {
    "shards": _changed(shards),
    "half precision": _changed(half_precision),
    "a note": _changed(lambda folder: edit(folder, note_of_somebody={"a": 1})),
}
