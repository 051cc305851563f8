"""The place where another computation of the encoder's layers than by modules can serve a model in use.

The modules compute each product by itself and padding as if it were tokens. A package that has a faster computation
registers it here. Without one, as in a published folder that is used alone, the modules run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Gets the encoder, the embedded tokens (batch, length, hidden), the mask of padding (batch, length) or None, and the
# keywords for the attention. Returns the output of the last layer, normalised, or None if it leaves it to the modules.
EncoderLayers = Callable[..., Any]

_registered: EncoderLayers | None = None


def register_encoder_layers(layers: EncoderLayers | None) -> None:
    """Let `layers` serve all encoders of this process outside of training; None for the modules."""
    global _registered
    _registered = layers


def served_layers(encoder: Any, hidden_states: Any, attention_mask: Any, keywords: dict[str, Any]) -> Any:
    """The output of the registered computation, (batch, length, hidden); None if the modules have to compute it."""
    return None if _registered is None else _registered(encoder, hidden_states, attention_mask, keywords)


__all__ = ["register_encoder_layers", "served_layers"]
