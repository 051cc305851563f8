"""The sections of a report: one function a section, from records of predictions to Markdown and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.calibration import reliability
from .fonts import INSTALL_HINT
from .markdown import cell, figure, left_table, table
from .task_pictures import plot_confusion, plot_numbers, plot_reliability, plot_tree

# With more classes, the section lists the most confused pairs instead of drawing the matrix.
_MOST_CLASSES = 25
_LONGEST_SENTENCE = 25

Record = Mapping[str, Any]


def history_caption(history: Sequence[Record], metric: str) -> str:
    """The caption of the learning curves."""
    evaluated = any(f"eval_{metric}" in record for record in history)
    shown = f"{metric} on the validation rows" if evaluated else "the learning rate"
    return (
        f"Loss over the updates, and {shown}. If the validation loss rises while the training loss falls, the model "
        "overfits."
    )


def class_section(
    folder: Path, predictions: Sequence[Record], labels: Sequence[str], where: str, *, several: bool = False
) -> list[str]:
    """Precision, recall and F1 of each class, and the confusion matrix."""
    names = list(labels) or sorted({str(name) for record in predictions for name in _classes(record["gold"])})
    gold = [_classes(record["gold"]) for record in predictions]
    predicted = [_classes(record["predicted"]) for record in predictions]
    parts = ["## Classes", f"Scores on {where}.", _class_table(gold, predicted, names)]
    if several or len(names) < 2:
        return parts
    return [*parts, *_confusion(folder, [one[0] for one in gold], [one[0] for one in predicted], names)]


def tag_section(
    folder: Path, predictions: Sequence[Record], labels: Sequence[str], where: str, examples: int
) -> list[str]:
    """The tags with the lowest F1 first, the confusion matrix, and the sentences with most errors.

    Raises:
        ValueError: the predictions have another number of tags than the gold answers.
    """
    gold = [tag for record in predictions for tag in record["gold"]]
    predicted = [tag for record in predictions for tag in record["predicted"]]
    if len(gold) != len(predicted):
        raise ValueError(
            f"The predictions have {len(predicted):,} predicted and {len(gold):,} gold tags; give one of each a word."
        )
    names = list(labels) or sorted(set(gold) | set(predicted))
    accuracy = sum(map(eq, gold, predicted)) / max(len(gold), 1)
    parts = [
        "## Tags",
        f"Of {len(gold):,} words in {where}, {accuracy:.1%} have the correct tag. Tags are sorted by F1, the lowest "
        "first.",
        _class_table([[tag] for tag in gold], [[tag] for tag in predicted], names, worst_first=True),
        *_confusion(folder, gold, predicted, names),
    ]
    ranked = sorted(
        (record for record in predictions if record["gold"] != record["predicted"]),
        key=lambda record: -sum(tag != guess for tag, guess in zip(record["gold"], record["predicted"])),
    )
    if ranked:
        rows = [[_tagged(record)] for record in ranked[:examples]]
        parts += ["## Sentences with most errors", left_table(["word (**predicted**, gold)"], rows)]
    return parts


def calibration_section(folder: Path, predictions: Sequence[Record]) -> list[str]:
    """Reliability diagram and ECE of the predicted probabilities; no section if the predictions have none."""
    confidences: list[float] = []
    correct: list[bool] = []
    for record in predictions:
        for confidence, is_correct in _decisions(record):
            confidences.append(min(max(confidence, 0.0), 1.0))
            correct.append(is_correct)
    if not confidences:
        return []
    bins = reliability(confidences, correct)
    plot_reliability(bins, folder / "report-calibration.png")
    mean, accuracy = float(np.mean(confidences)), float(np.mean(correct))
    verdict = "overconfident" if mean > accuracy else "underconfident"
    return [
        "## Calibration",
        f"A calibrated model is correct in 80 of 100 answers that it gives a probability of 80 %. This model is "
        f"{verdict}: its mean confidence is {mean:.1%}, its accuracy {accuracy:.1%}. The expected calibration error "
        f"(ECE) is **{bins.expected_calibration_error:.1%}**. It is computed from {len(confidences):,} decisions in "
        f"{len(bins.counts)} bins of confidence of equal width as Σ |Bₘ|/n · |acc(Bₘ) − conf(Bₘ)|: the distance "
        "between the accuracy and the mean confidence of a bin, weighted by its decisions (Guo et al. 2017, Eq. 5). "
        f"The largest distance is {bins.largest_calibration_error:.1%}.",
        figure(
            "report-calibration.png",
            "Accuracy over confidence. The model is overconfident where the bars stay below the dashed line. The bars "
            "at the bottom count the decisions of each bin.",
        ),
    ]


def error_section(predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """The errors with the highest probability."""
    errors = [record for record in predictions if _differ(record["gold"], record["predicted"])]
    if not errors:
        return ["## Most confident errors", f"All of {where} are predicted correctly."]
    errors.sort(key=lambda record: -(record.get("probability") or 0.0))
    rows = [
        [_probability(record), cell(_words(record["predicted"])), cell(_words(record["gold"])), cell(_text(record))]
        for record in errors[:examples]
    ]
    return [
        "## Most confident errors",
        f"{len(errors):,} of {where} are predicted incorrectly. The table lists those with the highest probability; "
        "some of them may have a wrong label.",
        left_table(["probability", "predicted", "gold", "text"], rows),
    ]


def number_section(folder: Path, predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """A scatter plot of the numbers, and the largest errors."""
    gold = [float(record["gold"]) for record in predictions]
    predicted = [float(record["predicted"]) for record in predictions]
    plot_numbers(gold, predicted, folder / "report-numbers.png")
    ranked = sorted(predictions, key=lambda record: -abs(record["gold"] - record["predicted"]))
    rows = [
        [f"{record['predicted']:.3g}", f"{record['gold']:.3g}", cell(_text(record))] for record in ranked[:examples]
    ]
    return [
        "## Predicted and true numbers",
        figure(
            "report-numbers.png",
            f"Each point is one of {where}. On the dashed line the prediction equals the true number.",
        ),
        "## Largest errors",
        left_table(["predicted", "gold", "text"], rows),
    ]


def tree_section(folder: Path, predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """The relations with the lowest scores, and drawn trees of sentences of readable length, mostly with errors."""
    parts = ["## Relations", f"Words of {where} by their gold relation.", _relation_table(predictions)]
    readable = [record for record in predictions if 4 <= len(record["text"]) <= _LONGEST_SENTENCE]
    errors = [record for record in readable if record["gold"] != record["predicted"]]
    # Evenly spread from few to many errors, so that the examples are typical and not only the worst.
    ranked = sorted(errors, key=_error_rate)
    chosen = (
        [ranked[index] for index in dict.fromkeys(np.linspace(0, len(ranked) - 1, examples).astype(int))]
        if ranked
        else []
    )
    chosen = chosen or readable[:1]
    parts.append("## Parsed sentences")
    for number, record in enumerate(chosen, start=1):
        name = f"report-tree-{number}.png"
        drawn = plot_tree(record["text"], _tree(record["gold"]), _tree(record["predicted"]), folder / name)
        caption = (
            "The gold tree is above the words (green: predicted correctly), the predicted tree below (orange: correct "
            "head with a wrong relation, red: wrong head)."
        )
        parts.append(figure(name, caption))
        parts.append(_font_note(record["text"]) if not drawn else cell(" ".join(record["text"])))
    return parts


def example_section(predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """Outputs beside their references, those with the lowest probability first."""
    errors = [record for record in predictions if _differ(record["gold"], record["predicted"])]
    errors.sort(key=lambda record: record["probability"] if record.get("probability") is not None else 1.0)
    rows = [
        [cell(_words(record["predicted"])), cell(_words(record["gold"])), cell(_text(record))]
        for record in (errors or list(predictions))[:examples]
    ]
    return [
        "## Examples",
        f"{len(errors):,} of {where} differ from the reference. " + ("Examples:" if errors else "Some correct ones:"),
        left_table(["predicted", "reference", "text"], rows),
    ]


def _classes(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def _class_table(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    names: Sequence[str],
    *,
    worst_first: bool = False,
) -> str:
    tp, n_gold, n_pred = Counter[str](), Counter[str](), Counter[str]()
    for true, guess in zip(gold, predicted):
        tp.update(set(true) & set(guess))
        n_gold.update(true)
        n_pred.update(guess)
    f1 = {name: 2 * tp[name] / max(n_gold[name] + n_pred[name], 1) for name in names}
    order = [name for name in names if n_gold[name] or n_pred[name]]
    if worst_first:
        order.sort(key=lambda name: (f1[name], -n_gold[name]))
    rows = [
        [cell(name), _ratio(tp[name], n_pred[name]), _ratio(tp[name], n_gold[name]), f"{f1[name]:.3f}",
         f"{n_gold[name]:,}"]
        for name in order
    ]  # fmt: skip
    return table(["class", "precision", "recall", "F1", "rows"], rows)


def _confusion(folder: Path, gold: Sequence[str], predicted: Sequence[str], names: Sequence[str]) -> list[str]:
    names = [name for name in names if name in set(gold) | set(predicted)]
    pairs = Counter(zip(gold, predicted))
    if len(names) > _MOST_CLASSES:
        errors = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]][:15]
        rows = [[cell(true), cell(guess), f"{count:,}"] for (true, guess), count in errors]
        return ["## Most confused classes", left_table(["gold", "predicted", "count"], rows)] if rows else []
    counts = np.array([[pairs[true, guess] for guess in names] for true in names])
    drawn = plot_confusion(counts, names, folder / "report-confusion.png")
    parts = [
        "## Confusion matrix",
        figure(
            "report-confusion.png",
            "Each row is a true class, each column a predicted class; the diagonal counts correct predictions.",
        ),
    ]
    return parts if drawn else [*parts, _font_note(names)]


def _font_note(names: Iterable[str]) -> str:
    listed = ", ".join(f"{number} {cell(name)}" for number, name in enumerate(names, start=1))
    return (
        f"No font of the machine that drew the picture has all these characters ({INSTALL_HINT}), so it shows numbers: "
        f"{listed}."
    )


def _relation_table(predictions: Sequence[Record]) -> str:
    words, heads, both = Counter[str](), Counter[str](), Counter[str]()
    for record in predictions:
        for true, guess in zip(_tree(record["gold"]), _tree(record["predicted"])):
            relation = true[1]
            words[relation] += 1
            heads[relation] += true[0] == guess[0]
            both[relation] += true == guess
    order = sorted((name for name in words if words[name] >= 5), key=lambda name: both[name] / words[name])
    order = order or list(words)
    rows = [
        [cell(name), _ratio(heads[name], words[name]), _ratio(both[name], words[name]), f"{words[name]:,}"]
        for name in order[:12]
    ]
    return table(["relation (lowest score first)", "correct head", "correct head and relation", "words"], rows)


def _tree(tree: Mapping[str, Any]) -> list[tuple[int, str]]:
    return list(zip(tree["heads"], tree["relations"]))


def _error_rate(record: Record) -> float:
    """The share of arcs that are wrong."""
    pairs = list(zip(_tree(record["gold"]), _tree(record["predicted"])))
    return sum(true != guess for true, guess in pairs) / max(len(pairs), 1)


def _decisions(record: Record) -> Iterable[tuple[float, bool]]:
    """The decisions of a prediction, each with its confidence and whether it is correct.

    A single class is one decision; several classes are one decision a class; tags are one decision a word.
    """
    gold, predicted = record["gold"], record["predicted"]
    probabilities = record.get("probabilities")
    per_word = (record.get("extra") or {}).get("probabilities")
    if isinstance(gold, list) and isinstance(probabilities, Mapping):
        for name, probability in probabilities.items():
            yield max(probability, 1 - probability), (name in gold) == (name in predicted)
    elif isinstance(gold, list):
        for confidence, tag, guess in zip(per_word or [], gold, predicted):
            yield confidence, tag == guess
    elif record.get("probability") is not None:
        yield record["probability"], gold == predicted


def _tagged(record: Record) -> str:
    shown = []
    for word, tag, guess in zip(record["text"], record["gold"], record["predicted"]):
        shown.append(cell(word) if tag == guess else f"{cell(word)} (**{cell(guess)}**, {cell(tag)})")
    return " ".join(shown)


def _differ(gold: Any, predicted: Any) -> bool:
    if isinstance(gold, list) and isinstance(predicted, list):
        return set(map(str, gold)) != set(map(str, predicted))
    return gold != predicted


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _text(record: Record) -> str:
    text = record["text"]
    return " — ".join(map(str, text)) if isinstance(text, list) else str(text)


def _probability(record: Record) -> str:
    return f"{record['probability']:.1%}" if record.get("probability") is not None else ""


def _ratio(part: int, total: int) -> str:
    return f"{part / total:.3f}" if total else "–"
