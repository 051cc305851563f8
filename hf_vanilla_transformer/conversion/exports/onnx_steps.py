"""Run the ONNX graphs of a generating model token by token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput

__all__ = ["OnnxSteps"]


class OnnxSteps:
    """Runs `prefill` once, then `decode` for each further token, and passes the cache along.

    ```python
    graphs = ExportedModel.from_pretrained(folder).runners  # of transformers.exporters
    steps = OnnxSteps(graphs, decoder_start_token_id=3)
    logits = steps.start(input_ids, attention_mask)
    logits = steps.step(logits[:, -1:].argmax(-1))
    ```

    Args:
        runners: the graphs as callables, by name.
        decoder_start_token_id: first token of the decoder; None for a decoder-only model.
    """

    def __init__(self, runners: Mapping[str, Callable[..., Any]], decoder_start_token_id: int | None = None) -> None:
        self.runners = runners
        self.decoder_start_token_id = decoder_start_token_id
        self._inputs: dict[str, Any] = {}
        self._mask = torch.empty(0)

    def start(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Reads the source or the prompt, (batch, sequence); returns logits (batch, positions, vocabulary)."""
        self._inputs = {}
        tokens, self._mask = input_ids, attention_mask
        if "encoder" in self.runners:
            states = self.runners["encoder"](input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            self._inputs = {"encoder_outputs": BaseModelOutput(states), "attention_mask": attention_mask}
            tokens = torch.full((len(input_ids), 1), self.decoder_start_token_id)
            self._mask = torch.ones_like(tokens)
        return self._run("prefill", tokens)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Reads the next token of each row, (batch, 1); returns logits (batch, 1, vocabulary)."""
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        return self._run("decode", tokens)

    def _run(self, graph: str, tokens: torch.Tensor) -> torch.Tensor:
        prefix = "decoder_" if "encoder" in self.runners else ""
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        # Each graph ignores the arguments that it does not use.
        self._inputs |= {
            f"{prefix}input_ids": tokens,
            f"{prefix}attention_mask": self._mask,
            f"{prefix}position_ids": positions,
        }
        outputs = self.runners[graph](**self._inputs)
        self._inputs["past_key_values"] = outputs.past_key_values
        return outputs.logits
