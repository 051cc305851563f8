"""Convert a published model of a vanilla family into ours: weights, tokenizer, generation settings, card.

SOURCE is a model on the Hub or a folder. Weights are read from safetensors only, and no code of the model runs. Before
anything is written, both models read the same random tokens, and the largest difference between them is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  hf-vanilla convert google-bert/bert-base-uncased bert
  hf-vanilla convert google-bert/bert-base-uncased bert-encoder --head base
  hf-vanilla convert Helsinki-NLP/opus-mt-en-de opus --dtype float32
  hf-vanilla convert ./my-finetuned-gpt2 gpt2 --tokenizer openai-community/gpt2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is converted, and where it goes."""
    parser.add_argument("source", metavar="SOURCE", help="model on the Hub (user/model), or folder")
    parser.add_argument("folder", metavar="FOLDER", help="folder for the converted model; must be new")
    parser.add_argument("--head", metavar="HEAD", help="base, masked-lm, causal-lm, ... (default: as it was saved)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16, or auto: as it was saved")
    tokenizer = parser.add_mutually_exclusive_group()
    tokenizer.add_argument("--tokenizer", metavar="SOURCE", help="take the tokenizer from there")
    tokenizer.add_argument("--without-tokenizer", action="store_true", help="write none")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub; refs/pr/N for a pull request")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where downloads are kept")
    parser.add_argument("--offline", action="store_true", help="take what was downloaded before, and ask nobody")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier conversion in FOLDER")


def run(arguments: argparse.Namespace) -> int:
    """Converts, compares, and writes the folder."""
    import transformers

    from ..conversion import from_stock
    from ..conversion.checkpoint import load_stock
    from ..conversion.comparison import largest_difference
    from ..hub import ModelCardText, export_folder

    _check_new(Path(arguments.folder), arguments.overwrite)
    dtype = _dtype(arguments.dtype)
    # What was not loaded is refused here with its reason, or is no part of the model that was asked for.
    transformers.logging.set_verbosity_error()
    source = _source(arguments, arguments.source)
    stock = load_stock(source, head=arguments.head, dtype=dtype)
    tokenizer = _tokenizer(arguments, source)
    ours = from_stock(stock)
    difference = largest_difference(stock, ours)
    card = ModelCardText(
        name=Path(arguments.folder).resolve().name,
        summary=f"A {type(ours).__name__} with the weights of {arguments.source}, which computes what that computes.",
        parent=None if source.is_folder else arguments.source,
    )
    folder = export_folder(ours, tokenizer, arguments.folder, card=card, overwrite=arguments.overwrite)
    print(f"{type(stock).__name__} is {type(ours).__name__} with {_knobs(ours)}")
    print(f"largest difference between their outputs, in {str(stock.dtype).removeprefix('torch.')}: {difference:.1e}")
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.suffix != '.py'))}")
    return 0


def _check_new(folder: Path, overwrite: bool) -> None:
    """Raises ValueError, before any work, if the folder holds something that must stay."""
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ValueError(f"{folder} holds something; choose a new folder, or pass --overwrite to replace a conversion.")


def _source(arguments: argparse.Namespace, name: str) -> Any:
    from ..conversion.checkpoint_files import CheckpointSource

    return CheckpointSource(
        name, revision=arguments.revision, cache_dir=arguments.cache_dir, local_files_only=arguments.offline
    )


def _dtype(name: str) -> Any:
    import torch

    if name == "auto":
        return name
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"--dtype {name} is no type of weights; choose float32, bfloat16, float16, float64 or auto.")
    return dtype


def _tokenizer(arguments: argparse.Namespace, source: Any) -> Any:
    """The tokenizer of the source, or the one asked for."""
    from ..conversion.checkpoint_tokenizer import load_tokenizer

    if arguments.without_tokenizer:
        return None
    if arguments.tokenizer is not None:
        return load_tokenizer(_source(argparse.Namespace(**{**vars(arguments), "revision": None}), arguments.tokenizer))
    return load_tokenizer(source)


def _knobs(model: Any) -> str:
    """What separates this model from others of its stack, in the configuration's words."""
    config = model.config
    names = ("norm_first", "position_embedding_type", "layernorm_embedding", "scale_embedding", "hidden_act")
    return ", ".join(f"{name}={getattr(config, name)!r}" for name in names)
