"""Adds our pipelines to those of transformers; called once `transformers.pipelines` is imported (`import_hooks`)."""

from __future__ import annotations

import importlib
from types import ModuleType

# Task: our pipeline, and the class that loads its model. A class without a module is an Auto class of transformers.
TASKS = {
    "translation": ("text_to_text.TranslationPipeline", "AutoModelForSeq2SeqLM"),
    "text2text-generation": ("text_to_text.Text2TextGenerationPipeline", "AutoModelForSeq2SeqLM"),
    "summarization": ("text_to_text.SummarizationPipeline", "AutoModelForSeq2SeqLM"),
    "question-answering": ("question_answering.QuestionAnsweringPipeline", "AutoModelForQuestionAnswering"),
    "dependency-parsing": (
        "dependency_parsing.DependencyParsingPipeline",
        "..models.modeling_vanilla_parsing.VanillaEncoderForDependencyParsing",
    ),
}

# Task of transformers: our subclass of its pipeline, which does the same for models of transformers.
EXTENDED_TASKS = {"automatic-speech-recognition": "speech_recognition.SpeechRecognitionPipeline"}


def register_pipelines(pipelines: ModuleType) -> None:
    """Adds each task of `TASKS` that transformers does not support to its public pipeline registry.

    Those of `EXTENDED_TASKS` get our subclass.

    A second call changes nothing. If a version of transformers supports a task, it keeps its own pipeline.

    Args:
        pipelines: the module `transformers.pipelines`.
    """
    # transformers 5 rejects the names of removed tasks before it looks into the registry.
    removed = getattr(pipelines, "REMOVED_TASKS", {})
    registry = pipelines.PIPELINE_REGISTRY
    for task, (pipeline_name, model_name) in TASKS.items():
        if task in registry.get_supported_tasks():
            continue
        pipeline_class, model_class = _class(f".{pipeline_name}"), _class(model_name)
        registry.register_pipeline(task, pipeline_class=pipeline_class, pt_model=model_class, type="text")
        removed.pop(task, None)
    for task, pipeline_name in EXTENDED_TASKS.items():
        if task in registry.supported_tasks:
            registry.supported_tasks[task] = {**registry.supported_tasks[task], "impl": _class(f".{pipeline_name}")}


def _class(name: str) -> type:
    """`Class` of transformers, or `.module.Class` relative to this package."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module or "transformers", __package__), attribute)
