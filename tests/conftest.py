"""Folders of tiny models that tests of pipelines, commands and the page share; see `tiny_folders`."""

from __future__ import annotations

from pathlib import Path

import pytest

import hf_vanilla_transformer as vanilla

from .tiny_folders import save_tiny


@pytest.fixture(scope="session")
def seq2seq(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("seq2seq"), "seq2seq", vanilla.VanillaTransformerForConditionalGeneration)


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("masked"), "encoder", vanilla.VanillaEncoderForMaskedLM)


@pytest.fixture(scope="session")
def causal_lm(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("causal"), "decoder", vanilla.VanillaDecoderForCausalLM)


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory) -> Path:
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    return save_tiny(
        tmp_path_factory.mktemp("text"),
        "encoder",
        vanilla.VanillaEncoderForSequenceClassification,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )


@pytest.fixture(scope="session")
def token_classifier(tmp_path_factory) -> Path:
    labels = {0: "O", 1: "B-PLACE", 2: "I-PLACE"}
    return save_tiny(
        tmp_path_factory.mktemp("token"),
        "encoder",
        vanilla.VanillaEncoderForTokenClassification,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
