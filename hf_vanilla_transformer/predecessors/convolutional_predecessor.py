"""ConvS2S (Gehring et al. 2017) and ByteNet (Kalchbrenner et al. 2016): convolutions in place of recurrence."""

import math

import torch
from torch import nn

from .configuration_predecessor import PredecessorConfig
from .state_predecessor import DecoderState


class SequenceConvolution(nn.Module):
    """A convolution over (batch, length, width) that keeps the length.

    With a state it is causal: an output sees its own input and earlier ones, of which the state keeps the last.
    """

    def __init__(self, width: int, outputs: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, outputs, kernel_size, dilation=dilation)
        self.reach = (kernel_size - 1) * dilation

    def forward(self, x: torch.Tensor, state: DecoderState | None = None, name: str = "") -> torch.Tensor:
        """(batch, length, width) to (batch, length, outputs)."""
        if state is None:
            x = nn.functional.pad(x, (0, 0, self.reach // 2, self.reach - self.reach // 2))
        else:
            before = state.tensors.get(name)
            x = torch.cat([x.new_zeros(len(x), self.reach, x.shape[-1]) if before is None else before, x], 1)
            state.tensors[name] = x[:, x.shape[1] - self.reach :]
        return self.conv(x.transpose(1, 2)).transpose(1, 2)


class Positions(nn.Module):
    """Learned position embeddings (section 3.1 of Gehring et al.)."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """Add the positions from `start` on to (batch, length, hidden).

        Raises:
            ValueError: the sequence has more positions than the table.
        """
        end = start + x.shape[1]
        if end > self.table.num_embeddings:
            raise ValueError(
                f"The sequence has {end} positions, but the model has max_position_embeddings="
                f"{self.table.num_embeddings}. Truncate it, or train with more positions."
            )
        return x + self.table.weight[start:end]


class ConvS2SEncoder(nn.Module):
    """Blocks h = √½ (GLU(convolution(h)) + h). Returns the keys z, and the values √½ (z + embedding)."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.embed_positions = Positions(config)
        self.layers = nn.ModuleList(
            SequenceConvolution(width, 2 * width, config.kernel_size) for _ in range(config.encoder_layers)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, embedded: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, source, hidden) and its mask, padding on the right, to keys and values of the same shape."""
        h = embedded = self.embed_positions(embedded)
        for layer in self.layers:
            h = h * mask[:, :, None]  # a convolution must see zeros beside the sentence, not padding
            h = (nn.functional.glu(layer(self.dropout(h)), dim=-1) + h) * math.sqrt(0.5)
        return h, (h + embedded) * math.sqrt(0.5)


class ConvS2SBlock(nn.Module):
    """One block of the decoder: a causal gated convolution, then attention (section 3.3 of Gehring et al.)."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.conv = SequenceConvolution(width, 2 * width, config.kernel_size)
        self.q_proj = nn.Linear(width, width)
        self.o_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        h: torch.Tensor,
        embedded: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor,
        state: DecoderState,
        name: str,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, target, hidden) to the same shape, and the attention (batch, target, source)."""
        gated = nn.functional.glu(self.conv(self.dropout(h), state, name), dim=-1)
        query = (self.q_proj(gated) + embedded) * math.sqrt(0.5)
        scores = query @ keys.transpose(1, 2)
        weights = scores.masked_fill(~mask[:, None], float("-inf")).softmax(-1)
        # Section 3.5: a mean of m values has less variance than one value; m √(1/m) makes up for it.
        length = mask.sum(-1)[:, None, None].to(values.dtype)
        context = self.o_proj(weights @ values * length.sqrt())
        return ((gated + context) * math.sqrt(0.5) + h) * math.sqrt(0.5), weights


class ConvS2SDecoder(nn.Module):
    """The blocks over the target with its positions."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        self.embed_positions = Positions(config)
        self.layers = nn.ModuleList(ConvS2SBlock(config) for _ in range(config.decoder_layers))

    def forward(
        self,
        embedded: torch.Tensor,
        memory: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor,
        state: DecoderState,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Outputs (batch, target, hidden) and the attention (batch, 1, target, source) of each block."""
        h = embedded = self.embed_positions(embedded, state.length)
        attention = []
        for number, layer in enumerate(self.layers):
            h, weights = layer(h, embedded, memory, values, mask, state, f"convolution_{number}")
            attention.append(weights[:, None])
        return h, tuple(attention)


class ByteNetBlock(nn.Module):
    """Figure 3 (left) of Kalchbrenner et al.: 1×1 to half the width, dilated convolution, 1×1 back, residual."""

    def __init__(self, config: PredecessorConfig, number: int) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.hidden_size // 2
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in (width, inner, inner))
        self.reduce = nn.Linear(width, inner)
        dilation = 2 ** (number % config.dilation_cycle)
        self.conv = SequenceConvolution(inner, inner, config.kernel_size, dilation)
        self.expand = nn.Linear(inner, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, state: DecoderState | None = None, name: str = ""
    ) -> torch.Tensor:
        """(batch, length, hidden) to the same shape."""
        h = self.reduce(self.norms[0](x).relu())
        h = self.norms[1](h).relu()
        if mask is not None:
            h = h * mask[:, :, None]
        h = self.norms[2](self.conv(h, state, name)).relu()
        return x + self.dropout(self.expand(h))


class ByteNetEncoder(nn.Module):
    """Dilated blocks that see both sides; the output has a column for each token of the source."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ByteNetBlock(config, number) for number in range(config.encoder_layers))

    def forward(self, embedded: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, None]:
        """(batch, source, hidden) and its mask, padding on the right, to the same shape."""
        for layer in self.layers:
            embedded = layer(embedded, mask)
        return embedded, None


class ByteNetDecoder(nn.Module):
    """Masked dilated blocks on top of the encoder: step t reads column t of the source, and zeros after its end."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.join = nn.Linear(2 * width, width)
        self.layers = nn.ModuleList(ByteNetBlock(config, number) for number in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, width)

    def forward(
        self, embedded: torch.Tensor, memory: torch.Tensor, values: None, mask: torch.Tensor, state: DecoderState
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Outputs (batch, target, hidden). There is no attention, so the tuple is empty."""
        # Token t of the source stands in column order[t]; padding comes last, whatever its side.
        order = mask.int().argsort(dim=-1, descending=True, stable=True)
        columns = torch.arange(embedded.shape[1], device=embedded.device) + state.length
        within = columns[None] < mask.sum(-1)[:, None]  # (batch, target)
        chosen = order[:, columns.clamp(max=mask.shape[1] - 1)]
        source = memory.gather(1, chosen[:, :, None].expand(-1, -1, memory.shape[-1])) * within[:, :, None]
        h = self.join(torch.cat([embedded, source], -1))
        for number, layer in enumerate(self.layers):
            h = layer(h, None, state, f"convolution_{number}")
        return self.readout(self.norm(h).relu()), ()


__all__ = [
    "ByteNetDecoder",
    "ByteNetEncoder",
    "ConvS2SDecoder",
    "ConvS2SEncoder",
    "SequenceConvolution",
]
