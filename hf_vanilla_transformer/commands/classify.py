"""Classify lines of text, or label their words.

A sequence classifier predicts a label for each line; with --pair, a line is two texts separated by a tab. A model that
was trained for several labels per text predicts all labels with a probability of at least 0.5, separated by commas,
possibly none. A regression model predicts a number. A token classifier predicts a label for each word and prints
word/LABEL. It separates words and punctuation; with --words, the blanks of the line separate its words. With --labels,
a model of natural language inference chooses among labels that it was not trained on (zero-shot classification). MODEL
is a model of this package or of transformers: a folder, or a name on the Hub.

--n-best prints the N most probable labels of each line, and --scores prints their probabilities (for words, the mean;
for several labels, the lowest, and without any label, the highest of all labels).
"""

from __future__ import annotations

import argparse
from typing import Any

from ..wording import counted
from .attention_images import AttentionImages
from .lines import (
    NO_LIMIT,
    Answer,
    LongLines,
    add_line_arguments,
    answer_writer,
    check_line_arguments,
    load_for_lines,
    longest_input,
    windows_of_lines,
)
from .option_types import plain_text, whole_number

EXAMPLES = """\
examples:
  echo "What a film!" | hf-vanilla classify runs/sentiment --scores
  hf-vanilla classify runs/nli --pair --input premises-and-hypotheses.tsv --n-best 3 --scores
  hf-vanilla classify runs/names --input news.txt
  hf-vanilla classify facebook/bart-large-mnli --labels "sports, politics, science" --input news.txt
"""


# A multi-label model predicts the labels with at least this probability, as in training.
_THRESHOLD = 0.5


# What a text is said to be about, for labels that are chosen on the command line.
_TEMPLATE = "This text is about {}."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_line_arguments(parser, "texts", "labels", "probability")
    parser.add_argument("--pair", action="store_true", help="each line is two texts separated by a tab")
    parser.add_argument(
        "--words", action="store_true", help="each line is words separated by blanks (token classifiers)"
    )
    parser.add_argument(
        "--labels",
        metavar="A,B,...",
        type=plain_text,
        help="choose among these labels, with a model of natural language inference",
    )
    parser.add_argument(
        "--template",
        metavar="TEXT",
        type=plain_text,
        help=f"the hypothesis for each of --labels (default: {_TEMPLATE})",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=1),
        default=32,
        metavar="N",
        help="texts in a batch (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Classifies all lines."""
    check_line_arguments(arguments)
    labels = _labels(arguments)
    windows = windows_of_lines(arguments.input)
    model, tokenizer = load_for_lines(
        arguments, "AutoModelForSequenceClassification", "AutoModelForTokenClassification"
    )
    from ..inference.flat_encoder import skipped_padding

    head = type(model).__name__
    labels_words = head.endswith("TokenClassification")
    if labels_words and (labels is not None or arguments.pair):
        option = "--pair" if arguments.pair else "--labels"
        raise ValueError(f"{option} needs a sequence classifier, but MODEL is a {head}: leave {option} out.")
    if labels_words and (arguments.n_best or 1) > 1:
        raise ValueError(
            f"--n-best {arguments.n_best} needs a sequence classifier, but MODEL is a {head}: leave --n-best out."
        )
    if labels is not None and not any(name.lower().startswith("entail") for name in model.config.label2id):
        raise ValueError(
            "--labels needs a model of natural language inference, with a label `entailment`, but the labels of MODEL "
            f"are {', '.join(map(str, model.config.id2label.values()))}: leave --labels out."
        )
    if arguments.words and not labels_words:
        raise ValueError(f"--words needs a token classifier, but MODEL is a {head}: leave --words out.")
    treatment = "no labels, because one word is that long" if labels_words else "the end is not read"
    long_lines = LongLines("classify", longest_input(model, tokenizer), treatment)
    images = AttentionImages(arguments.attention, model, tokenizer)
    with answer_writer(arguments) as writer:
        for lines in windows:
            with skipped_padding():  # labels depend on tokens only
                if labels_words:
                    answered = _words(lines, writer.lines, model, tokenizer, arguments, long_lines)
                else:
                    answered = _sequences(lines, writer.lines, model, tokenizer, labels, arguments, long_lines)
            for line, answers in zip(lines, answered):
                writer.write(line, answers)
                if writer.lines not in long_lines.numbers:
                    images.draw_self_attention(writer.lines, line)
            writer.flush()
    images.report()
    long_lines.report()
    return 0


def _labels(arguments: argparse.Namespace) -> list[str] | None:
    if arguments.labels is None:
        if arguments.template is not None:
            raise ValueError("--template is the hypothesis for --labels: give them, or leave --template out.")
        return None
    labels = [label.strip() for label in arguments.labels.split(",") if label.strip()]
    if not labels:
        raise ValueError(f"--labels {arguments.labels!r} contains no label: give labels separated by commas.")
    if arguments.pair:
        raise ValueError("--labels already pairs each text with each label: leave --pair out.")
    if arguments.template is not None and "{}" not in arguments.template:
        raise ValueError(f"--template {arguments.template!r} must contain {{}} in place of the label.")
    return labels


def _sequences(
    lines: list[str],
    before: int,
    model: Any,
    tokenizer: Any,
    labels: list[str] | None,
    arguments: argparse.Namespace,
    long_lines: LongLines,
) -> list[list[Answer]]:
    """The most probable labels of each line; an empty answer for a line without text."""
    from transformers import pipeline

    n_best = arguments.n_best or 1
    texts: list[Any] = [line for line in lines if line.strip()]
    if not texts:
        return [[Answer("", 0.0)] for _ in lines]
    if labels is not None:
        classify = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, device=model.device)
        template = arguments.template or _TEMPLATE
        outputs = classify(texts, labels, hypothesis_template=template, batch_size=arguments.batch_size)
        ranked = [list(zip(output["labels"], output["scores"])) for output in outputs]
    else:
        several = model.config.problem_type == "multi_label_classification"
        top_k = None if several else n_best
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device=model.device, top_k=top_k)
        if arguments.pair:
            texts = [_pair(line, number) for number, line in enumerate(lines, before + 1) if line.strip()]
        filled = [number for number, line in enumerate(lines, before + 1) if line.strip()]
        lengths = []
        for number, text in zip(filled, texts):
            both = text if isinstance(text, dict) else {"text": text}
            lengths.append(len(tokenizer(**both, verbose=False)["input_ids"]))
            long_lines.is_long(number, lengths[-1])
        # Texts of similar length in a batch need little padding.
        order = sorted(range(len(texts)), key=lambda index: -lengths[index])
        # A head with one output is a regression, whose number a sigmoid would change.
        number_options = {"function_to_apply": "none"} if _is_regression(model) else {}
        limit = {} if long_lines.limit is None else {"max_length": long_lines.limit}
        sorted_texts = [texts[index] for index in order]
        found = classify(sorted_texts, batch_size=arguments.batch_size, truncation=True, **limit, **number_options)
        outputs = [output for _, output in sorted(zip(order, found), key=lambda pair: pair[0])]
        if _is_regression(model):
            values = [output[0]["score"] for output in outputs]
            ranked = [[(f"{value:.4f}", value)] for value in values]
        else:
            ranked = [[(label["label"], label["score"]) for label in output] for output in outputs]
        if several and arguments.n_best is None:
            ranked = [_above_threshold(line_labels, separate=arguments.json) for line_labels in ranked]
            n_best = max(map(len, ranked), default=1)
    answers = iter([[Answer(label, score) for label, score in line_labels[:n_best]] for line_labels in ranked])
    return [next(answers) if line.strip() else [Answer("", 0.0)] for line in lines]


def _is_regression(model: Any) -> bool:
    return model.config.num_labels == 1 and model.config.problem_type in (None, "regression")


def _above_threshold(ranked: list[tuple[str, float]], *, separate: bool) -> list[tuple[str, float]]:
    """The labels that a multi-label model predicts, the most probable first; as one answer unless `separate`."""
    predicted = [(label, score) for label, score in ranked if score >= _THRESHOLD]
    if separate:
        return predicted
    lowest = predicted[-1][1] if predicted else ranked[0][1]
    return [(", ".join(label for label, _ in predicted), lowest)]


def _pair(line: str, number: int) -> dict[str, str]:
    parts = line.split("\t")
    if len(parts) != 2:
        raise ValueError(
            f"Line {number} has {counted(len(parts), 'column')}, but --pair needs two, separated by a tab."
        )
    return {"text": parts[0], "text_pair": parts[1]}


def _words(
    lines: list[str],
    before: int,
    model: Any,
    tokenizer: Any,
    arguments: argparse.Namespace,
    long_lines: LongLines,
) -> list[list[Answer]]:
    """Each line as one answer in which every word has its label.

    As in training, each word is tokenized by itself, and a line that is longer than the model is read in windows.
    """
    import torch

    from ..data.word_pieces import encode_words
    from ..interpretation.token_words import split_words

    sentences = [line.split() if arguments.words else [word for word, _, _ in split_words(line)] for line in lines]
    limit = long_lines.limit or NO_LIMIT
    rows: list[tuple[int, int, int, list[int], list[int]]] = []  # line, first word, words, token ids, words of tokens
    for index, words in enumerate(sentences):
        if not words:
            continue
        try:
            encoded = encode_words(tokenizer, [words], max_length=limit, long="window", split=f"line {before}")
        except ValueError:
            if not tokenizer.is_fast or not long_lines.is_long(before + index + 1, _longest_word(words, tokenizer)):
                raise
            continue  # a word that is longer than the model
        columns = (encoded.first_words, encoded.words, encoded.input_ids, encoded.word_ids)
        rows += [(index, *row) for row in zip(*columns)]
    rows.sort(key=lambda row: -len(row[3]))  # rows of similar length in a batch need little padding
    sums = [torch.zeros(len(words), model.config.num_labels, dtype=torch.float64) for words in sentences]
    left = tokenizer.padding_side == "left"
    # In a decoder only the last token of a word attends to all of it.
    last_token = getattr(model.config, "is_decoder", False)
    for begin in range(0, len(rows), arguments.batch_size):
        batch = rows[begin : begin + arguments.batch_size]
        inputs = tokenizer.pad({"input_ids": [ids for *_, ids, _ in batch]}, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            probabilities = model(**inputs).logits.double().softmax(-1).cpu()
        for (index, first, count, ids, words_of_tokens), scores in zip(batch, probabilities):
            shift = len(scores) - len(ids) if left else 0
            tokens = [-1] * count
            for token, word in enumerate(words_of_tokens):
                if word >= 0 and (last_token or tokens[word] < 0):
                    tokens[word] = token + shift
            sums[index][first : first + count] += scores[tokens]
    answers = []
    for words, sum_of_windows in zip(sentences, sums):
        if not words or not sum_of_windows.any():
            answers.append([Answer("", 0.0)])
            continue
        probabilities, best = (sum_of_windows / sum_of_windows.sum(-1, keepdim=True)).max(-1)
        labelled = [f"{word}/{model.config.id2label[label]}" for word, label in zip(words, best.tolist())]
        answers.append([Answer(" ".join(labelled), probabilities.mean().item())])
    return answers


def _longest_word(words: list[str], tokenizer: Any) -> int:
    """The number of tokens of the longest word, with the special tokens of a text."""
    return max(len(ids) for ids in tokenizer(words, verbose=False)["input_ids"])
