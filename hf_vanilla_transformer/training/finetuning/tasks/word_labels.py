"""The labels of tasks with one a word: their names from the training rows, and labels that those do not have."""

from __future__ import annotations

import logging
from collections import Counter

from ....data.readers.labels import OnBadLabel, fit_labels
from ..task import Splits

logger = logging.getLogger(__name__)


def fit_word_labels(splits: Splits, column: str, on_bad_label: OnBadLabel) -> list[str]:
    """The names of the labels of training words; the labels of the other splits are checked against them.

    An evaluation sentence with a label that training never saw stays, since the rest of it can be right: its words of
    that label count as wrong.

    Args:
        splits: with lists of labels in `column`.
        on_bad_label: whether doubtful names and labels that training never saw are an error or a warning.

    Raises:
        ValueError: doubtful or unseen labels, with ``error``.
    """
    names = list(fit_labels(splits.train, "multi", column=column, on_bad_label=on_bad_label).names)
    known = set(names)
    for split in ("validation", "test"):
        rows = getattr(splits, split)
        if rows is None:
            continue
        unseen = Counter(label for labels in rows[column] for label in labels if label not in known)
        if not unseen:
            continue
        shown = ", ".join(f"{label!r} ({count:,} words)" for label, count in unseen.most_common(5))
        said = f"{split} has {column} that training never saw: {shown}{', ...' if len(unseen) > 5 else ''}."
        if on_bad_label == "error":
            raise ValueError(
                f"{said} Add examples of them to the training data, or set data.on_bad_label: warn to go on; those "
                "words then count as wrong."
            )
        logger.warning("%s They count as wrong.", said)
    return names
