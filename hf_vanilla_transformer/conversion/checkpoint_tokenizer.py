"""Load the tokenizer of a checkpoint. It is not converted: both models use the same ids."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..untrusted_files import read_json, read_json_object
from .checkpoint_files import TOKENIZER_FILES, CheckpointSource
from .config_files import load_config
from .config_values import CONFIG, read_config
from .loading_errors import first_line

__all__ = ["has_tokenizer", "load_tokenizer", "read_tokenizer", "tokens_beyond"]

# Read by transformers if they exist; all of them are JSON, and those of `_OBJECTS` contain an object.
_OBJECTS = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
_JSON = (*_OBJECTS, "special_tokens_map.json", "added_tokens.json")
# Suffixes of the models of SentencePiece.
_SENTENCEPIECE = (".model", ".spm")
_REMEDY = "download or save the tokenizer again"
# For the conversion of a model, which can be converted without its tokenizer.
CONVERSION_REMEDY = f"{_REMEDY}, or give another one (--tokenizer; --without-tokenizer for none)"


def load_tokenizer(source: CheckpointSource, *, remedy: str = _REMEDY) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of a checkpoint. No remote code runs.

    Args:
        source: a folder or a model on the Hub.
        remedy: what errors recommend.

    Raises:
        ValueError: there is no tokenizer, it is damaged or incomplete, or it needs a missing package or remote code.
    """
    folder = source.folder(weights=False)
    if not has_tokenizer(folder):
        raise ValueError(f"source={source.name!r} has no tokenizer ({', '.join(TOKENIZER_FILES)}); {remedy}.")
    return read_tokenizer(folder, source.name, remedy=remedy)


def has_tokenizer(folder: str | Path) -> bool:
    """Whether `folder` contains a file of a tokenizer."""
    return any((Path(folder) / name).is_file() for name in TOKENIZER_FILES)


def read_tokenizer(folder: str | Path, name: str | None = None, *, remedy: str = _REMEDY) -> PreTrainedTokenizerBase:
    """Loads the tokenizer in a folder. No remote code runs.

    Args:
        folder: a folder with at least one of `TOKENIZER_FILES`.
        name: name of the folder in messages; None for `folder`.
        remedy: what errors recommend.

    Raises:
        ValueError: a file is damaged or missing, or a package is missing.
    """
    folder = Path(folder)
    name = str(folder) if name is None else name
    _check_json(folder, remedy)
    _check_companions(folder, name, remedy)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise ValueError(f"The tokenizer of {name} needs a missing package: {' '.join(str(error).split())}") from error
    except Exception as error:  # the library tokenizers raises plain Exception for files that it cannot read
        if "trust_remote_code=True" in str(error):
            raise ValueError(
                f"The tokenizer of {name} is Python code in its folder, which does not run without permission "
                f"(trust_remote_code=True of transformers); {remedy}."
            ) from error
        if (folder / CONFIG).is_file():
            load_config(folder)  # names what is wrong in config.json, which can be the reason
        raise ValueError(
            f"The tokenizer of {name} cannot be loaded ({type(error).__name__}: {first_line(error)[:200]}); {remedy}."
        ) from error
    tokenizer.init_kwargs.pop("local_files_only", None)  # it would be saved with the tokenizer
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise ValueError(
            f"The tokenizer of {name} has no vocabulary: its folder needs tokenizer.json or the file of its class "
            f"({type(tokenizer).__name__}), such as vocab.txt; {remedy}."
        )
    return tokenizer


def tokens_beyond(tokenizer: PreTrainedTokenizerBase, vocab_size: int, *, mask: bool = True) -> list[str]:
    """The tokens whose ids a model with `vocab_size` embeddings does not have, in the order of their ids.

    Args:
        tokenizer: the tokenizer.
        vocab_size: number of embeddings.
        mask: whether the mask token counts. Only masked language models and denoising use it, and models trained for
            another task may lack it: the tokenizer of facebook/bart-large-cnn has one entry more than its model.
    """
    return [
        token
        for token, index in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if index >= vocab_size and (mask or token != tokenizer.mask_token)
    ]


def _check_json(folder: Path, remedy: str) -> None:
    """Raises ValueError if a JSON file of the tokenizer is damaged; transformers' message would not name it."""
    if (folder / CONFIG).is_file():
        read_config(folder / CONFIG)
    for path in [folder / name for name in _JSON if (folder / name).is_file()]:
        if path.name in _OBJECTS:
            content = read_json_object(path, remedy)
            longest = content.get("model_max_length")
            if path.name == "tokenizer_config.json" and not isinstance(longest, (int, float, type(None))):
                raise ValueError(f"{path} has model_max_length={longest!r}, which is not a number; {remedy}.")
        else:
            read_json(path, remedy)


def _check_companions(folder: Path, name: str, remedy: str) -> None:
    """Raises ValueError if the tokenizer lacks a package or a second file, for which transformers' errors are vague."""
    if (folder / "tokenizer.json").is_file():
        return
    models = sorted(path.name for path in folder.iterdir() if path.suffix in _SENTENCEPIECE)
    if models and importlib.util.find_spec("sentencepiece") is None:
        raise ValueError(
            f"The tokenizer of {name} is in SentencePiece's format ({', '.join(models)}), which needs the package "
            "sentencepiece: pip install 'hf_vanilla_transformer[sentencepiece]'"
        )
    if (folder / "vocab.json").is_file() and not models and not (folder / "merges.txt").is_file():
        raise ValueError(f"The tokenizer of {name} has vocab.json, but no merges.txt, which belongs to it; {remedy}.")
