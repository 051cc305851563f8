"""Public names of a package that are imported when they are first used (PEP 562).

A command imports only what it needs: without this, `from ..data import X` would import every file of `data`, and with
them torch, datasets and matplotlib.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, module_of_name: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose names are imported on first use.

    ```python
    __getattr__, __dir__, __all__ = lazy_names(__name__, {"train_tokenizer": "tokenizer_training"})
    ```

    Args:
        package: its `__name__`.
        module_of_name: for each public name, the module that defines it, relative to the package.

    Raises:
        ValueError: a name is also that of a module, which would take its place in the package once it is imported.
    """
    if modules := sorted(set(module_of_name) & set(module_of_name.values())):
        raise ValueError(f"{package}.{modules[0]} is a public name and a module: rename the module.")

    def get_attribute(name: str) -> Any:
        if name not in module_of_name:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{module_of_name[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of_name})

    return get_attribute, names, sorted(module_of_name)
