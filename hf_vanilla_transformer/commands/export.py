"""Export a model of this package to another format, and compare the two models.

FOLDER is the output of train, convert or save_pretrained. The exported model is loaded and run on the same inputs.
The output is written only if both models compute the same function. The largest differences are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..model_folders import model_folder
from .option_types import path_or_name
from .parser import add_output_option, required_output

EXAMPLES = """\
examples:
  hf-vanilla export runs/tiny --output runs/tiny-marian
  hf-vanilla export runs/gpt --output runs/gpt-opt --to transformers --family opt --verify-with sentences.txt
  hf-vanilla export runs/tiny --output runs/tiny-ct2 --to ctranslate2 --quantization int8
  hf-vanilla export runs/gpt --output runs/gpt-onnx --to onnx
  hf-vanilla export runs/gpt --output runs/gpt-gguf --to gguf --quantization q8_0
"""

# The output was a positional argument before.
OUTPUT_BY_PLACE = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds model, output folder, format and options of the export."""
    from ..conversion.exports import TARGETS

    parser.add_argument("folder", metavar="FOLDER", type=path_or_name, help="folder of the model")
    add_output_option(parser, "FOLDER", "new folder for the exported model (required)")
    parser.add_argument("--to", choices=TARGETS, default="transformers", help="the format (default: transformers)")
    parser.add_argument(
        "--family",
        metavar="NAME",
        help="transformers: the family to export to, such as opt (default: follows from the configuration)",
    )
    parser.add_argument(
        "--quantization",
        metavar="TYPE",
        help="number format of the weights (default: exact); ctranslate2: float32, int8, int16, float16, bfloat16; "
        "gguf: float32, float16, q8_0",
    )
    parser.add_argument(
        "--verify-with",
        metavar="FILE",
        type=path_or_name,
        help="sentences for the comparison, one a line (default: built-in sentences)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in --output")


def run(arguments: argparse.Namespace) -> int:
    """Exports the model and prints the differences."""
    import sys

    from ..conversion.config_values import saved_config
    from ..conversion.exports.output_folder import check_output
    from ..conversion.exports.sentence_file import read_sentences

    output = required_output(arguments, "the new folder")
    check_output(Path(output))
    folder = model_folder(arguments.folder)
    saved_config(folder)
    sentences = None if arguments.verify_with is None else read_sentences(arguments.verify_with)

    from transformers.utils import logging as transformers_logging

    from ..conversion.exports import export_to

    transformers_logging.disable_progress_bar()
    try:
        report = export_to(
            folder,
            output,
            arguments.to,
            family=arguments.family,
            quantization=arguments.quantization,
            sentences=sentences,
            overwrite=arguments.overwrite,
        )
    except ImportError as error:
        print(f"hf-vanilla export: {error}", file=sys.stderr)
        return 2
    print(*report.lines(), sep="\n")
    print(f"{report.folder}: {', '.join(sorted(path.name for path in report.folder.iterdir()))}")
    return 0
