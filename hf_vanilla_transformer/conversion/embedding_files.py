"""The files of sentence-transformers beside a model, which say how its token states become one vector for a text.

`modules.json` lists the modules: the model itself, then pooling, normalization and linear layers, each with a folder. A
converted or exported model keeps these files, so that `SentenceTransformer(folder)` gives the vectors of the original.
Without them it would take the mean of the states, which for most models is another function.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..untrusted_files import read_json
from .checkpoint_files import CheckpointSource

__all__ = ["MODULES_FILE", "EmbeddingFiles", "embedding_files", "embedding_files_of_source"]

MODULES_FILE = "modules.json"
# Beside modules.json: prompts and similarity; length and case of the text. The second has a name for each old family.
_TOP_LEVEL = ("config_sentence_transformers.json", "sentence_*_config.json")
# Only text that is data, and weights that cannot run code.
_IN_A_MODULE = ("*.json", "*.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class EmbeddingFiles:
    """The files of sentence-transformers in a folder.

    Attributes:
        folder: the folder.
        names: paths relative to it, with `/`.
        modules: short names of the modules behind the model, such as `Pooling`.
    """

    folder: Path
    names: tuple[str, ...]
    modules: tuple[str, ...]

    def copy_to(self, target: Path) -> None:
        """Copies the files into another folder."""
        for name in self.names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / name, target / name)


def embedding_files(folder: str | Path) -> EmbeddingFiles | None:
    """The files of sentence-transformers in a folder; None if it has no modules.json.

    Raises:
        ValueError: a file is damaged, pickled or missing, the first module is not the model of the folder, or a module
            is not of sentence-transformers, so that its code would have to come with it.
    """
    folder = Path(folder)
    if not (folder / MODULES_FILE).is_file():
        return None
    modules = _modules(folder)
    names = [MODULES_FILE]
    for pattern in _TOP_LEVEL:
        names += sorted(path.name for path in folder.glob(pattern))
    for _, path in modules[1:]:
        pickled = sorted(file.name for file in (folder / path).glob("*") if file.suffix in _PICKLED)
        if pickled and not any((folder / path).glob("*.safetensors")):
            raise ValueError(
                f"{folder / path / pickled[0]} is pickled, and unpickling can run arbitrary code: load the model with "
                "sentence-transformers in a container without network, save it, and take that folder."
            )
        for pattern in _IN_A_MODULE:
            names += sorted(f"{path}/{file.name}" for file in (folder / path).glob(pattern))
    for name in names:
        _check_content(folder / name)
    return EmbeddingFiles(folder, tuple(names), tuple(kind for kind, _ in modules[1:]))


def embedding_files_of_source(source: CheckpointSource) -> EmbeddingFiles | None:
    """The same for a checkpoint; the folders of its modules are downloaded from the Hub.

    Raises:
        ValueError: see `embedding_files`.
    """
    folder = source.folder(weights=False)
    if not (folder / MODULES_FILE).is_file():
        return None
    patterns = [f"{path}/{pattern}" for _, path in _modules(folder)[1:] for pattern in ("*.json", "*.safetensors")]
    return embedding_files(source.subfolder_files(patterns))


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Short name and folder of every module; the first is the model, with the folder ''."""
    path = folder / MODULES_FILE
    content = _check_content(path)
    entries = content if isinstance(content, list) else [None]
    if not all(isinstance(entry, dict) and isinstance(entry.get("type"), str) for entry in entries):
        raise ValueError(f"{path} must contain a list of modules with their type; download it again.")
    modules = []
    for entry in entries:
        place, kind = entry.get("path", ""), entry["type"]
        if not isinstance(place, str) or "\\" in place or place.startswith("/") or ".." in place.split("/"):
            raise ValueError(f"{path} has a module with path={place!r}, which is not inside the folder; correct it.")
        if not kind.startswith("sentence_transformers."):
            raise ValueError(
                f"{path} has a module of type={kind!r}, which is code outside of sentence-transformers; such code is "
                "never run or copied."
            )
        modules.append((kind.rpartition(".")[2], place.strip("/")))
    if not modules or modules[0][1] or not all(place for _, place in modules[1:]):
        raise ValueError(
            f"In {path}, the first module must be the model beside that file, and the others need folders, but it has "
            f"{', '.join(f'{kind} in {place!r}' for kind, place in modules) or 'no module'}; load the model with a "
            "current version of sentence-transformers and save it again."
        )
    return modules


def _check_content(path: Path) -> object:
    """The content of a JSON file; raises ValueError if the file, JSON or safetensors, is damaged."""
    try:
        if path.suffix == ".json":
            return read_json(path)
        with safe_open(path, framework="pt"):
            return None
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"{path} is damaged ({error}); download it again.") from error
