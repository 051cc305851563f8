"""A web page for a model: translations, masked words or next tokens, and the attention weights behind them.

It needs Gradio: `pip install 'hf_vanilla_transformer[web]'`. The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULE_OF_NAME = {
    "PageModel": "page_model",
    "attention_html": "drawings",
    "bars_html": "drawings",
    "build_page": "page",
    "serve_page": "server",
    "write_space": "space",
}

__all__ = sorted(_MODULE_OF_NAME)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF_NAME[name]}", __name__), name)
    globals()[name] = value
    return value
