"""The files of a published checkpoint: found in a folder or on the Hub, and refused where they cannot be read safely.

Weights are read from safetensors only. Every other format of the Hub is, or may contain, a program that runs when the
file is opened (`pickle`), so it is not opened here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from ..hub_names import check_hub_name

__all__ = ["TOKENIZER_FILES", "CheckpointSource", "tensor_names", "weight_files"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# What a checkpoint is downloaded for; nothing below the top folder, which holds exports to other formats.
_WANTED_WEIGHTS = (WEIGHTS, "model-*-of-*.safetensors")
_WANTED_TEXT = ("*.json", "*.txt", "*.model", "*.spm", "*.bpe", "*.codes", "bpecodes")
# Any of these makes a tokenizer.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "vocab-src.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
)
# Ending of a weight file: what it is, and why it is not read.
_OTHER_WEIGHTS = {
    ".bin": "pickled by PyTorch; unpickling runs whatever program its author put in",
    ".pt": "pickled by PyTorch; unpickling runs whatever program its author put in",
    ".pth": "pickled by PyTorch; unpickling runs whatever program its author put in",
    ".ckpt": "pickled by PyTorch Lightning; unpickling runs whatever program its author put in",
    ".h5": "of TensorFlow, which transformers no longer reads",
    ".msgpack": "of Flax, which transformers no longer reads",
    ".ot": "of rust-bert, which nothing here reads",
    ".gguf": "of llama.cpp, usually quantized",
    ".onnx": "a compiled graph, from which no model can be made again",
}


@dataclass(frozen=True)
class CheckpointSource:
    """A folder, or a model on the Hub.

    Attributes:
        name: the folder's path, or `user/model`.
        revision: branch, tag or commit on the Hub.
        token: for private models; True for the one that is logged in.
        cache_dir: where downloads are kept, None for the usual place.
        local_files_only: take what was downloaded before, and ask nobody.
    """

    name: str
    revision: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False

    def __repr__(self) -> str:  # the generated one would show the token
        return f"{type(self).__name__}(name={self.name!r}, revision={self.revision!r})"

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this machine, which comes before a model of the same name."""
        return Path(self.name).is_dir()

    def config(self) -> dict[str, Any]:
        """What config.json says.

        Raises:
            FileNotFoundError: there is no such folder or model, or it has no config.json.
            ValueError: it is something else than a model, or config.json is broken.
        """
        if self.is_folder:
            path = Path(self.name) / CONFIG
            if not path.is_file():
                raise _no_config(self.name, [entry.name for entry in Path(self.name).iterdir()])
        else:
            self._refuse_paths()
            path = Path(self._from_hub(hf_hub_download, filename=CONFIG))
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{CONFIG} of source={self.name!r} is no JSON ({error}); download it again.") from error
        if not isinstance(config, dict):
            raise ValueError(f"{CONFIG} of source={self.name!r} holds no configuration but {type(config).__name__}.")
        return config

    def folder(self, weights: bool = True) -> Path:
        """The folder with all files, downloaded if it is not one of this machine.

        Args:
            weights: whether weights are needed; without, only the small files are downloaded.

        Raises:
            FileNotFoundError: as for `config`, or a shard is missing.
            ValueError: it has no safetensors.
        """
        if self.is_folder:
            folder = Path(self.name)
        else:
            self._refuse_paths()
            wanted = (*_WANTED_TEXT, *_WANTED_WEIGHTS) if weights else _WANTED_TEXT
            folder = Path(self._from_hub(snapshot_download, allow_patterns=list(wanted), ignore_patterns="*/*"))
        if weights and not weight_files(folder):
            raise self._no_safetensors(folder)
        return folder

    def _refuse_paths(self) -> None:
        """What was meant as a path is not asked of the Hub."""
        path = Path(self.name)
        if path.is_file():
            raise ValueError(f"source={self.name!r} is a file; give the folder that it lies in, with its {CONFIG}.")
        check_hub_name(self.name, "source")

    def _from_hub(self, download: Any, **what: Any) -> str:
        try:
            return download(
                self.name,
                **what,
                revision=self.revision,
                token=self.token,
                cache_dir=self.cache_dir,
                local_files_only=self.local_files_only,
            )
        except HFValidationError as error:
            raise FileNotFoundError(
                f"source={self.name!r} is neither a folder nor a name that a model on the Hub can have (user/model)."
            ) from error
        except GatedRepoError as error:
            raise FileNotFoundError(
                f"source={self.name!r} is gated: accept its terms at https://huggingface.co/{self.name}, log in with "
                "`hf auth login`, and try again."
            ) from error
        except RepositoryNotFoundError as error:
            raise FileNotFoundError(
                f"There is no folder and no model on the Hub called source={self.name!r}, or it is private: check the "
                "name, or log in with `hf auth login`."
            ) from error
        except RevisionNotFoundError as error:
            raise FileNotFoundError(f"source={self.name!r} has no revision={self.revision!r}.") from error
        except LocalEntryNotFoundError as error:
            # Without the Hub, what is there of a folder may do; a file that is missing and needed is missed by name.
            if getattr(error, "snapshot_path", None):
                return error.snapshot_path
            raise FileNotFoundError(
                f"source={self.name!r} is no folder, was not downloaded before, and the Hub cannot be reached or must "
                "not be asked (local_files_only, HF_HUB_OFFLINE)."
            ) from error
        except EntryNotFoundError as error:
            raise _no_config(self.name, []) from error

    def _no_safetensors(self, folder: Path) -> ValueError:
        found = sorted(path for path in folder.iterdir() if path.suffix in _OTHER_WEIGHTS)
        if found:
            reasons = {path.suffix: f"{path.name} is {_OTHER_WEIGHTS[path.suffix]}" for path in found}
            why = f"has no {WEIGHTS}, only others: {'; '.join(reasons.values())}"
        else:
            why = f"has no {WEIGHTS}; pickled weights (.bin) run a program when they are opened and are not downloaded"
        return ValueError(
            f"source={self.name!r} {why}. For models on the Hub https://huggingface.co/spaces/safetensors/convert "
            "makes a pull request with safetensors; give its revision, refs/pr/N (many models have one already). Or, "
            "if you trust the author, load it with transformers in a container without network, call save_pretrained, "
            "and convert the folder that it wrote."
        )


def _no_config(name: str, files: Iterable[str]) -> Exception:
    files = sorted(files)
    if "adapter_config.json" in files:
        return ValueError(
            f"source={name!r} is an adapter of PEFT, not a model: load it onto its base model, call "
            "merge_and_unload(), save that, and convert the folder."
        )
    if any(file.endswith(".gguf") for file in files):
        return ValueError(
            f"source={name!r} holds a GGUF file, which is made for llama.cpp and usually quantized; convert the model "
            "that it was made from."
        )
    if any(file.startswith("bert_model.ckpt") or file == "bert_config.json" for file in files):
        return ValueError(
            f"source={name!r} is a checkpoint of the original BERT in TensorFlow; docs/conversion.md says how it comes "
            "in (--format bert-tf)."
        )
    return FileNotFoundError(
        f"source={name!r} has no {CONFIG}, so nothing says what its weights compute. Give the folder that "
        "save_pretrained wrote, or the name of a model on the Hub."
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder: one file, or the shards that its index names; none if there are none.

    Raises:
        FileNotFoundError: the index names a shard that is not there.
        ValueError: the index is broken.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    try:
        names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / INDEX} is no index of shards ({error!r}); download it again.") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of {len(names)} shards ({', '.join(missing[:3])}); download them again."
        )
    return [folder / name for name in names]


def tensor_names(folder: Path) -> set[str]:
    """Names of the tensors in a folder's safetensors; no tensor is read.

    Raises:
        ValueError: a file is damaged.
    """
    names: set[str] = set()
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                names |= set(file.keys())
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged or no safetensors ({error}); download it again.") from error
    return names
