"""The mixins of the source distribution, imported, and joined into one class that a stack's tests inherit.

Import this module only after `source_distribution.put_on_path`.
"""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import torch
import transformers.utils
from transformers import AutoModelForCausalLM
from transformers.models.auto import modeling_auto

from tests.conformance import pipeline_models, pipeline_tasks

pipeline_models.root_folder()  # the pipeline mixin reads a summary of tiny models when it is imported

with mock.patch.object(transformers.utils, "direct_transformers_import", lambda *args, **kwargs: transformers):
    # In a checkout these modules load transformers from the folder `src` beside them; here it is the installed one.
    from transformers_tests import (
        test_fsdp_mixin,
        test_modeling_common,
        test_pipeline_mixin,
        test_tensor_parallel_mixin,
    )
    from transformers_tests.generation.test_utils import GenerationTesterMixin
    from transformers_tests.test_configuration_common import ConfigTester
    from transformers_tests.test_training_mixin import TrainingTesterMixin

# The two distributed mixins run for a list of model types; None runs them for every model that has a plan.
test_tensor_parallel_mixin.TP_DISTRIBUTED_TEST_MODEL_TYPES = None
test_fsdp_mixin.FSDP_DISTRIBUTED_TEST_MODEL_TYPES = None

for _task, _class in pipeline_tasks.CLASSES.items():
    test_pipeline_mixin.pipeline_test_mapping[_task]["test"] = f"{_class.__module__}.{_class.__name__}"

_set_every_epsilon = test_modeling_common.set_config_for_less_flaky_test


def set_known_epsilons(config: Any) -> None:
    """Raise the epsilons of the norms that a configuration has, to make comparisons less sensitive.

    transformers' function sets a list of names, whether or not a configuration has such a field. Ours then cannot be
    loaded again: a field that does not exist is an error there, and has to be.
    """
    before = set(vars(config))
    _set_every_epsilon(config)
    for name in set(vars(config)) - before:
        delattr(config, name)


test_modeling_common.set_config_for_less_flaky_test = set_known_epsilons


def on_auto_class(
    rank: int, config_class: type, config_dict: dict, *args: Any, implementation: Any, auto_class: Any, **kwargs: Any
) -> None:
    """Run one FSDP test in a rank, with the Auto class that loads this model in the place of the causal one."""
    torch.set_num_threads(1)
    with mock.patch.object(test_fsdp_mixin, "AutoModelForCausalLM", auto_class):
        implementation(rank, config_class, config_dict, *args, **kwargs)


class ConformanceTests(
    test_modeling_common.ModelTesterMixin,
    TrainingTesterMixin,
    test_tensor_parallel_mixin.TensorParallelTesterMixin,
    test_fsdp_mixin.FSDPTesterMixin,
    test_pipeline_mixin.PipelineTesterMixin,
):
    """Everything the source distribution tests in a model, for one stack in one setting.

    A subclass also inherits `unittest.TestCase`, and `GenerationTesterMixin` if it generates, and sets:
        stack: builds configs and inputs; see `testers`.
        all_model_classes: base model first.
        auto_class: the Auto class that makes the model the distributed tests train.
        pipeline_model_mapping: {pipeline task: model class}.
        mapping_names: {name of a table of `modeling_auto`: class name}, where transformers' own models are listed by
            task. Out-of-tree models are not, and without it the mixins would pass over their heads.
    """

    stack: Any = None
    pipeline_model_mapping: dict[str, type] = {}
    auto_class: Any = AutoModelForCausalLM
    mapping_names: dict[str, str] = {}
    model_tester: Any = None
    all_model_classes: tuple = ()
    test_can_init_all_missing_weights_before_2023 = True  # the mixin would skip models of 2018 otherwise
    # Instead of 300: the models train with dropout, and until their loss is near zero the norm of the last gradient,
    # which must be a tenth of the first, is as large as the dropout of the last step happens to make it.
    training_overfit_steps = 500

    def setUp(self) -> None:
        self.model_tester = self.stack(self)
        self.config_tester = ConfigTester(
            self, config_class=self.stack.config_class, **self.model_tester.config_tester_arguments
        )
        listed = contextlib.ExitStack()
        self.addCleanup(listed.close)
        for table, class_name in self.mapping_names.items():
            names = {self.stack.config_class.model_type: class_name}
            listed.enter_context(mock.patch.dict(getattr(modeling_auto, table), names))
        torch.manual_seed(0)

    def test_config(self) -> None:
        self.config_tester.run_common_tests()

    def _prepare_for_class(self, inputs_dict: dict, model_class: type, return_labels: bool = False) -> dict:
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        if return_labels and model_class.__name__.endswith("ForPreTraining"):
            batch, length = self.model_tester.batch_size, self.model_tester.seq_length
            inputs["labels"] = torch.zeros((batch, length), dtype=torch.long)
            inputs["next_sentence_label"] = torch.zeros(batch, dtype=torch.long)
        if return_labels and model_class.__name__.endswith("ForDependencyParsing"):
            # Each token is a word, and padding is none.
            mask = inputs["attention_mask"]
            inputs["heads"] = (mask.cumsum(-1) - 1).masked_fill(mask == 0, -100)
            inputs["labels"] = torch.zeros_like(mask).masked_fill(mask == 0, -100)
        return inputs

    def _get_tp_model_class(self) -> type | None:
        return self.model_tester.tensor_parallel_class

    def test_tp_generation(self) -> None:
        if not self.all_generative_model_classes:
            self.skipTest("an encoder does not generate")
        super().test_tp_generation()

    def _create_text_training_batch(self, batch_size: int, seq_length: int, vocab_size: int) -> dict:
        batch = super()._create_text_training_batch(batch_size, seq_length, vocab_size)
        return self.model_tester.training_batch(batch)

    def run_task_tests(self, task: str, dtype: str = "float32") -> None:
        model_class = self.pipeline_model_mapping.get(task)
        if self.is_encoder_decoder and task == "feature-extraction":
            self.skipTest("the pipeline gives an encoder-decoder nothing to decode")
        if model_class is not None:
            pipeline_models.saved(model_class, self.stack.make_config)
            summary = {"tokenizer_classes": ["PreTrainedTokenizerFast"], "processor_classes": []}
            test_pipeline_mixin.tiny_model_summary[model_class.__name__] = summary
        super().run_task_tests(task, dtype=dtype)

    def _skip_if_insufficient_devices(self, world_size: int) -> None:
        """Four ranks run on two cores as well, only slower: gloo does not need a core each."""

    def _run_fsdp2_distributed_test(self, test_name: str, test_impl: Any, *test_args: Any, **test_kwargs: Any) -> None:
        test_kwargs = {**test_kwargs, "implementation": test_impl, "auto_class": self.auto_class}
        super()._run_fsdp2_distributed_test(test_name, on_auto_class, *test_args, **test_kwargs)

    def _get_tiny_config(self) -> tuple[type, dict]:
        config_class, values = super()._get_tiny_config()
        return config_class, {**values, **self.stack.fsdp_settings}

    def test_fsdp_plan_declared(self) -> None:
        with mock.patch.object(test_fsdp_mixin, "AutoModelForCausalLM", self.auto_class):
            super().test_fsdp_plan_declared()


__all__ = ["ConfigTester", "ConformanceTests", "GenerationTesterMixin"]
