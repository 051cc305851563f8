"""Find the files of a published checkpoint in a folder or on the Hub.

Weights are read from safetensors only. Pickled weights can run arbitrary code when they are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..hub_names import check_hub_name
from ..untrusted_files import read_json_object
from .config_values import CONFIG, read_config

__all__ = ["MODEL_FILES", "TOKENIZER_FILES", "CheckpointSource", "check_json_object", "weight_files"]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Files that packages and releases contain in place of a folder.
_ARCHIVES = (".zip", ".whl", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# How far a model is searched below a folder without one, to name it in the error message.
_LEVELS, _MOST_FOLDERS = 5, 1000
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# Files to download. Subfolders of a repository contain exports to other formats.
_WANTED_WEIGHTS = (WEIGHTS, "model-*-of-*.safetensors")
_WANTED_TEXT = ("*.json", "*.txt", "*.model", "*.spm", "*.bpe", "*.codes", "bpecodes", "README.md")
# A folder with one of these files has a tokenizer.
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
# Patterns of the files that a saved model and its tokenizer consist of.
MODEL_FILES = (
    CONFIG,
    "generation_config.json",
    WEIGHTS,
    INDEX,
    "model-*-of-*.safetensors",
    *TOKENIZER_FILES,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "bpe.codes",
    "vocab-tgt.json",
    "target.spm",
    "chat_template.jinja",
)
# Suffix of a weight file: its format, and why it is not loaded.
_OTHER_WEIGHTS = {
    ".bin": "pickled by PyTorch; unpickling can run arbitrary code",
    ".pt": "pickled by PyTorch; unpickling can run arbitrary code",
    ".pth": "pickled by PyTorch; unpickling can run arbitrary code",
    ".ckpt": "pickled by PyTorch Lightning; unpickling can run arbitrary code",
    ".h5": "in TensorFlow's format, which transformers no longer supports",
    ".msgpack": "in Flax's format, which transformers no longer supports",
    ".ot": "in rust-bert's format, which is not supported",
    ".gguf": "in llama.cpp's format, usually quantized",
    ".onnx": "a compiled graph, which cannot be converted back to a model",
}


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint in a folder or on the Hub.

    Attributes:
        name: path of the folder, or `user/model`.
        revision: branch, tag or commit on the Hub.
        token: access token for private models; True for the saved login.
        cache_dir: cache folder for downloads; None for the default.
        local_files_only: whether to use the cache only, without network.
    """

    name: str
    revision: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False

    def __repr__(self) -> str:  # the generated one would contain the token
        return f"{type(self).__name__}(name={self.name!r}, revision={self.revision!r})"

    @property
    def is_folder(self) -> bool:
        """Whether `name` is a local folder, which takes precedence over a model of the same name on the Hub."""
        return Path(self.name).is_dir()

    def config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            FileNotFoundError: the folder or model does not exist, or has no config.json.
            ValueError: it is not a model, or config.json is invalid.
        """
        if self.is_folder:
            path = Path(self.name) / CONFIG
            if not path.is_file():
                names = [entry.name for entry in Path(self.name).iterdir()]
                raise _no_config(self.name, names, _first_model_below(Path(self.name)))
        else:
            self._check_name()
            path = Path(self._from_hub(hf_hub_download, filename=CONFIG))
        return read_config(path)

    def folder(self, weights: bool = True) -> Path:
        """The local folder with all files; a model on the Hub is downloaded.

        Args:
            weights: whether to download the weights, too.

        Raises:
            FileNotFoundError: see `config`; or a shard is missing.
            ValueError: there are no safetensors.
        """
        if self.is_folder:
            folder = Path(self.name)
        else:
            self._check_name()
            wanted = (*_WANTED_TEXT, *_WANTED_WEIGHTS) if weights else _WANTED_TEXT
            folder = Path(self._from_hub(snapshot_download, allow_patterns=list(wanted), ignore_patterns="*/*"))
        if weights and not weight_files(folder):
            raise self._no_safetensors(folder)
        return folder

    def subfolder_files(self, patterns: Iterable[str]) -> Path:
        """The local folder, after a download of its files that match `patterns`, such as `1_Pooling/*.json`."""
        if self.is_folder:
            return Path(self.name)
        return Path(self._from_hub(snapshot_download, allow_patterns=list(patterns)))

    def _check_name(self) -> None:
        """Raises an error if the name is a local file, or a path that does not exist."""
        if Path(self.name).is_file():
            if self.name.lower().endswith(_ARCHIVES):
                raise ValueError(
                    f"source={self.name!r} is an archive: unpack it (python -m zipfile -e or python -m tarfile -e) and "
                    f"give the unpacked folder that contains {CONFIG}."
                )
            raise ValueError(f"source={self.name!r} is a file; give its folder, which must contain {CONFIG}.")
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
        except GatedRepoError as error:
            raise FileNotFoundError(
                f"source={self.name!r} is gated: accept its terms at https://huggingface.co/{self.name}, log in with "
                "`hf auth login`, and try again."
            ) from error
        except RepositoryNotFoundError as error:
            raise FileNotFoundError(
                f"There is no folder and no model on the Hub with the name source={self.name!r}, or it is private: "
                "check the name, or log in with `hf auth login`."
            ) from error
        except RevisionNotFoundError as error:
            raise FileNotFoundError(
                f"source={self.name!r} has no revision={self.revision!r}; give an existing branch, tag or commit."
            ) from error
        except LocalEntryNotFoundError as error:
            # Without network, an incomplete snapshot may be enough; missing files raise an error later.
            if getattr(error, "snapshot_path", None):
                return error.snapshot_path
            raise FileNotFoundError(
                f"source={self.name!r} is not a local folder and not in the cache, and the Hub is unreachable or "
                "disabled (local_files_only, HF_HUB_OFFLINE)."
            ) from error
        except EntryNotFoundError as error:
            raise _no_config(self.name, []) from error

    def _no_safetensors(self, folder: Path) -> ValueError:
        safe = sorted(path.name for path in folder.glob("*.safetensors"))
        if any(_SHARD.fullmatch(name) for name in safe):
            return ValueError(f"source={self.name!r} has shards, but no {INDEX}, which lists them; download it again.")
        if safe:
            adapter = "adapter_model.safetensors" in safe
            return ValueError(
                f"source={self.name!r} has no {WEIGHTS}, but {', '.join(safe[:3])}. "
                + ("It is an adapter: merge it into its base model." if adapter else f"Rename the model to {WEIGHTS}.")
            )
        if reasons := other_weights(folder):
            why = f"has no {WEIGHTS}: {reasons}"
        else:
            why = f"has no {WEIGHTS}; pickled weights (.bin) can run arbitrary code and are not downloaded"
        return ValueError(
            f"source={self.name!r} {why}. For models on the Hub, https://huggingface.co/spaces/safetensors/convert "
            "creates a pull request with safetensors; pass its revision, refs/pr/N (many models have one already). "
            "If you trust the author, you can also load the model with transformers in a container without network, "
            "call save_pretrained, and convert the saved folder."
        )


def _first_model_below(folder: Path) -> Path | None:
    """The nearest folder below `folder` that contains a model, or None.

    Packages, old versions of sentence-transformers and the cache of the Hub have the model some levels down. Hidden
    folders are not searched.
    """
    level = [folder]
    for _ in range(_LEVELS):
        level = sorted(path for one in level for path in _folders_in(one))[:_MOST_FOLDERS]
        for path in level:
            if (path / CONFIG).is_file() and b'"model_type"' in (path / CONFIG).read_bytes():
                return path
    return None


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:  # without permission to read it
        return []


def _no_config(name: str, files: Iterable[str], below: Path | None = None) -> Exception:
    files = sorted(files)
    if "adapter_config.json" in files:
        return ValueError(
            f"source={name!r} is an adapter of PEFT, not a model: load it with its base model, call "
            "merge_and_unload(), save the merged model, and convert that folder."
        )
    if any(file.endswith(".gguf") for file in files):
        return ValueError(
            f"source={name!r} contains a GGUF file for llama.cpp, which is usually quantized; convert the original "
            "model."
        )
    if any(file.startswith("bert_model.ckpt") or file == "bert_config.json" for file in files):
        return ValueError(
            f"source={name!r} is a checkpoint of the original BERT in TensorFlow; docs/conversion.md describes its "
            "conversion (--format bert-tf)."
        )
    if {"meta.json", "config.cfg"} <= set(files):
        return ValueError(
            f"source={name!r} is a pipeline of spaCy. Save its Transformer with transformers, "
            "spacy.load(...).get_pipe('transformer').model.transformer.save_pretrained(folder), and the tokenizer in "
            "the same way (model.tokenizer); then convert that folder."
        )
    if below is not None:
        return FileNotFoundError(f"source={name!r} has no {CONFIG}, but its folder {below} has one: give that one.")
    if archives := [file for file in files if file.lower().endswith(_ARCHIVES)]:
        return FileNotFoundError(
            f"source={name!r} has no {CONFIG}, but an archive, {archives[0]}: unpack it (python -m zipfile -e or "
            f"python -m tarfile -e), and give the unpacked folder that contains {CONFIG}."
        )
    return FileNotFoundError(
        f"source={name!r} has no {CONFIG}. Give a folder written by save_pretrained, or the name of a model on the Hub."
    )


def other_weights(folder: Path) -> str:
    """The weights in `folder` that are not in safetensors format, and why they are not loaded; empty without such."""
    of_reason: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if (reason := _OTHER_WEIGHTS.get(path.suffix)) is not None:
            of_reason.setdefault(reason, []).append(path.name)
    return "; ".join(
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {reason}" for reason, names in of_reason.items()
    )


def check_json_object(path: Path) -> None:
    """Raises ValueError if the file exists and does not contain a JSON object; transformers would ignore the file."""
    if not path.is_file():
        return
    read_json_object(path, "download it again, or delete it")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files in `folder`: one file, or the shards in its index. The list can be empty.

    Raises:
        FileNotFoundError: a shard in the index does not exist.
        ValueError: the index is invalid, or names a file elsewhere.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    try:
        names = sorted(set(read_json_object(folder / INDEX)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / INDEX} is not a valid index of shards ({error!r}); download it again.") from error
    for name in names:
        # A name is not a path: `../../` or `/` would read the weights of another model.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{folder / INDEX} names {name!r}, which is no safetensors file of its folder.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of {len(names)} shards ({', '.join(missing[:3])}); download them again."
        )
    return [folder / name for name in names]
