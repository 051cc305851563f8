"""Registers our pipelines with transformers as soon as `transformers.pipelines` is imported.

Training never needs `transformers.pipelines`, so importing our package does not import it. Instead, a finder on
`sys.meta_path` waits for that import, lets the other finders load the module, registers our pipelines and removes
itself. If the import comes from a module of our own pipelines, whose class does not exist yet at that time, the finder
registers that class once its module is complete.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PIPELINES = "transformers.pipelines"

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


def register_when_imported() -> None:
    """Registers our pipelines now if `transformers.pipelines` is already imported, otherwise once it is."""
    if _PIPELINES in sys.modules:
        register_pipelines(sys.modules[_PIPELINES])
    elif not any(isinstance(finder, _PipelinesFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PipelinesFinder())


def register_pipelines(pipelines: ModuleType) -> bool:
    """Adds each task of `TASKS` that transformers does not support to its public pipeline registry.

    A second call changes nothing. If a version of transformers supports a task, it keeps its own pipeline.

    Args:
        pipelines: the module `transformers.pipelines`.

    Returns:
        Whether all tasks are registered; False if a module of our pipelines is still being imported.
    """
    # transformers 5 rejects the names of removed tasks before it looks into the registry.
    removed = getattr(pipelines, "REMOVED_TASKS", {})
    registry = pipelines.PIPELINE_REGISTRY
    complete = True
    for task, (pipeline_name, model_name) in TASKS.items():
        if task in registry.get_supported_tasks():
            continue
        pipeline_class, model_class = _class(f".{pipeline_name}"), _class(model_name)
        if pipeline_class is None:
            complete = False
            continue
        registry.register_pipeline(task, pipeline_class=pipeline_class, pt_model=model_class, type="text")
        removed.pop(task, None)
    return complete


def _class(name: str) -> type | None:
    """`Class` of transformers, or `.module.Class` relative to this package; None if its module is not complete."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module or "transformers", __package__), attribute, None)


class _PipelinesFinder(MetaPathFinder):
    """Finds `transformers.pipelines` and our pipelines through the other finders, and registers ours afterwards."""

    def __init__(self) -> None:
        modules = {pipeline_class.split(".")[0] for pipeline_class, _ in TASKS.values()}
        self.names = {_PIPELINES, *(f"{__package__}.{module}" for module in modules)}
        self.postponed = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.names:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is None or spec.loader is None:
            return spec
        run_module = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run_module(module)
            if name == _PIPELINES or self.postponed:
                self.postponed = not register_pipelines(sys.modules[_PIPELINES])
                if not self.postponed and self in sys.meta_path:
                    sys.meta_path.remove(self)

        spec.loader.exec_module = run_and_register
        return spec
