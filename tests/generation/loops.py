"""Which decoding loop serves `generate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from transformers import GenerationMixin

from hf_vanilla_transformer.generation.decoding_loop import decode
from hf_vanilla_transformer.models import decoding_loop_vanilla


@contextmanager
def recorded_loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A list of what serves `generate` in this context, in order: ``own``, or the method of transformers."""
    loops: list[str] = []

    def own(*args: Any, **kwargs: Any) -> Any:
        output = decode(*args, **kwargs)
        loops.extend([] if output is None else ["own"])
        return output

    with monkeypatch.context() as patch:
        patch.setattr(decoding_loop_vanilla, "_registered", own)
        for name in ("_sample", "_beam_search", "_assisted_decoding"):
            patch.setattr(GenerationMixin, name, _recorded(name, loops))
        yield loops


def _recorded(name: str, loops: list[str]) -> Any:
    original = getattr(GenerationMixin, name)

    def method(*args: Any, **kwargs: Any) -> Any:
        loops.append(name)
        return original(*args, **kwargs)

    return method
