"""What a search of our decoding loop gets: the model, the prompts, and the rules of `generate`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from .flat_decoder import FlatDecoder
from .key_value_pool import KeyValuePool, SourceKeysAndValues
from .stopping import Stopping


@dataclass
class SearchRequest:
    """One call of `generate`, after transformers has prepared it.

    Attributes:
        decoder: the decoder with its weights.
        prompts: (rows, length), what the decoder reads first: the start token, or a prompt.
        positions: (rows or 1, length), the position of each token of the prompts.
        prompt_mask: (rows, length), 0 at padding on the left; None without padding.
        source: (rows, source, hidden), the output of the encoder; None for a decoder alone.
        source_mask: (rows, source), 0 at padding; None without padding.
        first_processors: change the scores of the first new token.
        processors: change those of the following tokens.
        stopping: say when a sequence ends.
        config: the generation config, with the special tokens as tensors.
        streamer: gets each token.
        rows_stay: whether finished rows stay in the batch, because something counts on their place.
        scores_only_fall: whether the log-probability of a hypothesis can only fall from token to token, and rows leave.
        cache: the empty cache that is returned with the keys and values, if the output is to hold one.
    """

    decoder: FlatDecoder
    prompts: torch.Tensor
    positions: torch.Tensor
    prompt_mask: torch.Tensor | None
    source: torch.Tensor | None
    source_mask: torch.Tensor | None
    first_processors: LogitsProcessorList
    processors: LogitsProcessorList
    stopping: Stopping
    config: GenerationConfig
    streamer: Any = None
    rows_stay: bool = False
    scores_only_fall: bool = False
    cache: Any = None

    def mode(self) -> AbstractContextManager:
        """The context of the search: without gradients, and if nobody else gets a tensor, in inference mode."""
        return nullcontext() if self.rows_stay or torch.is_inference_mode_enabled() else torch.inference_mode()

    @property
    def end_token_count(self) -> int:
        """Number of tokens that end a hypothesis, as transformers counts them."""
        ends = self.config._eos_token_tensor
        return 0 if ends is None else len(ends)

    def read_prompts(self, beams: int) -> tuple[torch.Tensor, KeyValuePool, SourceKeysAndValues | None]:
        """Computes the prompts.

        Args:
            beams: hypotheses of each row that will share its keys and values.

        Returns:
            The state of the last token of each row, (rows, hidden), and the keys and values.
        """
        decoder = self.decoder
        source = None
        if self.source is not None:
            source = decoder.source_keys_and_values(self.source, self.source_mask)
        states_like = torch.empty(0, dtype=decoder.dtype)
        layers, rows = len(decoder.layers), len(self.prompts)
        pool = KeyValuePool(layers, rows, decoder.heads, decoder.head_dim, beams, like=states_like)
        pool.keeps_columns = self.cache is not None
        states = decoder.prefill(self.prompts, self.positions, self.prompt_mask, pool, source)
        return states, pool, source

    def fill_cache(self, pool: KeyValuePool, source: SourceKeysAndValues | None) -> None:
        """Puts the keys and values of all hypotheses into the cache that `generate` returns, if it returns one."""
        if self.cache is None:
            return
        of_target = self.cache if source is None else self.cache.self_attention_cache
        for layer in range(len(self.decoder.layers)):
            of_target.update(*pool.of_hypotheses(layer, self.prompts.shape[1]), layer)
            if source is not None:
                keys, values, _ = source.of_layer(layer)
                keys, values = keys.repeat_interleave(pool.beams, 0), values.repeat_interleave(pool.beams, 0)
                self.cache.cross_attention_cache.update(keys, values, layer)
                self.cache.is_updated[layer] = True
