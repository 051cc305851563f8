"""Load weights without transformers' table of missing and unused tensors, for callers that check them themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging

__all__ = ["no_loading_report"]


@contextmanager
def no_loading_report() -> Iterator[None]:
    """Hides transformers' warnings. The caller raises an error with a reason instead of the table."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
