"""Gradio, which is an extra of the package."""

from __future__ import annotations

import os
from typing import Any


def import_gradio() -> Any:
    """Imports Gradio with its analytics turned off.

    Raises:
        ImportError: Gradio is not installed.
    """
    # Gradio reads this variable when it is imported, and again when a page starts.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ImportError("The page needs Gradio: pip install 'hf_vanilla_transformer[web]'.") from error
    return gradio
