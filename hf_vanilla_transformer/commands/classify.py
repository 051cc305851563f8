"""Classify lines of text, or label their words.

A sequence classifier predicts a label for each line; with --pair, a line is two texts separated by a tab. A token
classifier predicts a label for each word and prints word/LABEL. With --labels, a model of natural language inference
chooses among labels that it was not trained on (zero-shot classification). MODEL is a model of this package or of
transformers: a folder, or a name on the Hub.

--n-best prints the N most probable labels of each line, and --scores prints their probabilities (for words, the mean).
"""

from __future__ import annotations

import argparse
from typing import Any

from .attention_images import draw_self_attention
from .lines import Answer, add_line_arguments, answer_writer, check_line_arguments, load_for_lines, windows_of_lines

EXAMPLES = """\
examples:
  echo "What a film!" | hf-vanilla classify runs/sentiment --scores
  hf-vanilla classify runs/nli --pair --input premises-and-hypotheses.tsv --n-best 3 --scores
  hf-vanilla classify runs/names --input news.txt
  hf-vanilla classify facebook/bart-large-mnli --labels "sports, politics, science" --input news.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_line_arguments(parser, "texts", "labels", "probability")
    parser.add_argument("--pair", action="store_true", help="each line is two texts separated by a tab")
    parser.add_argument(
        "--labels", metavar="A,B,...", help="choose among these labels, with a model of natural language inference"
    )
    parser.add_argument(
        "--template",
        default="This text is about {}.",
        help="the hypothesis for each of --labels (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="texts in a batch (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Classifies all lines."""
    check_line_arguments(arguments)
    labels = _labels(arguments)
    windows = windows_of_lines(arguments.input)
    model, tokenizer = load_for_lines(
        arguments, "AutoModelForSequenceClassification", "AutoModelForTokenClassification"
    )
    head = type(model).__name__
    labels_words = head.endswith("TokenClassification")
    if labels_words and (labels is not None or arguments.pair):
        option = "--pair" if arguments.pair else "--labels"
        raise ValueError(f"{option} needs a sequence classifier, but MODEL is a {head}: leave {option} out.")
    if labels_words and (arguments.n_best or 1) > 1:
        raise ValueError(
            f"--n-best {arguments.n_best} needs a sequence classifier, but MODEL is a {head}: leave --n-best out."
        )
    with answer_writer(arguments) as writer:
        for lines in windows:
            if labels_words:
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
        raise ValueError(f"--labels {arguments.labels!r} contains no label: give labels separated by commas.")
    if arguments.pair:
        raise ValueError("--labels already pairs each text with each label: leave --pair out.")
    if "{}" not in arguments.template:
        raise ValueError(f"--template {arguments.template!r} must contain {{}} in place of the label.")
    return labels


def _sequences(
    lines: list[str], before: int, model: Any, tokenizer: Any, labels: list[str] | None, arguments: argparse.Namespace
) -> list[list[Answer]]:
    """The most probable labels of each line; an empty answer for a line without text."""
    from transformers import pipeline

    n_best = arguments.n_best or 1
    texts: list[Any] = [line for line in lines if line.strip()]
    if not texts:
        return [[] for _ in lines]
    if labels is not None:
        classify = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, device=model.device)
        template = arguments.template
        outputs = classify(texts, labels, hypothesis_template=template, batch_size=arguments.batch_size)
        ranked = [list(zip(output["labels"], output["scores"])) for output in outputs]
    else:
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device=model.device, top_k=n_best)
        if arguments.pair:
            texts = [_pair(line, number) for number, line in enumerate(lines, before + 1) if line.strip()]
        outputs = classify(texts, batch_size=arguments.batch_size, truncation=True)
        ranked = [[(label["label"], label["score"]) for label in output] for output in outputs]
    answers = iter([[Answer(label, score) for label, score in line_labels[:n_best]] for line_labels in ranked])
    return [next(answers) if line.strip() else [Answer("", 0.0)] for line in lines]


def _pair(line: str, number: int) -> dict[str, str]:
    parts = line.split("\t")
    if len(parts) != 2:
        raise ValueError(f"Line {number} has {len(parts)} columns, but --pair needs two texts separated by one tab.")
    return {"text": parts[0], "text_pair": parts[1]}


def _words(lines: list[str], model: Any, tokenizer: Any, arguments: argparse.Namespace) -> list[list[Answer]]:
    """Each line as one answer in which every word has its label."""
    from transformers import pipeline

    from ..interpretation.token_words import split_words

    label_tokens = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, device=model.device, ignore_labels=[]
    )
    texts = [line for line in lines if line.strip()]
    outputs = iter(label_tokens(texts, batch_size=arguments.batch_size) if texts else [])
    answers = []
    for line in lines:
        if not line.strip():
            answers.append([Answer("", 0.0)])
            continue
        tokens = next(outputs)
        labelled, scores = [], []
        for word, begin, stop in split_words(line):
            # As in training, an encoder's label of a word is that of its first token. In a decoder only the last token
            # attends to the complete word.
            of_word = [token for token in tokens if token["start"] < stop and token["end"] > begin]
            if of_word:
                token = of_word[-1 if getattr(model.config, "is_decoder", False) else 0]
                labelled.append(f"{word}/{token['entity']}")
                scores.append(float(token["score"]))
        answers.append([Answer(" ".join(labelled), sum(scores) / max(1, len(scores)))])
    return answers
