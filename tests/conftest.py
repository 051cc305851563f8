"""Fixtures that tests share: folders of tiny models (see `tiny_models`), and the loss of large vocabularies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.models import kernels_loss_vanilla

from .tiny_models import tiny_folder


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Flushing files to disk changes nothing that a test can see, short of a power failure, and takes a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def usual_interrupts() -> None:
    """Ctrl-C has its usual effect also where a script runs the tests in the background, whose processes ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def chunked_loss(monkeypatch) -> None:
    """Compute the loss of language models in chunks, as for large vocabularies, however few the logits are."""
    monkeypatch.setattr(kernels_loss_vanilla, "_FEW_LOGITS", 0)


@pytest.fixture(params=["few logits", "chunked loss"])
def both_losses(request) -> None:
    """Run a test twice: with the loss that tiny models use, and with that of large vocabularies."""
    if request.param == "chunked loss":
        request.getfixturevalue("chunked_loss")


@pytest.fixture(scope="session")
def seq2seq(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("seq2seq"), "seq2seq")


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("masked"), "encoder")


@pytest.fixture(scope="session")
def causal_lm(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("causal"), "decoder")


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory) -> Path:
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    return tiny_folder(
        tmp_path_factory.mktemp("text"),
        vanilla.VanillaEncoderForSequenceClassification,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )


@pytest.fixture(scope="session")
def token_classifier(tmp_path_factory) -> Path:
    labels = {0: "O", 1: "B-PLACE", 2: "I-PLACE"}
    return tiny_folder(
        tmp_path_factory.mktemp("token"),
        vanilla.VanillaEncoderForTokenClassification,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
