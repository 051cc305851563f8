"""Libraries that an export needs and that not every user has: found out before any work starts."""

from __future__ import annotations

import importlib.util

__all__ = ["require"]


def require(*modules: str, extra: str, purpose: str) -> None:
    """Raises ImportError, saying what to install, if one of `modules` is missing. Imports none of them.

    Args:
        modules: top-level names, as one imports them.
        extra: the extra of this package that brings them.
        purpose: what they are needed for, to begin the message with.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(
            f"{purpose} needs {' and '.join(missing)}, not installed here: "
            f"pip install 'hf_vanilla_transformer[{extra}]'"
        )
