"""transformers' own mixins against our three stacks, in four settings each.

Base settings run always; the others, and what starts several processes, are marked slow. The slow settings use the loss
of large vocabularies.
"""

from __future__ import annotations

import unittest

import pytest

from tests.conformance import source_distribution

source_distribution.put_on_path_or_skip()

from tests.conformance.stacks import (  # noqa: E402
    DecoderConformance,
    DecoderTester,
    EncoderConformance,
    EncoderTester,
    TransformerConformance,
    TransformerTester,
)

_OTHER_SETTINGS = {
    "PostNormSinusoidalTied": {"norm_first": False, "position_embedding_type": "sinusoidal"},
    "PostNormLearnedTied": {"norm_first": False, "position_embedding_type": "learned"},
    "PostNormLearnedUntied": {
        "norm_first": False,
        "position_embedding_type": "learned",
        "tie_word_embeddings": False,
    },
    "PreNormSinusoidalUntied": {
        "norm_first": True,
        "position_embedding_type": "sinusoidal_concat",
        "tie_word_embeddings": False,
    },
    "PreNormLearnedTied": {"norm_first": True, "position_embedding_type": "learned"},
}


def _in_setting(name: str, tester: type) -> type:
    """The tester with a setting of the table added."""
    return type(f"{tester.__name__}{name}", (tester,), {"settings": {**tester.settings, **_OTHER_SETTINGS[name]}})


class TestEncoder(EncoderConformance, unittest.TestCase):
    """BERT's setting: post-norm, learned positions, tied."""


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestEncoderPostNormSinusoidalTied(EncoderConformance, unittest.TestCase):
    """The paper's encoder."""

    stack = _in_setting("PostNormSinusoidalTied", EncoderTester)


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestEncoderPreNormSinusoidalUntied(EncoderConformance, unittest.TestCase):
    """Pre-norm, sinusoidal positions, a separate head."""

    stack = _in_setting("PreNormSinusoidalUntied", EncoderTester)


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestEncoderPreNormLearnedTied(EncoderConformance, unittest.TestCase):
    """Pre-norm, learned positions, tied."""

    stack = _in_setting("PreNormLearnedTied", EncoderTester)


class TestDecoder(DecoderConformance, unittest.TestCase):
    """GPT-2's setting: pre-norm, learned positions, tied."""


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestDecoderPostNormSinusoidalTied(DecoderConformance, unittest.TestCase):
    """The paper's decoder without an encoder."""

    stack = _in_setting("PostNormSinusoidalTied", DecoderTester)


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestDecoderPostNormLearnedUntied(DecoderConformance, unittest.TestCase):
    """GPT-1's layout with a separate head."""

    stack = _in_setting("PostNormLearnedUntied", DecoderTester)


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestDecoderPreNormSinusoidalUntied(DecoderConformance, unittest.TestCase):
    """Pre-norm, sinusoidal positions, a separate head."""

    stack = _in_setting("PreNormSinusoidalUntied", DecoderTester)


class TestTransformer(TransformerConformance, unittest.TestCase):
    """The paper's setting: post-norm, sinusoidal positions, the three-way tie."""


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestTransformerPostNormLearnedTied(TransformerConformance, unittest.TestCase):
    """BART's layout."""

    stack = _in_setting("PostNormLearnedTied", TransformerTester)


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestTransformerPreNormSinusoidalUntied(TransformerConformance, unittest.TestCase):
    """Pre-norm, sinusoidal positions, three separate matrices."""

    stack = _in_setting("PreNormSinusoidalUntied", TransformerTester)


@pytest.mark.slow
@pytest.mark.usefixtures("chunked_loss")
class TestTransformerPreNormLearnedTied(TransformerConformance, unittest.TestCase):
    """mBART's layout."""

    stack = _in_setting("PreNormLearnedTied", TransformerTester)
