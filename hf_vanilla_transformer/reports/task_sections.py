"""The sections of a report on a task: one function each, from records of predictions to Markdown and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.calibration import reliability
from .fonts import INSTALL_HINT
from .task_pictures import plot_confusion, plot_numbers, plot_reliability, plot_tree
from .task_text import cell, figure, left_table, table

# A matrix of more classes than this is no picture any more; the pairs that are confused most are a table.
_MOST_CLASSES = 25
_LONGEST_SENTENCE = 25

Record = Mapping[str, Any]


def course_caption(course: Sequence[Record], metric: str) -> str:
    """What the learning curves show."""
    evaluated = any(f"eval_{metric}" in record for record in course)
    right = f"{metric} on the validation rows" if evaluated else "the learning rate"
    return (
        f"Loss over the updates, and {right}. A validation loss that rises while the training loss falls means that "
        "the model learns its rows by heart."
    )


def class_section(
    folder: Path, predictions: Sequence[Record], labels: Sequence[str], where: str, *, several: bool = False
) -> list[str]:
    """Precision, recall and F1 of each class, and which classes are taken for which."""
    names = list(labels) or sorted({str(name) for record in predictions for name in _classes(record["gold"])})
    gold = [_classes(record["gold"]) for record in predictions]
    said = [_classes(record["predicted"]) for record in predictions]
    parts = ["## Classes", f"Of {where}.", _class_table(gold, said, names)]
    if several or len(names) < 2:
        return parts
    return [*parts, *_confusion(folder, [one[0] for one in gold], [one[0] for one in said], names)]


def tag_section(
    folder: Path, predictions: Sequence[Record], labels: Sequence[str], where: str, examples: int
) -> list[str]:
    """The tags with the lowest F1 first, what they are taken for, and sentences with most mistakes."""
    gold = [tag for record in predictions for tag in record["gold"]]
    said = [tag for record in predictions for tag in record["predicted"]]
    if len(gold) != len(said):
        raise ValueError(
            f"The predictions have {len(said):,} tags for {len(gold):,} right ones; give one for each word."
        )
    names = list(labels) or sorted(set(gold) | set(said))
    accuracy = sum(map(eq, gold, said)) / max(len(gold), 1)
    parts = [
        "## Tags",
        f"Of {len(gold):,} words in {where}, {accuracy:.1%} have the right tag. The worst tags stand first.",
        _class_table([[tag] for tag in gold], [[tag] for tag in said], names, worst_first=True),
        *_confusion(folder, gold, said, names),
    ]
    ranked = sorted(
        (record for record in predictions if record["gold"] != record["predicted"]),
        key=lambda record: -sum(right != said for right, said in zip(record["gold"], record["predicted"])),
    )
    if ranked:
        rows = [[_tagged(record)] for record in ranked[:examples]]
        parts += ["## Sentences with most mistakes", left_table(["word (**predicted**, right)"], rows)]
    return parts


def calibration_section(folder: Path, predictions: Sequence[Record]) -> list[str]:
    """Reliability diagram and ECE of the probabilities that the predictions carry; nothing if they carry none."""
    confidences: list[float] = []
    correct: list[bool] = []
    for record in predictions:
        for confidence, right in _decisions(record):
            confidences.append(min(max(confidence, 0.0), 1.0))
            correct.append(right)
    if not confidences:
        return []
    found = reliability(confidences, correct)
    plot_reliability(found, folder / "report-calibration.png")
    mean, accuracy = float(np.mean(confidences)), float(np.mean(correct))
    verdict = "too sure of itself" if mean > accuracy else "not sure enough"
    return [
        "## Calibration",
        f"A calibrated model that gives its answers 80 % is right in 80 of 100. This one is {verdict} on the whole: "
        f"its mean confidence is {mean:.1%}, and {accuracy:.1%} of its decisions are right. The expected calibration "
        f"error (ECE) is **{found.expected_calibration_error:.1%}**: with the {len(confidences):,} decisions sorted "
        f"into {len(found.counts)} bins of confidence of equal width, it is Σ |Bₘ|/n · |acc(Bₘ) − conf(Bₘ)|, the "
        "distance of accuracy and mean confidence in a bin, weighted by the decisions in it (Guo et al. 2017, Eq. 5). "
        f"The largest distance is {found.largest_calibration_error:.1%}.",
        figure(
            "report-calibration.png",
            "Accuracy over confidence. Where the bars stay below the dashed line the model is too sure; the bars at "
            "the bottom say how many decisions each bin has.",
        ),
    ]


def wrong_section(predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """The mistakes of which the model was surest."""
    wrong = [record for record in predictions if _differ(record["gold"], record["predicted"])]
    if not wrong:
        return ["## The wrongest predictions", f"None of {where} is wrong."]
    wrong.sort(key=lambda record: -(record.get("probability") or 0.0))
    rows = [
        [_probability(record), cell(_words(record["predicted"])), cell(_words(record["gold"])), cell(_text(record))]
        for record in wrong[:examples]
    ]
    return [
        "## The wrongest predictions",
        f"{len(wrong):,} of {where} are wrong. These are the ones of which the model was surest; some of them may be "
        "labelled wrong.",
        left_table(["probability", "predicted", "right", "text"], rows),
    ]


def number_section(folder: Path, predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """A scatter of numbers, and the largest errors."""
    gold = [float(record["gold"]) for record in predictions]
    said = [float(record["predicted"]) for record in predictions]
    plot_numbers(gold, said, folder / "report-numbers.png")
    ranked = sorted(predictions, key=lambda record: -abs(record["gold"] - record["predicted"]))
    rows = [
        [f"{record['predicted']:.3g}", f"{record['gold']:.3g}", cell(_text(record))] for record in ranked[:examples]
    ]
    return [
        "## Predicted and true numbers",
        figure(
            "report-numbers.png", f"Each point is one of {where}. On the dashed line prediction and truth are equal."
        ),
        "## The largest errors",
        left_table(["predicted", "right", "text"], rows),
    ]


def tree_section(folder: Path, predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """The relations with the lowest score, and drawn trees: sentences with mistakes, of a length that can be read."""
    parts = ["## Relations", f"Words of {where} by their right relation.", _relation_table(predictions)]
    readable = [record for record in predictions if 4 <= len(record["text"]) <= _LONGEST_SENTENCE]
    wrong = [record for record in readable if record["gold"] != record["predicted"]]
    # Spread over the mistakes, not the worst alone: a colleague should see what is usual.
    ranked = sorted(wrong, key=_share_of_wrong_arcs)
    chosen = (
        [ranked[place] for place in dict.fromkeys(np.linspace(0, len(ranked) - 1, examples).astype(int))]
        if ranked
        else []
    )
    chosen = chosen or readable[:1]
    parts.append("## Parsed sentences")
    for number, record in enumerate(chosen, start=1):
        name = f"report-tree-{number}.png"
        drawn = plot_tree(record["text"], _tree(record["gold"]), _tree(record["predicted"]), folder / name)
        caption = (
            "Above the words the right tree (green: found), below them the predicted one (orange: right head with "
            "another relation, red: another head)."
        )
        parts.append(figure(name, caption))
        parts.append(_font_note(record["text"]) if not drawn else cell(" ".join(record["text"])))
    return parts


def example_section(predictions: Sequence[Record], where: str, examples: int) -> list[str]:
    """Outputs beside what was wanted; those of which the model was least sure first."""
    wrong = [record for record in predictions if _differ(record["gold"], record["predicted"])]
    wrong.sort(key=lambda record: record["probability"] if record.get("probability") is not None else 1.0)
    rows = [
        [cell(_words(record["predicted"])), cell(_words(record["gold"])), cell(_text(record))]
        for record in (wrong or list(predictions))[:examples]
    ]
    return [
        "## Examples",
        f"{len(wrong):,} of {where} differ from what was wanted" + (", for example:" if wrong else "; some of them:"),
        left_table(["predicted", "wanted", "text"], rows),
    ]


def _classes(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def _class_table(
    gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]], names: Sequence[str], *, worst_first: bool = False
) -> str:
    right, wanted, predicted = Counter[str](), Counter[str](), Counter[str]()
    for truth, guess in zip(gold, said):
        right.update(set(truth) & set(guess))
        wanted.update(truth)
        predicted.update(guess)
    scores = {name: 2 * right[name] / max(wanted[name] + predicted[name], 1) for name in names}
    order = [name for name in names if wanted[name] or predicted[name]]
    if worst_first:
        order.sort(key=lambda name: (scores[name], -wanted[name]))
    rows = [
        [cell(name), _share(right[name], predicted[name]), _share(right[name], wanted[name]), f"{scores[name]:.3f}",
         f"{wanted[name]:,}"]
        for name in order
    ]  # fmt: skip
    return table(["class", "precision", "recall", "F1", "rows"], rows)


def _confusion(folder: Path, gold: Sequence[str], said: Sequence[str], names: Sequence[str]) -> list[str]:
    names = [name for name in names if name in set(gold) | set(said)]
    pairs = Counter(zip(gold, said))
    if len(names) > _MOST_CLASSES:
        wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]][:15]
        rows = [[cell(truth), cell(guess), f"{count:,}"] for (truth, guess), count in wrong]
        return ["## Confused most", left_table(["right", "predicted", "times"], rows)] if rows else []
    counts = np.array([[pairs[truth, guess] for guess in names] for truth in names])
    drawn = plot_confusion(counts, names, folder / "report-confusion.png")
    parts = [
        "## Confusion matrix",
        figure("report-confusion.png", "A row is a true class, a column what the model said; the diagonal is right."),
    ]
    return parts if drawn else [*parts, _font_note(names)]


def _font_note(names: Iterable[str]) -> str:
    listed = ", ".join(f"{number} {cell(name)}" for number, name in enumerate(names, start=1))
    return (
        f"No font on the machine that drew this has all these characters, so the picture shows numbers "
        f"({INSTALL_HINT}): {listed}."
    )


def _relation_table(predictions: Sequence[Record]) -> str:
    words, heads, both = Counter[str](), Counter[str](), Counter[str]()
    for record in predictions:
        for (head, relation), (guess, said) in zip(_tree(record["gold"]), _tree(record["predicted"])):
            words[relation] += 1
            heads[relation] += head == guess
            both[relation] += head == guess and relation == said
    order = sorted((name for name in words if words[name] >= 5), key=lambda name: both[name] / words[name])
    order = order or list(words)
    rows = [
        [cell(name), _share(heads[name], words[name]), _share(both[name], words[name]), f"{words[name]:,}"]
        for name in order[:12]
    ]
    return table(["relation (worst first)", "right head", "right head and relation", "words"], rows)


def _tree(tree: Mapping[str, Any]) -> list[tuple[int, str]]:
    return list(zip(tree["heads"], tree["relations"]))


def _share_of_wrong_arcs(record: Record) -> float:
    pairs = list(zip(_tree(record["gold"]), _tree(record["predicted"])))
    return sum(right != said for right, said in pairs) / max(len(pairs), 1)


def _decisions(record: Record) -> Iterable[tuple[float, bool]]:
    """Every decision of a prediction with its confidence: one for a class, one a class for several, one a word."""
    gold, said = record["gold"], record["predicted"]
    probabilities = record.get("probabilities")
    per_word = (record.get("extra") or {}).get("probabilities")
    if isinstance(gold, list) and isinstance(probabilities, Mapping):
        for name, probability in probabilities.items():
            yield max(probability, 1 - probability), (name in gold) == (name in said)
    elif isinstance(gold, list):
        for confidence, right, guess in zip(per_word or [], gold, said):
            yield confidence, right == guess
    elif record.get("probability") is not None:
        yield record["probability"], gold == said


def _tagged(record: Record) -> str:
    shown = []
    for word, right, said in zip(record["text"], record["gold"], record["predicted"]):
        shown.append(cell(word) if right == said else f"{cell(word)} (**{cell(said)}**, {cell(right)})")
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


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"
