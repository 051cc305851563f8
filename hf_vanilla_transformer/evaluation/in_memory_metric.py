"""The base of our metrics: `evaluate.Metric` without cache files, locks or network."""

from __future__ import annotations

from typing import Any

import evaluate


class InMemoryMetric(evaluate.Metric):
    """A metric of the `evaluate` library that keeps its rows in memory.

    By default `evaluate` writes rows to an Arrow file in the user's cache, under a lock. Here nothing is written, so
    metrics work on read-only file systems and in several processes at once: each process scores the rows that it adds,
    so gather the rows first. With `num_process` above 1, `evaluate` gathers them through its files, as usual.

    Args:
        **options: of `evaluate.Metric`, such as `experiment_id`.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("keep_in_memory", options.get("num_process", 1) == 1)
        super().__init__(**options)

    def _build_data_dir(self) -> str:
        return "" if self.keep_in_memory else super()._build_data_dir()

    def add_batch(self, *, predictions: Any = None, references: Any = None, **columns: Any) -> None:
        """Adds rows. An empty batch adds none.

        Args:
            predictions: one a row.
            references: one a row.
            **columns: further columns that the metric names, one value a row.

        Raises:
            ValueError: a column is missing or unknown, columns differ in length, or values have the wrong type.
        """
        given = {"predictions": predictions, "references": references, **columns}
        given = {name: values for name, values in given.items() if values is not None}
        needed = self._feature_names()
        if set(given) != set(needed):
            raise ValueError(
                f"{self.name} needs the columns {', '.join(needed)}, but got {', '.join(given) or 'none'}."
            )
        lengths = {name: len(given[name]) for name in needed}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"{self.name} needs one value a row in each column, but {listed} rows.")
        if any(lengths.values()):
            evaluate.Metric.add_batch(self, **given)

    def _finalize(self) -> None:
        if not len(self):
            self.writer = self.buf_writer = None
            raise ValueError(f"{self.name} has no rows to score; add at least one with add_batch or compute.")
        super()._finalize()
