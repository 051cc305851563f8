"""Pipelines for tasks that transformers 5 does not support, among them four that it removed, under their former names.

`import hf_vanilla_transformer` is enough for `transformers.pipeline("translation", model=...)`; see `task_registry`.
The classes below are imported when they are first used, because they import `transformers.pipelines`.
"""

from __future__ import annotations

import importlib
from typing import Any

from .sentence_splitting import Sentence, join_sentences, split_sentences

_MODULE_OF_NAME = {
    "DependencyParsingPipeline": "dependency_parsing",
    "QuestionAnsweringPipeline": "question_answering",
    "SummarizationPipeline": "text_to_text",
    "Text2TextGenerationPipeline": "text_to_text",
    "TranslationPipeline": "text_to_text",
}

__all__ = [*sorted(_MODULE_OF_NAME), "Sentence", "join_sentences", "split_sentences"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF_NAME[name]}", __name__), name)
    globals()[name] = value
    return value
