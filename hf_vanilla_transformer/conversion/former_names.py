"""The names that functions of conversion had before, for scripts that use them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from .exporting import to_transformers
from .importing import from_transformers


def _formerly(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` under a former name, which warns of its end."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(f"{name} is now called {function.__name__}.", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    return call


from_stock = _formerly("from_stock", from_transformers)
to_stock = _formerly("to_stock", to_transformers)

__all__ = ["from_stock", "to_stock"]
