"""Fill in the masked words of sentences, one a line, from a file or standard input.

Write the mask as the tokenizer does, such as [MASK] or <mask>, or as ___ for any model. MODEL is a folder or a name on
the Hub, of this package or of any other masked language model of transformers.

A line comes out with its mask filled; lines without a mask come out as they are. With --n-best there are so many, each
after the number of its line; with --scores, each after its probability. Of several masks in a line each is filled by
itself, and the probability is the product.
"""

from __future__ import annotations

import argparse
import itertools
import math
from typing import Any

from .lines import Answer, add_line_arguments, answer_writer, check_line_arguments, load_for_lines, windows_of_lines
from .pictures import draw_self_attention

EXAMPLES = """\
examples:
  echo "Paris is the ___ of France." | hf-vanilla fill runs/bert
  hf-vanilla fill google-bert/bert-base-uncased --input sentences.txt --n-best 5 --scores
"""

_ANY_MASK = "___"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model and which sentences."""
    add_line_arguments(parser, "sentences", "sentences", "its probability")
    parser.add_argument("--batch-size", type=int, default=32, help="sentences that run together (default: 32)")


def run(arguments: argparse.Namespace) -> int:
    """Fills all lines."""
    check_line_arguments(arguments)
    windows = windows_of_lines(arguments.input)
    model, tokenizer = load_for_lines(arguments, "AutoModelForMaskedLM")
    if tokenizer.mask_token is None:
        raise ValueError(f"The tokenizer of {arguments.model} has no mask token, so there is nothing to fill in.")
    with answer_writer(arguments) as writer:
        for lines in windows:
            filled = _filled(lines, model, tokenizer, arguments.n_best or 1, arguments.batch_size)
            for line, answers in zip(lines, filled):
                writer.write(line, answers)
                draw_self_attention(arguments, writer.lines, model, tokenizer, _with_mask(line, tokenizer))
            writer.flush()
    return 0


def _with_mask(line: str, tokenizer: Any) -> str:
    return line.replace(_ANY_MASK, tokenizer.mask_token)


def _filled(lines: list[str], model: Any, tokenizer: Any, n_best: int, batch_size: int) -> list[list[Answer]]:
    """The `n_best` ways to fill each line, by the product of the probabilities of its masks."""
    from transformers import pipeline

    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer, device=model.device, top_k=n_best)
    masked = [_with_mask(line, tokenizer) for line in lines]
    wanted = [line for line in masked if tokenizer.mask_token in line]
    found: Any = fill(wanted, batch_size=batch_size) if wanted else []
    # The pipeline gives the guesses for one text alone without a list around them.
    found = iter([found] if len(wanted) == 1 else found)
    answers = []
    for line in masked:
        if tokenizer.mask_token not in line:
            answers.append([Answer(line, 1.0)])
            continue
        guesses = next(found)
        # One mask gives a list of guesses, several a list of such lists.
        of_masks = guesses if isinstance(guesses[0], list) else [guesses]
        before_each = line.split(tokenizer.mask_token)
        best = []
        for chosen in itertools.product(*of_masks):
            words = [guess["token_str"].strip() for guess in chosen]
            text = before_each[0] + "".join(word + rest for word, rest in zip(words, before_each[1:]))
            best.append(Answer(text, math.prod(guess["score"] for guess in chosen)))
        answers.append(sorted(best, key=lambda answer: -answer.score)[:n_best])
    return answers
