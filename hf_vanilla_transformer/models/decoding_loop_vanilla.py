"""The place where another decoding loop than that of transformers can serve `generate`.

`generate` of transformers prepares inputs, processors of logits and stopping criteria, and then calls `_sample` or
`_beam_search` of the model. A package that has a faster loop registers it here. Without one, as in a published folder
that is used alone, transformers' own loop runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Gets the model, the name of the method of transformers, and the arguments of that method. Returns the output of
# `generate`, or None if it leaves the call to transformers.
DecodingLoop = Callable[..., Any]

_registered: DecodingLoop | None = None


def register_decoding_loop(loop: DecodingLoop | None) -> None:
    """Let `loop` serve `generate` of all models in this process; None for transformers' own loop."""
    global _registered
    _registered = loop


class DecodingLoopMixin:
    """Offers each call of `generate` to the registered loop. It stands before `GenerationMixin` among the bases."""

    def _sample(self, input_ids: Any, **arguments: Any) -> Any:
        return self._decode("_sample", input_ids, arguments)

    def _beam_search(self, input_ids: Any, **arguments: Any) -> Any:
        return self._decode("_beam_search", input_ids, arguments)

    def _decode(self, method: str, input_ids: Any, arguments: dict[str, Any]) -> Any:
        output = None if _registered is None else _registered(self, method, input_ids, **arguments)
        return getattr(super(), method)(input_ids, **arguments) if output is None else output


__all__ = ["DecodingLoopMixin", "register_decoding_loop"]
