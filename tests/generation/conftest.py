"""Tiny generative models in float64, with weights large enough that their choices are unambiguous."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from ..tiny_models import tiny_model

_TINY = {
    "vocab_size": 43,
    "initializer": "normal",
    "initializer_range": 0.7,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SETTINGS = {
    "post-norm-sinusoidal": {"norm_first": False, "position_embedding_type": "sinusoidal"},
    "pre-norm-learned": {"norm_first": True, "position_embedding_type": "learned"},
}
NEW_TOKENS = 9


@dataclass
class Generator:
    """A model with inputs: rows of different lengths, so that there is always padding."""

    model: Any
    rows: list[torch.Tensor]
    generate_arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether generated tokens follow a decoder start token instead of the prompt."""
        return self.model.config.is_encoder_decoder

    def inputs(self, side: str | None = None) -> dict[str, torch.Tensor]:
        """The rows, padded on one side; None for the usual side of the stack."""
        side = side or ("right" if self.is_encoder_decoder else "left")
        longest = max(len(row) for row in self.rows)
        ids = torch.zeros(len(self.rows), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(self.rows):
            place = slice(longest - len(row), None) if side == "left" else slice(0, len(row))
            ids[number, place] = row
            mask[number, place] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def generate(self, **kwargs: Any) -> Any:
        """`generate` on the padded rows, 9 new tokens; everything can be overridden."""
        arguments = {**self.inputs(), "max_new_tokens": NEW_TOKENS, "do_sample": False, **kwargs}
        return self.model.generate(**{name: value for name, value in arguments.items() if value is not None})

    def new_tokens(self, sequences: torch.Tensor, prompt_length: int | None = None) -> torch.Tensor:
        """The output of `generate` without prompt or start token."""
        if self.is_encoder_decoder:
            return sequences[:, 1:]
        return sequences[:, self.inputs()["input_ids"].shape[1] if prompt_length is None else prompt_length :]

    @torch.no_grad()
    def log_probabilities(self, sequences: torch.Tensor, row_of: torch.Tensor) -> torch.Tensor:
        """The log-probability of each new token by one plain forward pass, 0 after the end; (sequences, new tokens).

        Args:
            sequences: output of `generate`.
            row_of: the index of the input row of each sequence.
        """
        inputs = {name: value[row_of] for name, value in self.inputs().items()}
        new = self.new_tokens(sequences)
        if self.is_encoder_decoder:
            logits = self.model(**inputs, decoder_input_ids=sequences[:, :-1]).logits
        else:
            mask = torch.cat([inputs["attention_mask"], torch.ones_like(new)], dim=1)
            logits = self.model(sequences, attention_mask=mask).logits[:, -new.shape[1] - 1 : -1]
        chosen = logits.log_softmax(-1).gather(-1, new[..., None])[..., 0]
        ended = (new == self.model.config.eos_token_id).cumsum(-1) - (new == self.model.config.eos_token_id).long()
        return chosen.masked_fill(ended > 0, 0.0)


def build(kind: str, setting: str, seed: int = 0, **more: Any) -> Any:
    """A tiny generative model of one stack in one setting, in float64."""
    start = {"decoder_start_token_id": 1} if kind == "seq2seq" else {}
    return tiny_model(kind, seed=seed, noise=0.0, **_TINY | _SETTINGS[setting] | start | more).double()


@pytest.fixture(scope="module", params=[(kind, setting) for kind in ("decoder", "seq2seq") for setting in _SETTINGS])
def kind_and_setting(request):
    """The name of the stack and of the setting."""
    return request.param


@pytest.fixture(scope="module")
def generator(kind_and_setting):
    """A generative model and three rows of 3, 6 and 4 tokens."""
    model = build(*kind_and_setting)
    torch.manual_seed(1)
    return Generator(model, [torch.randint(3, model.config.vocab_size, (length,)) for length in (3, 6, 4)])


@pytest.fixture
def build_model():
    """The function that builds another model, for an assistant."""
    return build
