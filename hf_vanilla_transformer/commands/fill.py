"""Fill in the masked words of sentences, one sentence a line, from a file or standard input.

Write the mask token of the tokenizer, such as [MASK] or <mask>, or ___ for any model. MODEL is a masked language model
of this package or of transformers: a folder, or a name on the Hub.

Each line is printed with its masks filled. A line without a mask is printed unchanged. --n-best prints the N most
probable fillings, and --scores prints their probabilities. Several masks in a line are filled independently; the
probability is the product.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Iterator
from typing import Any

from .attention_images import AttentionImages
from .lines import (
    Answer,
    LongLines,
    add_line_arguments,
    answer_writer,
    check_line_arguments,
    load_for_lines,
    longest_input,
    windows_of_lines,
)
from .option_types import whole_number

EXAMPLES = """\
examples:
  echo "Paris is the ___ of France." | hf-vanilla fill runs/bert
  hf-vanilla fill google-bert/bert-base-uncased --input sentences.txt --n-best 5 --scores
"""

_ANY_MASK = "___"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_line_arguments(parser, "sentences", "filled sentences", "probability")
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=1),
        default=32,
        metavar="N",
        help="sentences in a batch (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fills in the masks of all lines."""
    check_line_arguments(arguments)
    windows = windows_of_lines(arguments.input)
    model, tokenizer = load_for_lines(arguments, "AutoModelForMaskedLM")
    if tokenizer.mask_token is None:
        raise ValueError(f"The tokenizer of MODEL {arguments.model} has no mask token: use a masked language model.")
    long_lines = LongLines("fill", longest_input(model, tokenizer), "masks not filled")
    images = AttentionImages(arguments.attention, model, tokenizer)
    with answer_writer(arguments) as writer:
        for lines in windows:
            filled = _filled(lines, writer.lines, model, tokenizer, arguments, long_lines)
            for line, answers in zip(lines, filled):
                writer.write(line, answers)
                if writer.lines not in long_lines.numbers:
                    images.draw_self_attention(writer.lines, _with_mask(line, tokenizer))
            writer.flush()
    images.report()
    long_lines.report()
    return 0


def _with_mask(line: str, tokenizer: Any) -> str:
    return line.replace(_ANY_MASK, tokenizer.mask_token)


def _filled(
    lines: list[str],
    before: int,
    model: Any,
    tokenizer: Any,
    arguments: argparse.Namespace,
    long_lines: LongLines,
) -> list[list[Answer]]:
    """The `--n-best` fillings of each line, ranked by the product of the probabilities of its masks.

    Lines that are longer than the model stay as they are, and `long_lines` counts them.
    """
    from transformers import pipeline

    n_best, batch_size = arguments.n_best or 1, arguments.batch_size
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer, device=model.device, top_k=n_best)
    masked = [_with_mask(line, tokenizer) for line in lines]
    long = set()
    for index, line in enumerate(masked):
        if tokenizer.mask_token in line:
            tokens = len(tokenizer(line, verbose=False)["input_ids"])
            if long_lines.is_long(before + index + 1, tokens):
                long.add(index)
    with_masks = [line for index, line in enumerate(masked) if tokenizer.mask_token in line and index not in long]
    predictions: Any = fill(with_masks, batch_size=batch_size) if with_masks else []
    # For a single text, the pipeline returns its predictions without a list around them.
    predictions = iter([predictions] if len(with_masks) == 1 else predictions)
    answers = []
    for index, line in enumerate(masked):
        if index in long or tokenizer.mask_token not in line:
            answers.append([Answer(line, 0.0 if index in long else 1.0)])
            continue
        predicted = next(predictions)
        # One mask has a list of predictions, several masks have a list of such lists.
        of_masks = predicted if isinstance(predicted[0], list) else [predicted]
        parts = line.split(tokenizer.mask_token)
        best = []
        for ranks, probability in _best_combinations(
            [[prediction["score"] for prediction in of_mask] for of_mask in of_masks], n_best
        ):
            words = [of_mask[rank]["token_str"].strip() for of_mask, rank in zip(of_masks, ranks)]
            text = parts[0] + "".join(word + part for word, part in zip(words, parts[1:]))
            best.append(Answer(text, probability))
        answers.append(best)
    return answers


def _best_combinations(scores: list[list[float]], count: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """The combinations of one item of each list with the largest products of scores, the largest first.

    Best-first search: each combination that is taken adds those in which one item is replaced by the next. So the work
    grows with `count`, not with the number of combinations.

    Args:
        scores: for each list the scores of its items, the largest first.
        count: of the combinations.

    Yields:
        The index of each item in its list, and the product.
    """

    def entry(ranks: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return -math.prod(of_mask[rank] for of_mask, rank in zip(scores, ranks)), ranks

    waiting = [entry((0,) * len(scores))]
    seen = {waiting[0][1]}
    for _ in range(count):
        if not waiting:
            return
        product, ranks = heapq.heappop(waiting)
        yield ranks, -product
        for place, rank in enumerate(ranks):
            following = (*ranks[:place], rank + 1, *ranks[place + 1 :])
            if rank + 1 < len(scores[place]) and following not in seen:
                seen.add(following)
                heapq.heappush(waiting, entry(following))
