"""Follow one sentence through every sublayer of a model: a page with shapes, norms and the attention of every head.

MODEL is an encoder-decoder, an encoder or a decoder of this package: a folder, or a name on the Hub. The page is one
HTML file without scripts or links. The decoder of an encoder-decoder reads --target, or the model's own answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .lines import add_language_arguments
from .option_types import path_or_name, plain_text
from .parser import add_output_option

EXAMPLES = """\
examples:
  hf-vanilla explain runs/demo "The old woman reads a book." --output runs/sentence.html
  hf-vanilla explain runs/demo "A dog runs." --target "Un chien court." --output runs/sentence.html
"""
_PAGE = "explanation.html"
# The head that a checkpoint was saved with is used; a checkpoint without a head is loaded without one.
_AUTO_CLASSES = (
    "AutoModelForSeq2SeqLM",
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModel",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, sentence and page."""
    parser.add_argument(
        "model", metavar="MODEL", type=path_or_name, help="folder of a model or of a run, or a name on the Hub"
    )
    parser.add_argument("text", metavar="TEXT", type=plain_text, help="a sentence of at most 64 tokens")
    parser.add_argument(
        "--target",
        metavar="TEXT",
        type=plain_text,
        help="what the decoder of an encoder-decoder reads (default: the model's own answer)",
    )
    add_language_arguments(parser)
    add_output_option(parser, "FILE", f"the page to write (default: {_PAGE})")
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the accelerator if there is one)")
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="allow the model's own Python code to run (not needed for models of this package)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the page."""
    output = Path(arguments.output or _PAGE)
    if output.suffix not in (".html", ".htm"):
        raise ValueError(f"--output {output} is a page: name a file that ends in .html.")

    from ..pipelines.loading import load_model

    model, tokenizer = load_model(
        arguments.model,
        *_AUTO_CLASSES,
        purpose="hf-vanilla explain",
        device=arguments.device,
        trust_remote_code=arguments.trust_remote_code,
    )

    from ..interpretation import explain
    from ..pipelines.languages import set_languages

    options = set_languages(tokenizer, arguments.src_lang, arguments.tgt_lang)
    path = explain(model, arguments.text, output, tokenizer=tokenizer, target=arguments.target, **options)
    print(f"{path}: the way of the sentence through {type(model).__name__}")
    return 0
