"""Our three stacks for the mixins: tiny configurations, and the test classes that `test_stacks.py` multiplies."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

import hf_vanilla_transformer as ours
from tests.conformance.mixins import ConformanceTests, GenerationTesterMixin
from tests.conformance.testers import EncoderDecoderTester, StackTester

_TINY = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "pad_token_id": 0,
    "num_labels": 3,
}
_DROPOUT = {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}


class EncoderTester(StackTester):
    """The encoder, as BERT."""

    config_class = ours.VanillaEncoderConfig
    settings = {
        **_TINY,
        "num_hidden_layers": 2,
        "parser_arc_size": 32,
        "parser_label_size": 16,
        "parser_dropout": 0.0,
    }
    dropout = {**_DROPOUT, "parser_dropout": 0.1}
    causal_lm_class = ours.VanillaEncoderForMaskedLM
    tensor_parallel_class = ours.VanillaEncoderForMaskedLM


class DecoderTester(StackTester):
    """The decoder, as GPT."""

    config_class = ours.VanillaDecoderConfig
    settings = {**_TINY, "num_hidden_layers": 2, "bos_token_id": 98, "eos_token_id": 98}
    dropout = _DROPOUT
    causal_lm_class = ours.VanillaDecoderForCausalLM
    tensor_parallel_class = ours.VanillaDecoderForCausalLM


class CopyingForConditionalGeneration(ours.VanillaTransformerForConditionalGeneration):
    """An encoder-decoder that reads its source on the target side too when it is given no target.

    `TensorParallelTesterMixin` calls a model with `input_ids` alone.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.register_forward_pre_hook(self._add_target, with_kwargs=True)

    @staticmethod
    def _add_target(module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        targets = ("decoder_input_ids", "decoder_inputs_embeds", "labels")
        if args and all(kwargs.get(name) is None for name in targets):
            kwargs = {**kwargs, "decoder_input_ids": args[0]}
        return args, kwargs


class TransformerTester(EncoderDecoderTester):
    """Encoder and decoder, as in the paper."""

    config_class = ours.VanillaTransformerConfig
    settings = {
        **_TINY,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "bos_token_id": 3,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    dropout = _DROPOUT
    causal_lm_class = ours.VanillaTransformerForConditionalGeneration
    tensor_parallel_class = CopyingForConditionalGeneration
    # A bias of the keys moves all scores of a softmax alike, so its gradient is nothing but rounding, of which Adam
    # makes whole steps. BERT's and Marian's small initial weights keep it below Adam's epsilon.
    # A unit of ReLU whose input is 0 to rounding is on in one run and off in the other.
    fsdp_settings = {"initializer": "normal", "hidden_act": "gelu"}


class EncoderConformance(ConformanceTests):
    """The encoder under the mixins."""

    stack = EncoderTester
    auto_class = AutoModelForMaskedLM
    all_model_classes = (
        ours.VanillaEncoderModel,
        ours.VanillaEncoderForMaskedLM,
        ours.VanillaEncoderForPreTraining,
        ours.VanillaEncoderForSequenceClassification,
        ours.VanillaEncoderForTokenClassification,
        ours.VanillaEncoderForQuestionAnswering,
        ours.VanillaEncoderForMultipleChoice,
        ours.VanillaEncoderForDependencyParsing,
    )
    pipeline_model_mapping = {
        "feature-extraction": ours.VanillaEncoderModel,
        "fill-mask": ours.VanillaEncoderForMaskedLM,
        "text-classification": ours.VanillaEncoderForSequenceClassification,
        "token-classification": ours.VanillaEncoderForTokenClassification,
        "zero-shot": ours.VanillaEncoderForSequenceClassification,
    }
    mapping_names = {
        "MODEL_MAPPING_NAMES": "VanillaEncoderModel",
        "MODEL_FOR_MASKED_LM_MAPPING_NAMES": "VanillaEncoderForMaskedLM",
        "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "VanillaEncoderForPreTraining",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES": "VanillaEncoderForSequenceClassification",
        "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES": "VanillaEncoderForTokenClassification",
        "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES": "VanillaEncoderForQuestionAnswering",
        "MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES": "VanillaEncoderForMultipleChoice",
    }


class DecoderConformance(ConformanceTests, GenerationTesterMixin):
    """The decoder under the mixins."""

    stack = DecoderTester
    auto_class = AutoModelForCausalLM
    _torch_compile_train_cls = ours.VanillaDecoderForCausalLM
    all_model_classes = (
        ours.VanillaDecoderModel,
        ours.VanillaDecoderForCausalLM,
        ours.VanillaDecoderForSequenceClassification,
        ours.VanillaDecoderForTokenClassification,
        ours.VanillaDecoderForQuestionAnswering,
    )
    pipeline_model_mapping = {
        "feature-extraction": ours.VanillaDecoderModel,
        "text-generation": ours.VanillaDecoderForCausalLM,
        "text-classification": ours.VanillaDecoderForSequenceClassification,
        "token-classification": ours.VanillaDecoderForTokenClassification,
        "zero-shot": ours.VanillaDecoderForSequenceClassification,
    }
    mapping_names = {
        "MODEL_MAPPING_NAMES": "VanillaDecoderModel",
        "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES": "VanillaDecoderForCausalLM",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES": "VanillaDecoderForSequenceClassification",
        "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES": "VanillaDecoderForTokenClassification",
        "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES": "VanillaDecoderForQuestionAnswering",
    }


class TransformerConformance(ConformanceTests, GenerationTesterMixin):
    """The encoder-decoder under the mixins."""

    stack = TransformerTester
    auto_class = AutoModelForSeq2SeqLM
    is_encoder_decoder = True
    all_model_classes = (ours.VanillaTransformerModel, ours.VanillaTransformerForConditionalGeneration)
    pipeline_model_mapping = {"feature-extraction": ours.VanillaTransformerModel}
    mapping_names = {
        "MODEL_MAPPING_NAMES": "VanillaTransformerModel",
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES": "VanillaTransformerForConditionalGeneration",
    }
