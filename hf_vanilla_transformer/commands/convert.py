"""Convert a published checkpoint to a model of this package: weights, tokenizer, generation settings, card.

SOURCE is a model on the Hub or a folder. Weights are read from safetensors only, and no remote code runs. The converted
model is written only if both models return the same outputs for random tokens.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from .option_types import path_or_name
from .parser import add_output_option, required_output

EXAMPLES = """\
examples:
  hf-vanilla convert google-bert/bert-base-uncased --output runs/bert
  hf-vanilla convert google-bert/bert-base-uncased --output runs/bert-encoder --head base
  hf-vanilla convert Helsinki-NLP/opus-mt-en-de --output runs/opus --dtype float32
  hf-vanilla convert ./my-finetuned-gpt2 --output runs/gpt2 --tokenizer openai-community/gpt2
  hf-vanilla convert ./wmt14.en-fr --output runs/wmt14 --format fairseq
"""

# The output was a positional argument before.
OUTPUT_BY_PLACE = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds source, output folder and options of the conversion."""
    parser.add_argument("source", metavar="SOURCE", type=path_or_name, help="model on the Hub (user/model) or folder")
    add_output_option(parser, "FOLDER", "new folder for the converted model (required)")
    parser.add_argument(
        "--head",
        metavar="HEAD",
        help="base, masked-lm, pretraining, causal-lm, seq2seq-lm, sequence-classification, token-classification, "
        "question-answering or multiple-choice (default: the head that was saved)",
    )
    parser.add_argument(
        "--dtype",
        metavar="TYPE",
        default="auto",
        help="float32, float16, bfloat16, float64 or auto, the type that was saved (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=["transformers", "bert-tf", "fairseq"],
        default="transformers",
        help="library that saved the checkpoint (default: transformers); docs/conversion.md describes the others",
    )
    tokenizer = parser.add_mutually_exclusive_group()
    tokenizer.add_argument(
        "--tokenizer", metavar="SOURCE", type=path_or_name, help="convert the tokenizer of this model or folder"
    )
    tokenizer.add_argument("--without-tokenizer", action="store_true", help="convert no tokenizer")
    parser.add_argument(
        "--revision", metavar="NAME", help="branch, tag or commit on the Hub; refs/pr/N for a pull request"
    )
    parser.add_argument(
        "--cache-dir",
        metavar="FOLDER",
        type=path_or_name,
        help="cache folder for downloads (default: that of the Hub's library)",
    )
    parser.add_argument("--offline", action="store_true", help="use the cache only, without network")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier conversion in --output")


def run(arguments: argparse.Namespace) -> int:
    """Converts the model, compares both models, and writes the folder."""
    from ..conversion.checkpoint_files import CheckpointSource
    from ..hub.export_folders import check_export_folder

    output = Path(required_output(arguments, "the new folder"))
    check_export_folder(output)
    source = CheckpointSource(
        arguments.source,
        revision=arguments.revision,
        cache_dir=arguments.cache_dir,
        local_files_only=arguments.offline,
    )
    if arguments.format == "transformers":
        source.config()
    elif not source.is_folder:
        raise ValueError(f"SOURCE {source.name} is not a local folder, which --format {arguments.format} needs.")

    from transformers.utils import logging

    from ..conversion.checkpoint import find_class
    from ..hub import ModelCardText, export_folder
    from ..hub.source_card import declared_facts

    logging.disable_progress_bar()
    dtype = _dtype(arguments.dtype)
    if arguments.format == "transformers":
        find_class(source, arguments.head)
    tokenizer = _tokenizer(arguments, source)
    if arguments.format == "transformers":
        ours, report = _from_transformers(source, arguments.head, dtype)
    else:
        ours, report = _from_original(source, arguments.format, arguments.head, dtype)
    name = Path(arguments.source).resolve().name if source.is_folder else arguments.source
    card = ModelCardText(
        name=output.resolve().name,
        summary=f"`{name}`, converted to a {type(ours).__name__} that computes the same function.",
        base_model=None if source.is_folder else name,
    )
    card = declared_facts(source.folder(weights=False), card)
    embedding, embedding_report = None, ""
    if arguments.format == "transformers":
        embedding, embedding_report = _embedding(source, output)
    folder = export_folder(ours, tokenizer, output, card=card, embedding=embedding, overwrite=arguments.overwrite)
    print(report)
    if embedding_report:
        print(embedding_report)
    if card.license is not None:
        print(f"license {card.license}, which the card of {name} declares")
    print(f"{type(ours).__name__} with {_knobs(ours)}")
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.suffix != '.py'))}")
    return 0


def _from_transformers(source: Any, head: str | None, dtype: Any) -> tuple[Any, str]:
    """The converted model, and a line with the largest difference from the original."""
    from ..conversion import from_transformers
    from ..conversion.checkpoint import load_with_transformers
    from ..conversion.output_difference import largest_difference

    reference = load_with_transformers(source, head=head, dtype=dtype)
    ours = from_transformers(reference)
    difference = largest_difference(reference, ours)
    kind = str(reference.dtype).removeprefix("torch.")
    return ours, f"{type(reference).__name__}, {kind}: outputs for random tokens differ by at most {difference:.1e}"


def _from_original(source: Any, format: str, head: str | None, dtype: Any) -> tuple[Any, str]:
    """The converted model, and a line for the report. The original library is not installed for a comparison."""
    from ..conversion.checkpoint import load_original

    ours = load_original(source.name, format, head, dtype)
    return ours, f"{format}: all tensors were converted, and their shapes match the settings"


def _embedding(source: Any, output: Path) -> tuple[Any, str]:
    """The files of sentence-transformers, or None, and a line about them."""
    from ..conversion.embedding_files import MODULES_FILE, embedding_files_of_source

    try:
        files = embedding_files_of_source(source)
    except ValueError as error:
        return None, (
            f"sentence-transformers: {MODULES_FILE} was left out, so SentenceTransformer({str(output)!r}) gives other "
            f"vectors than the original: {error}"
        )
    if files is None:
        return None, ""
    return files, f"sentence-transformers: {', '.join(files.modules) or 'the model alone'}, copied with {MODULES_FILE}"


def _dtype(name: str) -> Any:
    import torch

    if name == "auto":
        return name
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"--dtype {name} is not a float type; choose float32, bfloat16, float16, float64 or auto.")
    return dtype


def _tokenizer(arguments: argparse.Namespace, source: Any) -> Any:
    """The requested tokenizer, that of the source, or None."""
    from ..conversion.checkpoint import ORIGINAL_FORMATS
    from ..conversion.checkpoint_tokenizer import CONVERSION_REMEDY, load_tokenizer

    if arguments.without_tokenizer:
        return None
    if arguments.tokenizer is not None:
        return load_tokenizer(replace(source, name=arguments.tokenizer, revision=None), remedy=CONVERSION_REMEDY)
    if arguments.format in ORIGINAL_FORMATS:
        return ORIGINAL_FORMATS[arguments.format].tokenizer(Path(source.name))
    return load_tokenizer(source, remedy=CONVERSION_REMEDY)


def _knobs(model: Any) -> str:
    """Configuration fields that distinguish this model from others of its stack."""
    config = model.config
    names = ("norm_first", "position_embedding_type", "layernorm_embedding", "scale_embedding", "hidden_act")
    return ", ".join(f"{name}={getattr(config, name)!r}" for name in names)
