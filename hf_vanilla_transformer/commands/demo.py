"""Train a small translator from scratch in three minutes; or, with a MODEL, try it in the browser.

Without a MODEL, the command generates a corpus of English and French sentences with a grammar, trains a tokenizer and a
small Transformer on it, and scores the model on sentences with combinations of words that are not in the training data.
It then saves a folder that transformers' Auto classes load, translates with that folder in a new process, and plots the
attention of one sentence. It needs neither a network nor data.

With a MODEL (a folder or a name on the Hub), the command opens a page with the predictions of the model (translations,
masked words or next tokens) and the attention of each head. With --output it saves the page as a Space of the Hub
instead.
"""

from __future__ import annotations

import argparse
import sys

from .lines import add_language_arguments, add_precision_argument
from .option_types import path_or_name, plain_text, seed, whole_number
from .parser import add_output_option

EXAMPLES = """\
examples:
  hf-vanilla demo --output runs/demo

  # a quick look; the translations are poor
  hf-vanilla demo --output runs/small --sentences 2000 --steps 50

  # the page of that model, in the browser and as a Space of the Hub
  hf-vanilla demo runs/demo
  hf-vanilla demo runs/demo --output runs/space
"""

_SENTENCES = 20_000
# The corpus is kept in memory.
_MOST_SENTENCES = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the training demo and those of the page."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", type=path_or_name, help="show this model in the browser; train nothing"
    )
    add_output_option(
        parser,
        "FOLDER",
        "new folder: without a MODEL for the run (default: runs/demo), with a MODEL for the page as a Space of the Hub "
        "(default: open the page)",
    )
    training = parser.add_argument_group("without a MODEL: train a translator")
    training.add_argument(
        "--sentences",
        metavar="N",
        type=whole_number(at_least=1, below=_MOST_SENTENCES + 1),
        help=f"sentence pairs to train on (default: {_SENTENCES:,})",
    )
    training.add_argument(
        "--steps", metavar="N", type=whole_number(at_least=1), help="updates (default: 900, as in the recipe)"
    )
    training.add_argument(
        "--seed", metavar="N", type=seed, help="random seed of the corpus and of the training (default: 0)"
    )
    page = parser.add_argument_group("with a MODEL: show its page")
    page.add_argument("--space", metavar="FOLDER", type=path_or_name, help=argparse.SUPPRESS)  # --output before
    page.add_argument(
        "--example", metavar="TEXT", type=plain_text, action="append", help="an example text on the page; repeatable"
    )
    add_language_arguments(page)
    page.add_argument("--host", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1, only this machine)")
    page.add_argument(
        "--port",
        metavar="N",
        type=whole_number(at_least=1, below=2**16),
        help="port to listen on (default: the first free one from 7860)",
    )
    page.add_argument("--device", help="cpu, cuda, mps, ... (default: the accelerator if there is one)")
    add_precision_argument(page, default=None)
    page.add_argument(
        "--trust-remote-code", action="store_true", default=None, help="run code from the folder of the model"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains the translator, or shows the page of a model."""
    training = ("sentences", "steps", "seed")
    page = ("space", "example", "src_lang", "tgt_lang", "host", "port", "device", "precision", "trust_remote_code")
    others = training if arguments.model is not None else page
    if given := [f"--{name.replace('_', '-')}" for name in others if getattr(arguments, name) is not None]:
        raise ValueError(
            f"{', '.join(given)}: only for the page of a model; name the MODEL."
            if arguments.model is None
            else f"{', '.join(given)}: only for the training demo; leave out the MODEL {arguments.model}."
        )
    if arguments.model is not None:
        return _show_model(arguments)
    from ..demo.demo_folder import check_demo_folder

    output = "runs/demo" if arguments.output is None else arguments.output
    check_demo_folder(output)

    from ..demo.translation_demo import run_translation_demo

    finished = run_translation_demo(
        output,
        sentences=_SENTENCES if arguments.sentences is None else arguments.sentences,
        steps=arguments.steps,
        seed=0 if arguments.seed is None else arguments.seed,
    )
    return 0 if finished else 130


def _show_model(arguments: argparse.Namespace) -> int:
    """Serves the page of the model until it is interrupted, or writes the folder of a Space."""
    from ..pipelines.model_source import find_model
    from ..web.gradio_library import import_gradio

    arguments.model = find_model(arguments.model)
    try:
        import_gradio()  # before the model is loaded
    except ImportError as error:
        raise ValueError(str(error)) from error
    languages = {"src_lang": arguments.src_lang, "tgt_lang": arguments.tgt_lang}
    if arguments.space is not None:
        print(f"hf-vanilla demo: the output is named with --output now: --output {arguments.space}", file=sys.stderr)
    space = arguments.output or arguments.space
    if space is not None:
        from ..web.space import write_space

        folder = write_space(arguments.model, space, examples=arguments.example, **languages)
        print(f"{folder}: the folder of a Space. To publish it: hf upload --repo-type space USER/NAME {folder}")
        return 0

    from ..web.page_model import PageModel
    from ..web.server import serve_page

    model = PageModel.load(
        arguments.model,
        device=arguments.device,
        precision=arguments.precision or "float32",
        trust_remote_code=bool(arguments.trust_remote_code),
        **languages,
    )
    serve_page(model, examples=arguments.example, host=arguments.host, port=arguments.port)
    return 0
