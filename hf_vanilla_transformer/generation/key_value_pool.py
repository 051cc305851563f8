"""Keys and values while decoding: a pool of columns for each row, which the beams of the row share.

A hypothesis of beam search continues one of the hypotheses before it. Instead of copying its past, a row keeps the keys
and values of all its beams in one pool, and a mask says which columns are the past of which beam. Columns that are in
the past of no beam any more are removed when the pool is full. A row that is finished leaves, and the last one takes
its place.
"""

from __future__ import annotations

import torch

# Room of a new pool beyond its prompt, in columns.
FEW_COLUMNS = 32


class KeyValuePool:
    """Keys and values of self-attention for all layers.

    Attributes:
        rows: number of rows: sentences, or prompts.
        beams: hypotheses of each row.
        columns: number of columns in use.
        keeps_columns: whether columns that no beam needs stay, for `of_hypotheses`.

    Args:
        layers: number of layers.
        rows: number of rows.
        heads: number of heads.
        head_dim: width of a head.
        beams: hypotheses of each row.
        like: a tensor with the type of the keys and values.
    """

    def __init__(self, layers: int, rows: int, heads: int, head_dim: int, beams: int, like: torch.Tensor) -> None:
        self.rows = rows
        self.beams = beams
        self.columns = 0
        self.keeps_columns = False
        self._heads = heads
        # (layers, keys and values, rows, heads, columns, head_dim). Zeros, because a weight of 0 times NaN is NaN.
        self._keys_values = like.new_zeros(layers, 2, rows, heads, 0, head_dim)
        # (rows, beams, columns): 0 where a column is in the past of a beam, else -inf. None where all columns are.
        self._mask: torch.Tensor | None = None
        self._mask_of_heads: torch.Tensor | None = None
        # The new column of each beam is in the past of this beam only.
        self._own_columns = like.new_full((beams, beams), -torch.inf).fill_diagonal_(0.0)[None]

    def open_prompt(self, length: int, mask: torch.Tensor | None) -> None:
        """Make columns for the prompts. `mask` (rows, length) is 0 at padding, None without padding."""
        self._grow(length + FEW_COLUMNS * self.beams)
        self.columns = length
        if mask is not None or self.beams > 1:
            self._mask = self._keys_values.new_zeros(self.rows, self.beams, length)
            if mask is not None:
                self._mask.masked_fill_((mask == 0)[:, None], -torch.inf)
        self._views_of_rows()

    def store_prompt(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Write the keys and values (rows, heads, length, head_dim) of the prompts."""
        place = self._keys_values[layer, :, : self.rows, :, : self.columns]
        place[0].copy_(keys)
        place[1].copy_(values)

    def open_columns(self) -> torch.Tensor | None:
        """Make one column for each beam. Returns the mask (rows · heads, beams, columns), None if nothing is masked."""
        beams = self.beams
        if self.columns + beams > self._keys_values.shape[4]:
            self._make_room()
        self._first_new = self.columns
        self.columns += beams
        if self._mask is None:
            return None
        if beams == 1:
            # The mask of the heads has zeros for the columns to come.
            return self._mask_of_heads.narrow(2, 0, self.columns)
        own = self._own_columns.expand(self.rows, -1, -1)
        self._mask = torch.cat([self._mask, own], dim=2)
        return self._for_heads(self._mask)

    def store(self, layer: int, projected: torch.Tensor) -> torch.Tensor:
        """Write the new keys and values of a layer. Returns the queries, (rows · heads, beams, head_dim).

        Args:
            projected: (rows · beams, 3 · hidden), queries, keys and values of the new tokens.
        """
        rows, beams, heads = self.rows, self.beams, self._heads
        if beams == 1:
            projected = projected.view(rows, 3, heads, -1)
            self._by_layer[layer].select(3, self._first_new).copy_(projected[:, 1:].transpose(0, 1))
            return projected[:, 0].reshape(rows * heads, 1, -1)
        projected = projected.view(rows, beams, 3, heads, -1).permute(2, 0, 3, 1, 4)
        self._by_layer[layer].narrow(3, self._first_new, beams).copy_(projected[1:])
        return projected[0].reshape(rows * heads, beams, -1)

    def keys_and_values(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys (rows · heads, head_dim, columns) and values (rows · heads, columns, head_dim) of a layer."""
        keys, values = self._flat[layer]
        return keys.narrow(2, 0, self.columns), values.narrow(1, 0, self.columns)

    def continue_beams(self, parents: torch.Tensor) -> None:
        """Give each beam the past of another beam of its row; parents (rows, beams) are numbers of beams."""
        if self._mask is not None:
            self._mask = self._mask.gather(1, parents[:, :, None].expand(-1, -1, self._mask.shape[2]))

    def add_rows(self, other: KeyValuePool) -> None:
        """Take over the rows of another pool."""
        for pool in (self, other):
            pool._remove_columns()
        columns = max(self.columns, other.columns)
        layers, _, _, heads, _, head_dim = self._keys_values.shape
        rows = self.rows + other.rows
        joined = self._keys_values.new_zeros(layers, 2, rows, heads, columns + FEW_COLUMNS * self.beams, head_dim)
        mask = self._keys_values.new_full((rows, self.beams, columns), -torch.inf)
        for pool, place in ((self, slice(0, self.rows)), (other, slice(self.rows, rows))):
            joined[:, :, place, :, : pool.columns] = pool._keys_values[:, :, : pool.rows, :, : pool.columns]
            mask[place, :, : pool.columns] = pool._whole_mask()
        self._keys_values, self._mask = joined, mask
        self.rows, self.columns = rows, columns
        self._views_of_rows()

    def repeat_rows(self, times: int) -> None:
        """Make `times` equal rows of each row, one after the other."""
        self._keys_values = self._keys_values[:, :, : self.rows].repeat_interleave(times, dim=2)
        if self._mask is not None:
            self._mask = self._mask.repeat_interleave(times, dim=0)
        self.rows *= times
        self._views_of_rows()

    def move_rows(self, moves: list[tuple[int, int]], rows: int) -> None:
        """Copy rows over others, (from, to) in this order, and keep the first `rows`."""
        used = self._keys_values[:, :, :, :, : self.columns]
        for old, new in moves:
            used[:, :, new].copy_(used[:, :, old])
            if self._mask is not None:
                self._mask[new] = self._mask[old]
        if self._mask is not None:
            self._mask = self._mask[:rows]
        self.rows = rows
        self._views_of_rows()

    def of_hypotheses(self, layer: int, prompt_length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (rows · beams, heads, length, head_dim) of a layer, in the order of the tokens.

        Args:
            layer: number of the layer.
            prompt_length: columns of the prompts; they are given with their padding.
        """
        keys, values = self._by_layer[layer][:, :, :, : self.columns].unbind(0)
        if self.beams == 1:
            return keys.clone(), values.clone()
        order = torch.arange(prompt_length).expand(self.rows, self.beams, -1)
        own = (self._mask[:, :, prompt_length:] == 0).nonzero()[:, 2].view(self.rows, self.beams, -1) + prompt_length
        order = torch.cat([order, own], dim=2)[:, :, None, :, None]
        shape = (-1, -1, self._heads, -1, keys.shape[3])
        keys, values = (
            one[:, None].expand(-1, self.beams, -1, -1, -1).gather(3, order.expand(shape)).flatten(0, 1)
            for one in (keys, values)
        )
        return keys, values

    def _make_room(self) -> None:
        """Remove the columns that no beam needs; if more than half are needed, double the room."""
        self._remove_columns()
        if 2 * (self.columns + self.beams) > self._keys_values.shape[4]:
            self._grow(2 * (self.columns + self.beams))
        self._views_of_rows()

    def _remove_columns(self) -> None:
        """Remove the columns that no beam needs."""
        if self._mask is None or self.keeps_columns:
            return
        self._mask = self._whole_mask()
        needed = (self._mask == 0).any(dim=1)  # (rows, columns)
        width = max(int(needed.sum(dim=1).max()), 1)
        if width < self.columns:
            # The needed columns of each row in their order, then others, which stay masked.
            order = needed.logical_not().to(torch.int8).argsort(dim=1, stable=True)[:, :width]
            self._select_columns(order)

    def _whole_mask(self) -> torch.Tensor:
        """The mask (rows, beams, columns) with the columns that were added for a single beam, which are its past."""
        if self._mask is None:
            return self._keys_values.new_zeros(self.rows, 1, self.columns)
        return torch.nn.functional.pad(self._mask, (0, self.columns - self._mask.shape[2]))

    def _select_columns(self, order: torch.Tensor) -> None:
        """Keep the columns `order` (rows, width) of each row."""
        layers, _, all_rows, heads, room, head_dim = self._keys_values.shape
        rows, width = order.shape
        groups = torch.arange(rows * heads, device=order.device).view(rows, heads, 1) * room
        flat = (groups + order[:, None]).flatten()
        kept = self._keys_values.view(layers * 2, all_rows * heads * room, head_dim).index_select(1, flat)
        self._keys_values[:, :, :rows, :, :width] = kept.view(layers, 2, rows, heads, width, head_dim)
        self._mask = self._mask.gather(2, order[:, None].expand(-1, self.beams, -1))
        self.columns = width

    def _grow(self, room: int) -> None:
        """Make room for this number of columns."""
        layers, _, _, heads, _, head_dim = self._keys_values.shape
        grown = self._keys_values.new_zeros(layers, 2, self.rows, heads, room, head_dim)
        grown[:, :, :, :, : self.columns] = self._keys_values[:, :, : self.rows, :, : self.columns]
        self._keys_values = grown

    def _views_of_rows(self) -> None:
        """Views of the rows in use, which every step needs."""
        room, head_dim = self._keys_values.shape[4:]
        rows = self._keys_values[:, :, : self.rows]
        self._by_layer = list(rows.unbind(0))
        self._flat = [
            (layer[0].view(-1, room, head_dim).transpose(1, 2), layer[1].view(-1, room, head_dim))
            for layer in self._by_layer
        ]
        if self._mask is not None and self.beams == 1:
            # The columns to come are in the past of their row.
            padded = torch.nn.functional.pad(self._mask, (0, room - self._mask.shape[2]))
            self._mask_of_heads = self._for_heads(padded)

    def _for_heads(self, mask: torch.Tensor) -> torch.Tensor:
        rows, beams, columns = mask.shape
        return mask[:, None].expand(-1, self._heads, -1, -1).reshape(rows * self._heads, beams, columns)


class SourceKeysAndValues:
    """Keys and values of cross-attention for all layers, computed once and shared by the beams of a row.

    Args:
        layers: number of layers.
        rows: number of rows.
        heads: number of heads.
        length: tokens of the longest source.
        head_dim: width of a head.
        like: a tensor with the type of the keys and values.
    """

    def __init__(self, layers: int, rows: int, heads: int, length: int, head_dim: int, like: torch.Tensor) -> None:
        self.rows = rows
        # (layers, keys and values, rows, heads, length, head_dim)
        self._keys_values = like.new_empty(layers, 2, rows, heads, length, head_dim)
        # (rows, heads, 1, length): -inf at padding, else 0. None without padding.
        self._mask: torch.Tensor | None = None
        self._views_of_rows()

    def store(self, layer: int, projected: torch.Tensor) -> None:
        """Write the keys and values (rows · length, 2 · hidden) of a layer."""
        place = self._keys_values[layer]
        _, rows, heads, length, head_dim = place.shape
        place.copy_(projected.view(rows, length, 2, heads, head_dim).permute(2, 0, 3, 1, 4))

    def hide_padding(self, mask: torch.Tensor) -> None:
        """Hide the positions where `mask` (rows, length) is 0. No row may be hidden entirely."""
        self._mask = self._empty_mask(self.rows, mask.shape[1], 0.0)
        self._mask.masked_fill_((mask == 0)[:, None, None], -torch.inf)
        self._views_of_rows()

    def add_rows(self, other: SourceKeysAndValues) -> None:
        """Take over the rows of another one. Positions at the end that no row needs any more are left out."""
        lengths = [self._needed_length(), other._needed_length()]
        layers, _, _, heads, _, head_dim = self._keys_values.shape
        rows = self.rows + other.rows
        joined = self._keys_values.new_zeros(layers, 2, rows, heads, max(lengths), head_dim)
        mask = self._empty_mask(rows, max(lengths), -torch.inf)
        places = slice(0, self.rows), slice(self.rows, rows)
        for source, place, length in zip((self, other), places, lengths):
            joined[:, :, place, :, :length] = source._keys_values[:, :, : source.rows, :, :length]
            mask[place, ..., :length] = 0.0 if source._mask is None else source._mask[: source.rows, ..., :length]
        self._keys_values, self._mask = joined, mask
        self.rows = rows
        self._views_of_rows()

    def _needed_length(self) -> int:
        """The positions up to the last one that a row in use sees."""
        if self._mask is None:
            return self._keys_values.shape[4]
        seen = (self._mask[: self.rows, 0, 0] == 0).any(dim=0)
        return int(seen.nonzero().max()) + 1

    def _empty_mask(self, rows: int, length: int, value: float) -> torch.Tensor:
        return self._keys_values.new_full((rows, self._keys_values.shape[3], 1, length), value)

    def of_layer(self, layer: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Keys and values (rows, heads, length, head_dim) and the mask (rows, heads, 1, length) of a layer."""
        keys, values = self._keys_values[layer, :, : self.rows]
        return keys, values, None if self._mask is None else self._mask[: self.rows]

    def for_products(self, layer: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """As `of_layer`, with rows and heads as one dimension and the keys transposed."""
        return self._flat[layer]

    def repeat_rows(self, times: int) -> None:
        """Make `times` equal rows of each row, one after the other."""
        self._keys_values = self._keys_values[:, :, : self.rows].repeat_interleave(times, dim=2)
        if self._mask is not None:
            self._mask = self._mask[: self.rows].repeat_interleave(times, dim=0)
        self.rows *= times
        self._views_of_rows()

    def move_rows(self, moves: list[tuple[int, int]], rows: int) -> None:
        """Copy rows over others, (from, to) in this order, and keep the first `rows`."""
        for old, new in moves:
            self._keys_values[:, :, new].copy_(self._keys_values[:, :, old])
            if self._mask is not None:
                self._mask[new] = self._mask[old]
        self.rows = rows
        self._views_of_rows()

    def _views_of_rows(self) -> None:
        length, head_dim = self._keys_values.shape[4:]
        mask = None if self._mask is None else self._mask[: self.rows].view(-1, 1, length)
        self._flat = [
            (layer[0].view(-1, length, head_dim).transpose(1, 2), layer[1].view(-1, length, head_dim), mask)
            for layer in self._keys_values[:, :, : self.rows].unbind(0)
        ]
