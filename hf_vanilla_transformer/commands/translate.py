"""Translate text, one sentence a line, from a file or standard input to standard output.

Lines are translated in batches of like length and written in order.
"""

from __future__ import annotations

import argparse
import sys

EXAMPLES = """\
examples:
  echo "a man rides a red bicycle ." | hf-vanilla translate runs/tiny
  hf-vanilla translate runs/tiny --input test.en --output test.de --num-beams 5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which text, and how to search. What is not given is as the model's recipe says."""
    parser.add_argument("model", help="folder of a model, or its name on the Hub")
    parser.add_argument("--input", metavar="FILE", help="source text (default: standard input)")
    parser.add_argument("--output", metavar="FILE", help="translations (default: standard output)")
    parser.add_argument("--num-beams", type=int, help="width of the beam, 1 for greedy search")
    parser.add_argument("--length-penalty", type=float, help="exponent of the length penalty")
    parser.add_argument("--length-penalty-form", choices=["gnmt", "power"], help="the paper's, or transformers'")
    parser.add_argument("--max-extra-tokens", type=int, help="an output is at most this much longer than its input")
    parser.add_argument("--tokens-per-batch", type=int, default=4096, help="source tokens in a batch (default: 4096)")
    parser.add_argument("--device", default=None, help="cpu, cuda, mps ... (default: a GPU if there is one)")


def run(arguments: argparse.Namespace) -> int:
    """Translates all lines."""
    from dataclasses import asdict
    from pathlib import Path

    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    import hf_vanilla_transformer  # noqa: F401  registers the models with the Auto classes

    from ..evaluation import translate
    from ..training.device import default_device
    from ..training.files import write_text
    from ..training.folder import RECIPE_FILE
    from ..training.recipe import GenerationRecipe, load_recipe

    lines = read_lines(arguments.input)
    transformers_logging.disable_progress_bar()
    search = GenerationRecipe()
    if (Path(arguments.model) / RECIPE_FILE).is_file():
        search = load_recipe(arguments.model).generation
    options = asdict(search)
    options |= {name: getattr(arguments, name) for name in options if getattr(arguments, name) is not None}
    model = AutoModelForSeq2SeqLM.from_pretrained(arguments.model).to(arguments.device or default_device())
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    translations = translate(model, tokenizer, lines, tokens_per_batch=arguments.tokens_per_batch, **options)
    text = "".join(f"{line}\n" for line in translations)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        write_text(Path(arguments.output), text)
    return 0


def read_lines(path: str | None) -> list[str]:
    """The lines of a file, or of standard input.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8; the message names the line.
    """
    from pathlib import Path

    if path is not None and not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}; name the source text with --input, or pipe it in.")
    data = sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
    lines = []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            lines.append(line.decode("utf-8").rstrip("\r"))
        except UnicodeDecodeError as error:
            raise ValueError(f"Line {number} of {path or 'standard input'} is not UTF-8: {error}.") from error
    return lines[:-1] if lines and not lines[-1] else lines
