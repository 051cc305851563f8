"""Translate text, one sentence a line, from a file or standard input to standard output.

A file is translated in batches of like length, a stream as its lines come; the order of the lines stays. MODEL is a
folder or a name on the Hub, of this package or of any other encoder-decoder of transformers.

With --scores, a translation's log probability and a tab come first. With --n-best, each translation has a line of its
own, which begins with the number of its source line and a tab.
"""

from __future__ import annotations

import argparse
from typing import Any

from .lines import Answer, add_line_arguments, answer_writer, check_line_arguments, load_for_lines, windows_of_lines
from .pictures import draw_cross_attention

EXAMPLES = """\
examples:
  echo "a man rides a red bicycle ." | hf-vanilla translate runs/tiny
  hf-vanilla translate runs/tiny --input test.en --output test.de --num-beams 5
  hf-vanilla translate runs/tiny --input test.en --n-best 4 --scores
  echo "A dog runs." | hf-vanilla translate runs/tiny --attention runs/dog.png
  hf-vanilla translate facebook/nllb-200-distilled-600M --from eng_Latn --to kor_Hang --split --input book.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which text, and how to search. What is not given is as the model's recipe says."""
    add_line_arguments(parser, "source text", "translations", "its log probability")
    parser.add_argument("--from", dest="source_language", metavar="CODE", help="source language, as the tokenizer's")
    parser.add_argument("--to", dest="target_language", metavar="CODE", help="target language, as the tokenizer's")
    parser.add_argument("--prefix", default="", help="put before each sentence, for example '>>fra<< '")
    parser.add_argument("--split", action="store_true", help="lines are paragraphs: translate sentence by sentence")
    parser.add_argument("--num-beams", type=int, help="width of the beam, 1 for greedy search")
    parser.add_argument("--length-penalty", type=float, help="exponent of the length penalty")
    parser.add_argument("--length-penalty-form", choices=["gnmt", "power"], help="the paper's, or transformers'")
    parser.add_argument("--max-extra-tokens", type=int, help="an output is at most this much longer than its input")
    parser.add_argument("--tokens-per-batch", type=int, default=4096, help="source tokens in a batch (default: 4096)")


def run(arguments: argparse.Namespace) -> int:
    """Translates all lines."""
    from ..pipelines.languages import set_languages

    check_line_arguments(arguments)
    windows = windows_of_lines(arguments.input, whole=arguments.output is not None)
    model, tokenizer = load_for_lines(arguments, "AutoModelForSeq2SeqLM")
    options = _search(arguments)
    options["generate_options"] = set_languages(tokenizer, arguments.source_language, arguments.target_language)
    with answer_writer(arguments) as writer:
        for lines in windows:
            for line, answers in zip(lines, _translations(lines, model, tokenizer, arguments, options)):
                writer.write(line, answers)
                source = arguments.prefix + line if line.strip() else ""
                draw_cross_attention(arguments, writer.lines, model, tokenizer, source, answers[0].text)
            writer.flush()
    return 0


def _search(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the search: those of the command line before the recipe's, and those before the paper's."""
    from dataclasses import asdict
    from pathlib import Path

    from ..training.folder import RECIPE_FILE
    from ..training.recipes.training_recipe import GenerationRecipe, load_recipe

    search = GenerationRecipe()
    if (Path(arguments.model) / RECIPE_FILE).is_file():
        search = load_recipe(arguments.model).generation
    options = asdict(search)
    options |= {name: getattr(arguments, name) for name in options if getattr(arguments, name) is not None}
    n_best = arguments.n_best or 1
    if arguments.num_beams is None:
        options["num_beams"] = max(n_best, options["num_beams"])
    elif n_best > arguments.num_beams:
        raise ValueError(f"--n-best {n_best} needs --num-beams {n_best} at least, not {arguments.num_beams}.")
    return {
        **options,
        "n_best": n_best,
        "scores": arguments.scores or arguments.json or arguments.n_best is not None,
        "tokens_per_batch": arguments.tokens_per_batch,
    }


def _translations(
    lines: list[str], model: Any, tokenizer: Any, arguments: argparse.Namespace, options: dict[str, Any]
) -> list[list[Answer]]:
    """The answers to each line, made of those to its sentences if lines are to be split."""
    from ..generation import translate_n_best
    from ..pipelines import Sentence, join_sentences, split_sentences

    parts = [split_sentences(line) if arguments.split else [] for line in lines]
    parts = [sentences or [Sentence(line, "")] for line, sentences in zip(lines, parts)]
    # A line without words stays one, prefix or not.
    sources = [arguments.prefix + text if text.strip() else "" for sentences in parts for text, _ in sentences]
    found = iter(translate_n_best(model, tokenizer, sources, **options))
    answers = []
    for sentences in parts:
        translated = [next(found) for _ in sentences]
        best = []
        for rank in range(min(len(some) for some in translated)):
            text = join_sentences(Sentence(some[rank].text, gap) for some, (_, gap) in zip(translated, sentences))
            best.append(Answer(text, sum(some[rank].log_probability or 0.0 for some in translated)))
        answers.append(best)
    return answers
