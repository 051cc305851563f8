"""Say which class lines of text belong to, or which the words in them.

A model for sequences gives each line a label; with --pair, a line is two texts with a tab between them. A model for
tokens gives each word of a line its label, as word/LABEL. With --labels, a model that was trained on entailment chooses
among labels that it has never seen. MODEL is a folder or a name on the Hub, of this package or of transformers.

With --n-best there are so many labels a line, each after the number of its line; with --scores, each after its
probability (for words, the mean).
"""

from __future__ import annotations

import argparse
from typing import Any

from .lines import Answer, add_line_arguments, answer_writer, check_line_arguments, load_for_lines, windows_of_lines
from .pictures import draw_self_attention

EXAMPLES = """\
examples:
  echo "What a film!" | hf-vanilla classify runs/sentiment --scores
  hf-vanilla classify runs/nli --pair --input premises-and-hypotheses.tsv --n-best 3 --scores
  hf-vanilla classify runs/names --input news.txt
  hf-vanilla classify facebook/bart-large-mnli --labels "sports, politics, science" --input news.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which texts, which labels."""
    add_line_arguments(parser, "texts", "labels", "its probability")
    parser.add_argument("--pair", action="store_true", help="a line is two texts with a tab between them")
    parser.add_argument("--labels", metavar="A,B,...", help="choose among these, by a model of entailment")
    parser.add_argument(
        "--template", default="This text is about {}.", help="what a label claims, with --labels (default: %(default)s)"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="texts that run together (default: 32)")


def run(arguments: argparse.Namespace) -> int:
    """Classifies all lines."""
    check_line_arguments(arguments)
    labels = _labels(arguments)
    windows = windows_of_lines(arguments.input)
    model, tokenizer = load_for_lines(
        arguments, "AutoModelForSequenceClassification", "AutoModelForTokenClassification"
    )
    head = type(model).__name__
    is_for_words = head.endswith("TokenClassification")
    if is_for_words and (labels is not None or arguments.pair):
        raise ValueError(f"{head} labels words: leave out {'--pair' if arguments.pair else '--labels'}.")
    if is_for_words and (arguments.n_best or 1) > 1:
        raise ValueError(f"--n-best {arguments.n_best} is for labels of lines, but {head} labels words.")
    with answer_writer(arguments) as writer:
        for lines in windows:
            if is_for_words:
                answered = _words(lines, model, tokenizer, arguments)
            else:
                answered = _sequences(lines, writer.lines, model, tokenizer, labels, arguments)
            for line, answers in zip(lines, answered):
                writer.write(line, answers)
                draw_self_attention(arguments, writer.lines, model, tokenizer, line)
            writer.flush()
    return 0


def _labels(arguments: argparse.Namespace) -> list[str] | None:
    if arguments.labels is None:
        return None
    labels = [label.strip() for label in arguments.labels.split(",") if label.strip()]
    if not labels:
        raise ValueError(f"--labels {arguments.labels!r} has no label: give some with commas between them.")
    if arguments.pair:
        raise ValueError("--labels compares a text with each label: leave out --pair.")
    if "{}" not in arguments.template:
        raise ValueError(f"--template {arguments.template!r} has no place {{}} for the label.")
    return labels


def _sequences(
    lines: list[str], before: int, model: Any, tokenizer: Any, labels: list[str] | None, arguments: argparse.Namespace
) -> list[list[Answer]]:
    """The likeliest labels of each line; none for a line without text."""
    from transformers import pipeline

    n_best = arguments.n_best or 1
    wanted = [line for line in lines if line.strip()]
    if not wanted:
        return [[] for _ in lines]
    if labels is not None:
        choose = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, device=model.device)
        template = arguments.template
        found = choose(wanted, labels, hypothesis_template=template, batch_size=arguments.batch_size)
        ranked = [list(zip(answer["labels"], answer["scores"])) for answer in found]
    else:
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device=model.device, top_k=n_best)
        texts: list[Any] = wanted
        if arguments.pair:
            texts = [_pair(line, number) for number, line in enumerate(lines, before + 1) if line.strip()]
        found = classify(texts, batch_size=arguments.batch_size, truncation=True)
        ranked = [[(answer["label"], answer["score"]) for answer in answers] for answers in found]
    answers = iter([[Answer(label, score) for label, score in some[:n_best]] for some in ranked])
    return [next(answers) if line.strip() else [Answer("", 0.0)] for line in lines]


def _pair(line: str, number: int) -> dict[str, str]:
    parts = line.split("\t")
    if len(parts) != 2:
        raise ValueError(f"Line {number} has {len(parts)} columns, but --pair needs two texts with one tab between.")
    return {"text": parts[0], "text_pair": parts[1]}


def _words(lines: list[str], model: Any, tokenizer: Any, arguments: argparse.Namespace) -> list[list[Answer]]:
    """Each line with its words labelled."""
    from transformers import pipeline

    from ..interpretation.words import split_words

    label_tokens = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, device=model.device, ignore_labels=[]
    )
    wanted = [line for line in lines if line.strip()]
    found = iter(label_tokens(wanted, batch_size=arguments.batch_size) if wanted else [])
    answers = []
    for line in lines:
        if not line.strip():
            answers.append([Answer("", 0.0)])
            continue
        tokens = next(found)
        labelled, scores = [], []
        for word, begin, stop in split_words(line):
            # The label of a word is that of its first piece, or, where a piece sees nothing behind it, of its last, as
            # in training.
            pieces = [token for token in tokens if token["start"] < stop and token["end"] > begin]
            if pieces:
                piece = pieces[-1 if getattr(model.config, "is_decoder", False) else 0]
                labelled.append(f"{word}/{piece['entity']}")
                scores.append(float(piece["score"]))
        answers.append([Answer(" ".join(labelled), sum(scores) / max(1, len(scores)))])
    return answers
