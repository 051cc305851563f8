"""Recurrent encoder and decoder, and the attention that was invented for them."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .configuration_predecessor import PredecessorConfig
from .state_predecessor import DecoderState

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentEncoder(nn.Module):
    """Reads the source in both directions (Bahdanau et al. 2015, section 3.2); each direction has half the width."""

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        layers = config.encoder_layers
        self.cell = CELLS[config.cell](
            config.hidden_size,
            config.hidden_size // 2,
            layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if layers > 1 else 0.0,
        )

    def forward(self, embedded: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, None]:
        """(batch, source, hidden) and its mask, padding on the right, to the states (batch, source, hidden)."""
        if bool(mask.all()):
            return self.cell(embedded)[0], None
        # The backward direction must begin at the last token, not at the padding.
        packed = pack_padded_sequence(embedded, mask.sum(-1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.cell(packed)[0], batch_first=True, total_length=embedded.shape[1])
        return states, None


class RecurrentAttention(nn.Module):
    """Scores of a query and every state of the encoder, their softmax, and the mean of the states by it.

    bahdanau, luong_concat: v · tanh(W q + U h);  luong_dot: q · h;  luong_general: q · W h.
    """

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.kind = config.attention
        self.additive = self.kind in ("bahdanau", "luong_concat")
        if self.kind != "luong_dot":
            self.k_proj = nn.Linear(width, width, bias=False)
        if self.additive:
            self.q_proj = nn.Linear(width, width, bias=False)
            self.v = nn.Linear(width, 1, bias=False)

    def keys(self, memory: torch.Tensor) -> torch.Tensor:
        """What of the scores does not depend on the query; (batch, source, hidden)."""
        return memory if self.kind == "luong_dot" else self.k_proj(memory)

    def forward(
        self, query: torch.Tensor, keys: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The context (batch, hidden) of a query (batch, hidden), and the weights (batch, source)."""
        if self.additive:
            scores = self.v(torch.tanh(self.q_proj(query)[:, None] + keys)).squeeze(-1)
        else:
            scores = (keys @ query[:, :, None]).squeeze(-1)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        return (weights[:, None] @ memory).squeeze(1), weights


class RecurrentDecoder(nn.Module):
    """Writes the target token by token.

    Without attention, one vector c stands for the source (Cho et al. 2014): s_t = f(s_{t-1}, y_{t-1}, c).
    Bahdanau: c_t by a query s_{t-1}, then s_t = f(s_{t-1}, y_{t-1}, c_t).
    Luong: s_t = f(s_{t-1}, y_{t-1}, h̃_{t-1}), then c_t by a query s_t and h̃_t = tanh(W [c_t; s_t]).
    """

    def __init__(self, config: PredecessorConfig) -> None:
        super().__init__()
        width, layers = config.hidden_size, config.decoder_layers
        self.layers, self.is_lstm, self.kind = layers, config.cell == "lstm", config.attention
        self.cell = CELLS[config.cell](
            2 * width, width, layers, batch_first=True, dropout=config.dropout if layers > 1 else 0.0
        )
        self.start = nn.Linear(width, layers * width * (2 if self.is_lstm else 1))
        if self.kind != "none":
            self.attention = RecurrentAttention(config)
        # Before the vocabulary, the first two see state, token and context (with tanh in place of maxout).
        self.readout = nn.Linear((2 if self.feeds_input else 3) * width, width)

    @property
    def feeds_input(self) -> bool:
        """Whether the cell reads the last attentional state, as Luong's."""
        return self.kind.startswith("luong")

    def summary(self, memory: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """One vector (batch, hidden) for the source: the last state forwards and the last state backwards."""
        half, rows = memory.shape[-1] // 2, torch.arange(len(memory), device=memory.device)
        first = mask.int().argmax(-1)
        last = mask.shape[1] - 1 - mask.int().flip(-1).argmax(-1)
        return torch.cat([memory[rows, last, :half], memory[rows, first, half:]], -1)

    def forward(
        self,
        embedded: torch.Tensor,
        memory: torch.Tensor,
        values: None,
        mask: torch.Tensor,
        state: DecoderState,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Decode some tokens, and change the state.

        Args:
            embedded: (batch, target, hidden).
            memory: states of the encoder, (batch, source, hidden).
            values: of other decoders.
            mask: (batch, source), True for tokens.
            state: empty before the first token.

        Returns:
            The outputs (batch, target, hidden), and the attention (batch, 1, target, source) in a tuple, which is empty
            without attention.
        """
        kept = state.tensors
        if not kept:
            summary = self.summary(memory, mask)
            begin = torch.tanh(self.start(summary)).unflatten(-1, (-1, self.layers, summary.shape[-1]))
            kept["hidden"] = begin[:, 0]
            if self.is_lstm:
                kept["memory_cell"] = begin[:, 1]
            if self.kind == "none":
                kept["context"] = summary
            else:
                kept["keys"] = self.attention.keys(memory)
            if self.feeds_input:
                kept["fed"] = torch.zeros_like(summary)
        if self.kind == "none":
            context = kept["context"][:, None].expand(-1, embedded.shape[1], -1)
            states = self._advance(torch.cat([embedded, context], -1), kept)
            return torch.tanh(self.readout(torch.cat([states, embedded, context], -1))), ()
        outputs, attention = [], []
        for token in embedded.unbind(1):
            if self.feeds_input:
                query = self._advance(torch.cat([token, kept["fed"]], -1)[:, None], kept)[:, 0]
                context, weights = self.attention(query, kept["keys"], memory, mask)
                kept["fed"] = torch.tanh(self.readout(torch.cat([context, query], -1)))
                outputs.append(kept["fed"])
            else:
                context, weights = self.attention(kept["hidden"][:, -1], kept["keys"], memory, mask)
                after = self._advance(torch.cat([token, context], -1)[:, None], kept)[:, 0]
                outputs.append(torch.cat([after, token, context], -1))
            attention.append(weights)
        result = torch.stack(outputs, 1)
        if not self.feeds_input:
            result = torch.tanh(self.readout(result))
        return result, (torch.stack(attention, 1)[:, None],)

    def _advance(self, inputs: torch.Tensor, kept: dict[str, torch.Tensor]) -> torch.Tensor:
        """Run the cell over (batch, length, 2 hidden) from the kept state, and keep the new one."""
        names = ("hidden", "memory_cell") if self.is_lstm else ("hidden",)
        before = tuple(kept[name].transpose(0, 1).contiguous() for name in names)
        outputs, after = self.cell(inputs, before if self.is_lstm else before[0])
        for name, tensor in zip(names, after if self.is_lstm else (after,)):
            kept[name] = tensor.transpose(0, 1)
        return outputs


__all__ = ["CELLS", "RecurrentAttention", "RecurrentDecoder", "RecurrentEncoder"]
