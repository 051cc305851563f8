"""Learn to translate in three minutes, from nothing; or, with a MODEL, try it in the browser.

Without a model: writes a corpus of English and French sentences with a grammar, trains a tokenizer and a small
Transformer on it, scores it on sentences with combinations of words it has never seen, writes a folder that
transformers' Auto classes load, translates with it in a fresh process, and draws what the model looked at. It needs no
network and no data.

With a model, a folder or a name on the Hub: opens a page that shows what it answers and what its attention looks at,
head by head; translations, masked words or next tokens, as the model can. --space writes that page as a Space.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .lines import add_language_arguments

if TYPE_CHECKING:
    from ..demo.grammar import GrammarCorpus, SentencePair
    from ..training import TrainingResult

EXAMPLES = """\
examples:
  hf-vanilla demo --output runs/demo
  hf-vanilla demo --output runs/small --sentences 2000 --steps 50      a look at the steps, not at good translations
  hf-vanilla demo runs/demo/model                                      the page of that model
  hf-vanilla demo runs/demo/model --space runs/space                   the page as a Space of the Hub
"""

RECIPE = Path(__file__).with_name("demo.yaml")
_SENTENCES = 20_000
_LOAD_AND_TRANSLATE = """\
import json, sys
import hf_vanilla_transformer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
folder, sentences = sys.argv[1], json.load(sys.stdin)
model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
inputs = tokenizer(sentences, padding=True, return_tensors="pt")
outputs = model.generate(**inputs, num_beams=4, max_new_tokens=60)
json.dump(tokenizer.batch_decode(outputs, skip_special_tokens=True), sys.stdout)
"""

_CLOSING = """
What was made ({seconds:.0f} seconds):
  {model}   the model: weights, tokenizer, code, card; publish it as it is
  {picture}   what it looked at while it translated
  {training}   the run: recipe, curves, scores
  {corpus}   the sentences

To use the model:

  import hf_vanilla_transformer; from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
  model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained("{model}"), AutoTokenizer.from_pretrained("{model}")
  print(tokenizer.decode(model.generate(**tokenizer("{example}", return_tensors="pt"), max_new_tokens=60)[0],
        skip_special_tokens=True))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the demo that trains, and those of the page."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help="show this model in the browser; train nothing")
    training = parser.add_argument_group("without a MODEL: learn to translate")
    training.add_argument("--output", metavar="FOLDER", help="a new folder (default: runs/demo)")
    training.add_argument("--sentences", type=int, help=f"sentence pairs to train on (default: {_SENTENCES})")
    training.add_argument("--steps", type=int, help="updates (default: as the recipe says)")
    training.add_argument("--seed", type=int, help="of the corpus and of the training (default: 0)")
    page = parser.add_argument_group("with a MODEL: its page")
    page.add_argument("--space", metavar="FOLDER", help="write the page as a Space of the Hub, and open nothing")
    page.add_argument("--example", metavar="TEXT", action="append", help="a text to choose on the page; repeatable")
    add_language_arguments(page)
    page.add_argument("--host", help="address to listen on (default: 127.0.0.1, this machine alone)")
    page.add_argument("--port", type=int, help="(default: the first free one from 7860)")
    page.add_argument("--device", help="cpu, cuda, mps ... (default: a GPU if there is one)")
    page.add_argument(
        "--trust-remote-code", action="store_true", default=None, help="run code that comes with the model"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo, or the page of a model."""
    training = ("output", "sentences", "steps", "seed")
    page = ("space", "example", "src_lang", "tgt_lang", "host", "port", "device", "trust_remote_code")
    strangers = training if arguments.model is not None else page
    if given := [f"--{name.replace('_', '-')}" for name in strangers if getattr(arguments, name) is not None]:
        raise ValueError(
            f"{', '.join(given)}: for the page of a model, so name the MODEL."
            if arguments.model is None
            else f"{', '.join(given)}: for the demo that trains, so leave out the MODEL {arguments.model}."
        )
    if arguments.model is not None:
        return _show_model(arguments)
    arguments.output = "runs/demo" if arguments.output is None else arguments.output
    arguments.sentences = _SENTENCES if arguments.sentences is None else arguments.sentences
    arguments.seed = 0 if arguments.seed is None else arguments.seed
    return _learn(arguments)


def _show_model(arguments: argparse.Namespace) -> int:
    """Serves the page of the model until it is interrupted, or writes the folder of a Space."""
    from ..web.page import import_gradio

    try:
        import_gradio()  # before the model is loaded
    except ImportError as error:
        raise ValueError(str(error)) from error
    languages = {"src_lang": arguments.src_lang, "tgt_lang": arguments.tgt_lang}
    if arguments.space is not None:
        from ..web.space import write_space

        folder = write_space(arguments.model, arguments.space, examples=arguments.example, **languages)
        print(f"{folder}: the folder of a Space. To publish it: hf upload --repo-type space USER/NAME {folder}")
        return 0

    from ..web.page_model import PageModel
    from ..web.server import serve_page

    model = PageModel.load(
        arguments.model, device=arguments.device, trust_remote_code=bool(arguments.trust_remote_code), **languages
    )
    serve_page(model, examples=arguments.example, host=arguments.host, port=arguments.port)
    return 0


def _learn(arguments: argparse.Namespace) -> int:
    """Trains, translates, draws, and says what it made."""
    began = time.monotonic()
    folder = Path(arguments.output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"The output folder {folder} is not empty: remove it, or choose another with --output.")
    if arguments.steps is not None and arguments.steps < 1:
        raise ValueError(f"--steps {arguments.steps} is no number of updates: give at least 1.")
    say = _Narrator(began)

    say(f"A corpus of {arguments.sentences:,} sentence pairs, written by a grammar")
    corpus = _write_corpus(folder / "corpus", arguments.sentences, arguments.seed)
    print(f"      {corpus.train[0].english}\n      {corpus.train[0].french}", flush=True)

    say("A tokenizer and a Transformer, trained on them")
    result = _train(folder, arguments)
    if result.interrupted:
        return 130
    bleu = result.metrics["test_bleu"]

    say("The attention of one sentence")
    example, right = _crossing_example(result, corpus)
    print(f"      {example.english}\n      {example.french}" + ("" if right else "   (as it should be)"), flush=True)
    picture = _draw_attention(result, folder, example)

    say("A folder to publish")
    model_folder = _export(result, folder / "model", picture, example.english, arguments)

    say("The folder in a fresh process")
    sources = [pair.english for pair in corpus.test[:4]]
    for source, translated in zip(sources, _translate_in_fresh_process(model_folder, sources)):
        print(f"      {source}\n      {translated}", flush=True)

    print(f"\nBLEU on {len(corpus.test)} sentences with combinations of words that training never showed: {bleu:.1f}")
    closing = _CLOSING.format(
        seconds=time.monotonic() - began,
        model=model_folder,
        picture=picture,
        training=folder / "training",
        corpus=folder / "corpus",
        example=example.english,
    )
    print(closing, end="", flush=True)
    return 0


class _Narrator:
    """Says which step begins, and when."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.step = 0

    def __call__(self, what: str) -> None:
        self.step += 1
        print(f"\n[{time.monotonic() - self.began:4.0f} s] {self.step}. {what}", flush=True)


def _write_corpus(folder: Path, sentences: int, seed: int) -> GrammarCorpus:
    """The corpus as parallel files: train.en and train.fr, and so on."""
    from ..demo.grammar import grammar_corpus

    # Validation only watches the training, so it is small; a demo must not be kept waiting by it.
    corpus = grammar_corpus(
        sentences, min(200, max(20, sentences // 10)), min(500, max(20, sentences // 10)), seed=seed
    )
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        pairs = getattr(corpus, split)
        for language, side in (("en", "english"), ("fr", "french")):
            text = "".join(getattr(pair, side) + "\n" for pair in pairs)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    return corpus


def _train(folder: Path, arguments: argparse.Namespace) -> TrainingResult:
    from ..training import load_recipe, run_training

    overrides = [
        f"data.path={str(folder / 'corpus')!r}",
        f"output.output_dir={str(folder / 'training')!r}",
        f"training.seed={arguments.seed}",
    ]
    if arguments.steps is not None:
        overrides += [
            f"training.max_steps={arguments.steps}",
            f"training.warmup_steps={max(1, arguments.steps // 7)}",
        ]
    return run_training(load_recipe(RECIPE, overrides))


def _crossing_example(result: TrainingResult, corpus: GrammarCorpus) -> tuple[SentencePair, bool]:
    """The test pair whose words change places most, of those that the model translated exactly, if there are any."""
    from ..training.folder import TRANSLATIONS_FILE

    translations = (result.folder / TRANSLATIONS_FILE.format(split="test")).read_text(encoding="utf-8").splitlines()
    right = [pair for pair, translation in zip(corpus.test, translations) if translation == pair.french]
    return max(right or corpus.test, key=lambda pair: pair.crossings), bool(right)


def _draw_attention(result: TrainingResult, folder: Path, example: SentencePair) -> Path:
    from ..interpretation import cross_attention, plot_attention

    attention = cross_attention(result.model, result.tokenizer, example.english, example.french)
    return plot_attention(attention, folder / "attention.png")


def _export(result: TrainingResult, folder: Path, picture: Path, example: str, arguments: argparse.Namespace) -> Path:
    from ..hub import ModelCardText, export_folder
    from ..training.folder import CURVES_FILE, RECIPE_FILE

    card = ModelCardText(
        name=folder.parent.name,
        summary="A small Transformer that translates the sentences of a grammar from English to French. It shows what "
        "hf_vanilla_transformer does; it is no translator.",
        languages=("en", "fr"),
        license="apache-2.0",
        example=example,
        data=f"{arguments.sentences:,} sentence pairs written by the grammar in "
        "`hf_vanilla_transformer/demo/grammar.py` "
        f"(seed {arguments.seed}): no text of anybody, free of rights.",
        command=f"hf-vanilla demo --output {arguments.output} --sentences {arguments.sentences} --seed {arguments.seed}"
        + (f" --steps {arguments.steps}" if arguments.steps is not None else ""),
        test_data="sentences of the same grammar, each with a pair of words that the training data never joins",
        limitations="The model knows a few hundred words and the patterns of the grammar. Anything else it translates "
        "wrongly.",
    )
    plots = {"Cross-attention, mean over layers and heads: which English word each French word looks at.": picture}
    curves = result.folder / CURVES_FILE
    if curves.is_file():
        plots["Training and validation."] = curves
    return export_folder(
        result.model,
        result.tokenizer,
        folder,
        card=card,
        recipe=(result.folder / RECIPE_FILE).read_text(encoding="utf-8"),
        metrics=result.metrics,
        plots=plots,
    )


def _translate_in_fresh_process(folder: Path, sentences: list[str]) -> list[str]:
    """Translates with nothing but the folder and the Auto classes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_AND_TRANSLATE, str(folder)],
        input=json.dumps(sentences),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"The folder {folder} does not load in a fresh process:\n{done.stderr}")
    return json.loads(done.stdout)
