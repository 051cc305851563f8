"""Our pipelines in the registry of transformers, from the moment that somebody imports its pipelines.

`transformers.pipelines` is a module of its own that training never needs, so importing our package does not import it
for registration's sake: a finder waits for it on `sys.meta_path`, lets the others load it, registers, and goes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PIPELINES = "transformers.pipelines"

# Task: our class, and the Auto class that loads a model for it, or the model's own class where no Auto class does.
TASKS = {
    "translation": ("text_to_text.TranslationPipeline", "AutoModelForSeq2SeqLM"),
    "text2text-generation": ("text_to_text.Text2TextGenerationPipeline", "AutoModelForSeq2SeqLM"),
    "summarization": ("text_to_text.SummarizationPipeline", "AutoModelForSeq2SeqLM"),
    "question-answering": ("question_answering.QuestionAnsweringPipeline", "AutoModelForQuestionAnswering"),
    "dependency-parsing": ("dependency_parsing.DependencyParsingPipeline", "VanillaEncoderForDependencyParsing"),
}


def register_when_imported() -> None:
    """Registers our pipelines now if transformers' are imported already, else as soon as they are."""
    if _PIPELINES in sys.modules:
        register_pipelines(sys.modules[_PIPELINES])
    elif not any(isinstance(finder, _PipelinesFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PipelinesFinder())


def register_pipelines(pipelines: ModuleType) -> None:
    """Adds each of `TASKS` that `transformers.pipelines` does not serve itself to its public registry.

    Calling it again changes nothing. A version of transformers that has a task keeps its own pipeline for it.
    """
    import transformers

    import hf_vanilla_transformer

    # transformers 5 refuses the names of tasks that it gave up before it looks into the registry.
    given_up = getattr(pipelines, "REMOVED_TASKS", {})
    registry = pipelines.PIPELINE_REGISTRY
    for task, (place, loader) in TASKS.items():
        if task in registry.get_supported_tasks():
            continue
        module, name = place.split(".")
        pipeline_class = getattr(importlib.import_module(f".{module}", __package__), name)
        model_class = getattr(transformers if loader.startswith("Auto") else hf_vanilla_transformer, loader)
        registry.register_pipeline(task, pipeline_class=pipeline_class, pt_model=model_class, type="text")
        given_up.pop(task, None)


class _PipelinesFinder(MetaPathFinder):
    """Finds `transformers.pipelines` as the other finders do, and has our pipelines registered once it has run."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _PIPELINES:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is None or spec.loader is None:
            return spec
        run_module = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run_module(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            register_pipelines(module)

        spec.loader.exec_module = run_and_register
        return spec
