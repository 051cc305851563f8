"""Importing the package registers the tasks that transformers lacks, without importing its pipelines."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from transformers import AutoModelForQuestionAnswering, AutoModelForSeq2SeqLM, pipelines

from hf_vanilla_transformer.pipelines import QuestionAnsweringPipeline, TranslationPipeline
from hf_vanilla_transformer.pipelines.task_registry import TASKS, register_pipelines

_FRESH = """
import sys, warnings
import hf_vanilla_transformer
assert "transformers.pipelines" not in sys.modules, "importing our package imported transformers' pipelines"
assert "gradio" not in sys.modules and "sacrebleu" not in sys.modules
from transformers import pipeline
"""
_FRESH_TASKS = """
import sys
import transformers.pipelines as pipelines
assert not any(type(finder).__name__ == "_WaitingFinder" for finder in sys.meta_path), "the hook stayed"
for task in sys.argv[1:]:
    print(pipelines.check_task(task)[1]["impl"].__name__)
"""


def test_a_new_process_gets_our_pipelines_with_those_of_transformers():
    done = subprocess.run(
        [sys.executable, "-c", _FRESH + _FRESH_TASKS, *TASKS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [pipeline_class.split(".")[1] for pipeline_class, _ in TASKS.values()]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_new_process_can_import_each_pipeline_first():
    """The processes share the import of torch and of transformers' models, which takes most of the time."""
    modules = sorted({pipeline_class.split(".")[0] for pipeline_class, _ in TASKS.values()})
    code = (
        "import os, sys, transformers.modeling_utils\n"
        f"for module in {modules}:\n"
        "    if os.fork() == 0:\n"
        "        __import__(f'hf_vanilla_transformer.pipelines.{module}')\n"
        f"        exec({_FRESH_TASKS!r})\n"
        "        sys.exit(0)\n"
        "    status = os.wait()[1]\n"
        "    assert status == 0, module\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *TASKS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [pipeline_class.split(".")[1] for pipeline_class, _ in TASKS.values()] * len(modules)


def test_each_task_has_our_class_and_a_matching_auto_class():
    _, translation, _ = pipelines.check_task("translation")
    assert translation["impl"] is TranslationPipeline and translation["pt"] == (AutoModelForSeq2SeqLM,)
    _, answering, _ = pipelines.check_task("question-answering")
    assert answering["impl"] is QuestionAnsweringPipeline and answering["pt"] == (AutoModelForQuestionAnswering,)


def test_a_task_that_transformers_supports_is_not_replaced():
    own = {"impl": "transformers' own", "pt": ()}
    registry = pipelines.PipelineRegistry({"translation": own}, {})
    stand_in = SimpleNamespace(PIPELINE_REGISTRY=registry, REMOVED_TASKS={"summarization": "gone", "vqa": "gone"})
    register_pipelines(stand_in)
    register_pipelines(stand_in)
    assert registry.check_task("translation")[1] is own
    assert set(registry.get_supported_tasks()) == set(TASKS)
    assert stand_in.REMOVED_TASKS == {"vqa": "gone"}
