"""transformers' BERT, GPT-2 and Marian under the same mixins: the measure of what a stack must pass.

The source distribution has the mixins but not these models' own test files, so they are tested through our testers.
This is no part of our test suite; `python -m tests.conformance.report` runs it beside our stacks.
"""

from __future__ import annotations

import unittest
from typing import Any

import transformers
from transformers import AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from tests.conformance import source_distribution
from tests.conformance.testers import EncoderDecoderTester, StackTester

source_distribution.put_on_path_or_skip()

from tests.conformance.mixins import ConformanceTests, GenerationTesterMixin  # noqa: E402


class BertTester(StackTester):
    """BERT: encoder."""

    config_class = transformers.BertConfig
    settings = {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    causal_lm_class = transformers.BertForMaskedLM
    tensor_parallel_class = transformers.BertForMaskedLM


class GPT2Tester(StackTester):
    """GPT-2: decoder."""

    config_class = transformers.GPT2Config
    settings = {
        "vocab_size": 99,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 64,
        "n_positions": 128,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "pad_token_id": 0,
        "bos_token_id": 98,
        "eos_token_id": 98,
    }
    dropout = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
    causal_lm_class = transformers.GPT2LMHeadModel
    tensor_parallel_class = transformers.GPT2LMHeadModel

    @property
    def config_tester_arguments(self) -> dict[str, Any]:
        return {"n_embd": 36, "n_head": 4}


class MarianTester(EncoderDecoderTester):
    """Marian: encoder and decoder."""

    config_class = transformers.MarianConfig
    settings = {
        "vocab_size": 99,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "pad_token_id": 0,
        "bos_token_id": 3,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
        "forced_eos_token_id": None,
    }
    dropout = {"dropout": 0.1, "attention_dropout": 0.1}
    causal_lm_class = transformers.MarianMTModel
    tensor_parallel_class = transformers.MarianMTModel

    @property
    def config_tester_arguments(self) -> dict[str, Any]:
        return {"d_model": 36, "encoder_attention_heads": 4}


class BertConformance(ConformanceTests, unittest.TestCase):
    """BERT under the mixins."""

    stack = BertTester
    auto_class = AutoModelForMaskedLM
    all_model_classes = (
        transformers.BertModel,
        transformers.BertForMaskedLM,
        transformers.BertForPreTraining,
        transformers.BertForSequenceClassification,
        transformers.BertForTokenClassification,
        transformers.BertForQuestionAnswering,
        transformers.BertForMultipleChoice,
        transformers.BertForNextSentencePrediction,
    )
    pipeline_model_mapping = {
        "feature-extraction": transformers.BertModel,
        "fill-mask": transformers.BertForMaskedLM,
        "text-classification": transformers.BertForSequenceClassification,
        "token-classification": transformers.BertForTokenClassification,
        "zero-shot": transformers.BertForSequenceClassification,
    }


class GPT2Conformance(ConformanceTests, GenerationTesterMixin, unittest.TestCase):
    """GPT-2 under the mixins."""

    stack = GPT2Tester
    _torch_compile_train_cls = transformers.GPT2LMHeadModel
    all_model_classes = (
        transformers.GPT2Model,
        transformers.GPT2LMHeadModel,
        transformers.GPT2ForSequenceClassification,
        transformers.GPT2ForTokenClassification,
        transformers.GPT2ForQuestionAnswering,
    )
    pipeline_model_mapping = {
        "feature-extraction": transformers.GPT2Model,
        "text-generation": transformers.GPT2LMHeadModel,
        "text-classification": transformers.GPT2ForSequenceClassification,
        "token-classification": transformers.GPT2ForTokenClassification,
        "zero-shot": transformers.GPT2ForSequenceClassification,
    }


class MarianConformance(ConformanceTests, GenerationTesterMixin, unittest.TestCase):
    """Marian under the mixins."""

    stack = MarianTester
    auto_class = AutoModelForSeq2SeqLM
    is_encoder_decoder = True
    all_model_classes = (transformers.MarianModel, transformers.MarianMTModel)
    pipeline_model_mapping = {"feature-extraction": transformers.MarianModel}
