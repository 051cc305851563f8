"""A translator that is trained from scratch on the sentences of the grammar, in three minutes on two CPU cores."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from ..files import write_text
from ..hub import ModelCardText, export_folder
from ..interpretation import cross_attention, plot_attention
from ..training import TrainingResult, load_recipe, run_training
from ..training.run_folder import CURVES_FILE, RECIPE_FILE, TRANSLATIONS_FILE
from .demo_folder import check_demo_folder
from .grammar import GrammarCorpus, SentencePair, grammar_corpus

RECIPE = Path(__file__).with_name("demo.yaml")
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
Results ({seconds:.0f} seconds):
  {model}   the model: weights, tokenizer, code, card; ready to publish
  {picture}   the attention of one sentence
  {training}   the run: recipe, curves, scores
  {corpus}   the sentences

To use the model:

  import hf_vanilla_transformer; from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
  model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained("{model}"), AutoTokenizer.from_pretrained("{model}")
  print(tokenizer.decode(model.generate(**tokenizer("{example}", return_tensors="pt"), max_new_tokens=60)[0],
        skip_special_tokens=True))
"""


def run_translation_demo(folder: str | Path, *, sentences: int, steps: int | None, seed: int) -> bool:
    """Generates a corpus, trains a translator on it, saves it and translates with it; prints each step.

    Args:
        folder: a new or empty folder. It gets the subfolders `corpus`, `training` and `model`, and `attention.png`.
        sentences: the number of training pairs.
        steps: the number of updates; None for the number in the recipe.
        seed: of the corpus and of the training.

    Returns:
        Whether it finished; False if the user interrupted the training.

    Raises:
        ValueError: the folder is not empty, or a number is below 1.
    """
    began = time.monotonic()
    folder = Path(folder)
    check_demo_folder(folder)
    if sentences < 1:
        raise ValueError(f"--sentences {sentences} must be at least 1.")
    if steps is not None and steps < 1:
        raise ValueError(f"--steps {steps} must be at least 1.")
    announce = _StepPrinter(began)

    announce(f"Generate a corpus of {sentences:,} sentence pairs with a grammar")
    corpus = _write_corpus(folder / "corpus", sentences, seed)
    print(f"      {corpus.train[0].english}\n      {corpus.train[0].french}", flush=True)

    announce("Train a tokenizer and a Transformer on it")
    result = _train(folder, steps, seed)
    if result.interrupted:
        return False
    bleu = result.metrics["test_bleu"]

    announce("Plot the attention of one sentence")
    example, is_exact = _crossing_example(result, corpus)
    print(f"      {example.english}\n      {example.french}" + ("" if is_exact else "   (the reference)"), flush=True)
    attention = cross_attention(result.model, result.tokenizer, example.english, example.french)
    figure = plot_attention(attention, folder / "attention.png")

    announce("Save a folder to publish")
    command = f"hf-vanilla demo --output {folder} --sentences {sentences} --seed {seed}"
    command += f" --steps {steps}" if steps is not None else ""
    model_folder = _export(result, folder / "model", figure, example.english, command, sentences, seed)

    announce("Load the folder in a new process, and translate")
    sources = [pair.english for pair in corpus.test[:4]]
    for source, translation in zip(sources, _translate_in_new_process(model_folder, sources)):
        print(f"      {source}\n      {translation}", flush=True)

    print(
        f"\nBLEU on {len(corpus.test)} sentences with combinations of words absent from the training data: {bleu:.1f}"
    )
    closing = _CLOSING.format(
        seconds=time.monotonic() - began,
        model=model_folder,
        picture=figure,
        training=folder / "training",
        corpus=folder / "corpus",
        example=example.english,
    )
    print(closing, end="", flush=True)
    return True


class _StepPrinter:
    """Prints the number of each step, what it does, and the seconds since the beginning."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.step = 0

    def __call__(self, description: str) -> None:
        self.step += 1
        print(f"\n[{time.monotonic() - self.began:4.0f} s] {self.step}. {description}", flush=True)


def _write_corpus(folder: Path, sentences: int, seed: int) -> GrammarCorpus:
    """Generates the corpus and saves it as parallel files: train.en, train.fr, ..."""
    # The validation split only shows the progress, so it is small enough not to delay the demo.
    corpus = grammar_corpus(
        sentences, min(200, max(20, sentences // 10)), min(500, max(20, sentences // 10)), seed=seed
    )
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        pairs = getattr(corpus, split)
        for language, side in (("en", "english"), ("fr", "french")):
            text = "".join(getattr(pair, side) + "\n" for pair in pairs)
            write_text(folder / f"{split}.{language}", text)
    return corpus


def _train(folder: Path, steps: int | None, seed: int) -> TrainingResult:
    overrides = [
        f"data.path={folder / 'corpus'}",
        f"output.output_dir={folder / 'training'}",
        f"training.seed={seed}",
    ]
    if steps is not None:
        overrides += [
            f"training.max_steps={steps}",
            f"training.warmup_steps={max(1, steps // 7)}",
        ]
    return run_training(load_recipe(RECIPE, overrides))


def _crossing_example(result: TrainingResult, corpus: GrammarCorpus) -> tuple[SentencePair, bool]:
    """The test pair with the most reordering, if possible among those that the model translated exactly.

    Returns:
        The pair, and whether the model translated it exactly.
    """
    translations = (result.folder / TRANSLATIONS_FILE.format(split="test")).read_text(encoding="utf-8").splitlines()
    exact = [pair for pair, translation in zip(corpus.test, translations) if translation == pair.french]
    return max(exact or corpus.test, key=lambda pair: pair.crossings), bool(exact)


def _export(
    result: TrainingResult, folder: Path, figure: Path, example: str, command: str, sentences: int, seed: int
) -> Path:
    """Saves the model with its card, as it can be published."""
    card = ModelCardText(
        name=folder.parent.name,
        summary="A small Transformer that translates the sentences of a grammar from English to French. It "
        "demonstrates hf_vanilla_transformer and is not meant for other texts.",
        languages=("en", "fr"),
        license="apache-2.0",
        example=example,
        data=f"{sentences:,} sentence pairs generated by the grammar in "
        "`hf_vanilla_transformer/demo/grammar.py` "
        f"(seed {seed}), without copyrighted text.",
        command=command,
        test_data="sentences of the same grammar, each with a word combination absent from the training data",
        limitations="The model knows a few hundred words and the patterns of the grammar. It translates "
        "everything else incorrectly.",
    )
    plots = {"Cross-attention, mean over layers and heads: the English words that each French word attends to.": figure}
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


def _translate_in_new_process(folder: Path, sentences: list[str]) -> list[str]:
    """Translates in a new process, which has only the folder and the Auto classes."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_AND_TRANSLATE, str(folder)],
        input=json.dumps(sentences),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"The folder {folder} does not load in a new process:\n{done.stderr}")
    return json.loads(done.stdout)
