"""A validation split that is taken from the training rows."""

from __future__ import annotations

import math
from typing import Any

import datasets
import numpy as np


def split_off_validation(
    rows: datasets.Dataset, share: float = 0.1, seed: int = 0, *, column: str | None = "label"
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Splits rows into training and validation rows, with the same proportion of each class.

    Args:
        rows: the rows to split.
        share: the fraction of the rows that becomes the validation split, in (0, 1). At least one row of each class
            stays in the training split.
        seed: of the random choice.
        column: the column of the classes; None ignores classes, and so does a column of numbers with fractions.

    Returns:
        Training and validation rows, each in their original order.

    Raises:
        ValueError: `share` is out of range, or one of the splits would be empty.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share} of the rows for validation must be between 0 and 1.")
    strata: dict[Any, list[int]] = {}
    for index, value in enumerate(rows[column][:] if column else range(len(rows))):
        stratum = None if column is None or isinstance(value, float) else str(value)
        strata.setdefault(stratum, []).append(index)
    generator = np.random.default_rng(seed)
    # Largest remainder method: the integer part of each class's quota first, then one more row for the classes with
    # the largest remainders.
    quotas = {key: share * len(members) for key, members in strata.items()}
    taken = {key: min(math.floor(quota), len(strata[key]) - 1) for key, quota in quotas.items()}
    missing = round(share * len(rows)) - sum(taken.values())
    for key in sorted(strata, key=lambda key: (taken[key] - quotas[key], str(key))):
        if missing > 0 and taken[key] + 1 < len(strata[key]):
            taken[key] += 1
            missing -= 1
    validation = {
        int(index) for key, members in strata.items() for index in generator.permutation(members)[: taken[key]]
    }
    if not validation or len(validation) == len(rows):
        raise ValueError(
            f"share={share} of {len(rows)} rows leaves no row for one of training and validation; give a validation "
            "file, more rows or another share."
        )
    held_out = np.zeros(len(rows), dtype=bool)
    held_out[list(validation)] = True
    # Arrays, because `datasets` hashes a list number by number for its fingerprint.
    return rows.select(np.flatnonzero(~held_out)), rows.select(np.flatnonzero(held_out))
