"""What a decoder remembers between two steps of generation."""

from __future__ import annotations

import torch


class DecoderState:
    """Tensors by name, each with the batch in front, and the number of tokens read.

    A recurrent decoder remembers its last state, a convolutional one the last inputs of each convolution: its size does
    not grow with the target, in contrast to the keys and values of a Transformer.
    """

    is_compileable = False

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.length = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The number of tokens read; `generate` asks for it."""
        return self.length

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Keep these rows: `generate` calls it when beams change."""
        self.tensors = {
            name: tensor.index_select(0, beam_idx.to(tensor.device)) for name, tensor in self.tensors.items()
        }


__all__ = ["DecoderState"]
