"""Translate text, one sentence a line, from a file or standard input.

A file is translated in batches of sentences of similar length, a stream as its lines arrive; the output keeps the order
of the lines. MODEL is an encoder-decoder of this package or of transformers: a folder, or a name on the Hub.

--scores prints the log-probability of each translation and a tab before it. --n-best prints each translation on its own
line, which begins with the number of its source line and a tab.
"""

from __future__ import annotations

import argparse
from typing import Any

from .attention_images import AttentionImages
from .lines import (
    Answer,
    LongLines,
    add_language_arguments,
    add_line_arguments,
    answer_writer,
    check_line_arguments,
    load_for_lines,
    windows_of_lines,
)
from .option_types import beams, number, plain_text, whole_number

EXAMPLES = """\
examples:
  echo "a man rides a red bicycle ." | hf-vanilla translate runs/tiny
  hf-vanilla translate runs/tiny --input test.en --output test.de --num-beams 5
  hf-vanilla translate runs/tiny --input test.en --n-best 4 --scores
  echo "A dog runs." | hf-vanilla translate runs/tiny --attention runs/dog.png
  hf-vanilla translate facebook/nllb-200-distilled-600M --src-lang eng_Latn --tgt-lang kor_Hang \\
    --split-sentences --input book.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command. The defaults of the search are those of the model's recipe."""
    add_line_arguments(parser, "source sentences", "translations", "log-probability")
    source = parser.add_argument_group("source text")
    add_language_arguments(source)
    source.add_argument(
        "--prefix", default="", metavar="TEXT", type=plain_text, help="text before each sentence, such as '>>fra<< '"
    )
    source.add_argument("--split-sentences", action="store_true", help="translate each line sentence by sentence")
    search = parser.add_argument_group("search (the defaults are those of the model's recipe, if it has one)")
    search.add_argument("--num-beams", type=beams, metavar="N", help="width of the beam; 1 is greedy search (else 4)")
    search.add_argument(
        "--length-penalty",
        type=number(at_least=-10, at_most=10),
        metavar="X",
        help="exponent of the length penalty (else 0.6)",
    )
    search.add_argument(
        "--length-penalty-form",
        choices=["gnmt", "power"],
        help="length penalty of the paper (gnmt), or of transformers (power) (else gnmt)",
    )
    search.add_argument(
        "--max-extra-tokens",
        type=whole_number(at_least=0),
        metavar="N",
        help="a translation has at most N tokens more than its source (else 50)",
    )
    search.add_argument(
        "--tokens-per-batch",
        type=whole_number(at_least=1),
        default=4096,
        metavar="N",
        help="source tokens in a batch (default: %(default)s)",
    )
    search.add_argument(
        "--memory-per-batch",
        type=whole_number(at_least=1),
        metavar="MIB",
        help="smaller batches, so that the search takes at most this many MiB beside the weights",
    )


def run(arguments: argparse.Namespace) -> int:
    """Translates all lines."""
    check_line_arguments(arguments)
    windows = windows_of_lines(arguments.input, one_window=arguments.output is not None)
    _check_n_best(arguments)
    options = _search_options(arguments)
    model, tokenizer = load_for_lines(arguments, "AutoModelForSeq2SeqLM")

    from ..pipelines.languages import set_languages

    options["generate_options"] = set_languages(tokenizer, arguments.src_lang, arguments.tgt_lang)
    treatment = "sentences left out" if arguments.split_sentences else "not translated; --split-sentences may help"
    long_lines = LongLines("translate", getattr(model.config, "max_position_embeddings", None), treatment)
    images = AttentionImages(arguments.attention, model, tokenizer)
    with answer_writer(arguments) as writer:
        for lines in windows:
            answered = _translations(lines, writer.lines, model, tokenizer, arguments, options, long_lines)
            for line, answers in zip(lines, answered):
                writer.write(line, answers)
                source = arguments.prefix + line if line.strip() else ""
                images.draw_cross_attention(writer.lines, source, answers[0].text)
            writer.flush()
    images.report()
    long_lines.report()
    return 0


def _check_n_best(arguments: argparse.Namespace) -> None:
    """Raises ValueError if the search has fewer beams than `--n-best` asks for."""
    n_best, num_beams = arguments.n_best or 1, arguments.num_beams
    if num_beams is not None and n_best > num_beams:
        raise ValueError(f"--n-best {n_best} needs --num-beams of at least {n_best}, not {num_beams}.")


def _search_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the search, from the command line, else from the model's recipe, else from the paper."""
    from dataclasses import asdict
    from pathlib import Path

    from ..pipelines.model_source import find_model
    from ..training.recipes.finetuning_recipe import load_finetune_recipe
    from ..training.recipes.text_sections import GenerationRecipe
    from ..training.recipes.training_recipe import load_recipe
    from ..training.run_folder import RECIPE_FILE, saved_recipe

    search = GenerationRecipe()
    folder = Path(find_model(arguments.model))
    if (folder / RECIPE_FILE).is_file() and "base_model" in saved_recipe(folder):
        # As the fine-tuning evaluates: transformers' search, up to the longest target.
        recipe = load_finetune_recipe(folder)
        search = GenerationRecipe(
            num_beams=recipe.evaluation.num_beams,
            length_penalty=1.0,
            length_penalty_form="power",
            max_extra_tokens=recipe.text_length.max_target_tokens,
        )
    elif (folder / RECIPE_FILE).is_file():
        search = load_recipe(folder).generation
    options = asdict(search)
    options |= {name: getattr(arguments, name) for name in options if getattr(arguments, name) is not None}
    n_best = arguments.n_best or 1
    if arguments.num_beams is None:
        options["num_beams"] = max(n_best, options["num_beams"])
    return {
        **options,
        "n_best": n_best,
        "scores": arguments.scores or arguments.json or arguments.n_best is not None,
        "tokens_per_batch": arguments.tokens_per_batch,
        "memory_per_batch": None if arguments.memory_per_batch is None else arguments.memory_per_batch * 2**20,
    }


def _translations(
    lines: list[str],
    before: int,
    model: Any,
    tokenizer: Any,
    arguments: argparse.Namespace,
    options: dict[str, Any],
    long_lines: LongLines,
) -> list[list[Answer]]:
    """The translations of each line; with `--split-sentences`, joined from those of its sentences.

    Sentences that are longer than the model get an empty translation, and `long_lines` counts them.
    """
    from ..generation import translate_n_best
    from ..pipelines import Sentence, join_sentences, split_sentences

    of_lines = [split_sentences(line) if arguments.split_sentences else [] for line in lines]
    of_lines = [sentences or [Sentence(line, "")] for line, sentences in zip(lines, of_lines)]
    # A line without text gets no prefix, so that its translation stays empty.
    sources = [arguments.prefix + text if text.strip() else "" for sentences in of_lines for text, _ in sentences]
    numbers = [before + index for index, sentences in enumerate(of_lines, 1) for _ in sentences]
    lengths = [len(ids) for ids in tokenizer(sources, verbose=False)["input_ids"]] if sources else []
    sources = [
        "" if long_lines.is_long(number, length) else source
        for source, number, length in zip(sources, numbers, lengths)
    ]
    translations = iter(translate_n_best(model, tokenizer, sources, **options))
    answers = []
    for sentences in of_lines:
        n_best_lists = [next(translations) for _ in sentences]
        best = []
        for rank in range(min(len(n_best) for n_best in n_best_lists)):
            ranked = [n_best[rank] for n_best in n_best_lists]
            text = join_sentences(Sentence(one.text, gap) for one, (_, gap) in zip(ranked, sentences))
            best.append(Answer(text, sum(one.log_probability or 0.0 for one in ranked)))
        answers.append(best)
    return answers
