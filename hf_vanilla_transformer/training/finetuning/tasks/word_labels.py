"""Labels of tasks with one label per word: collects their names, and checks for labels without training rows."""

from __future__ import annotations

import logging
from collections import Counter

from ....data.readers.labels import OnBadLabel, fit_labels
from ..task import Splits

logger = logging.getLogger(__name__)


def fit_word_labels(splits: Splits, column: str, on_bad_label: OnBadLabel) -> list[str]:
    """Collects the names of the labels of training words, and checks the labels of the other splits against them.

    Evaluation sentences with unseen labels are kept, because their other words can be correct; the words with an unseen
    label count as wrong.

    Args:
        splits: with lists of labels in `column`.
        column: name of the column.
        on_bad_label: whether doubtful names and labels that are not in the training rows are an error or a warning.

    Raises:
        ValueError: there are doubtful or unseen labels, and `on_bad_label` is ``error``.
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
        message = f"{split} has {column} that no training row has: {shown}{', ...' if len(unseen) > 5 else ''}."
        if on_bad_label == "error":
            raise ValueError(
                f"{message} Add examples of them to the training data, or set data.on_bad_label: warn to count these "
                "words as wrong."
            )
        logger.warning("%s They count as wrong.", message)
    return names
