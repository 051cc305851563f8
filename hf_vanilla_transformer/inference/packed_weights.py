"""Linear maps for serving on a CPU: the weight is copied once into the layout that this processor multiplies fastest.

Decoding multiplies few rows at a time, and there torch's float32 product is far from what the processor can do, because
it reads the weight in the order in which it was saved. A copy in another order costs memory and saves time. Copies do
not follow their weight. `WeightWatch` notices when a weight has changed, and then they are made again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..models.kernels_linear_vanilla import by_onednn, reordered_for_onednn

T = TypeVar("T")

# oneDNN takes 25 µs for a call in which MKL takes 3. From this number of weights on, it makes up for them.
_LARGE = 1 << 19

# From this number of rows on, oneDNN multiplies large weights sooner than MKL.
_FEWEST_ROWS = 3

# From this number of rows on, AMD's processors without AVX-512 gain nothing from oneDNN. With AVX-512 they always do.
_MOST_ROWS = 32

# From this number of multiplications on, oneDNN makes up for its calls with smaller weights, too, on AMD with AVX-512.
_FEWEST_MULTIPLICATIONS = 1 << 21

# From this number of rows on, MKL is as fast with the weight as it was saved.
_MANY_ROWS = 64

# The layout of oneDNN is chosen for a number of rows. Measured layouts are equal for 8 and for 1,600.
_TYPICAL_ROWS = 8

# Activation functions that oneDNN computes before the output of a product leaves the cache, and its names for them.
_OF_ONEDNN = {"none": ("none", ""), "relu": ("relu", ""), "gelu": ("gelu", "none"), "gelu_new": ("gelu", "tanh")}


@functools.cache
def _features() -> frozenset[str]:
    """What the choices below depend on: "mkl", "avx2", "avx512" and "amd", as far as this processor has them."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    present = {"mkl": torch.backends.mkl.is_available(), "amd": capabilities.get("sse4a", False)}  # only AMD has it
    present |= {"avx2": capabilities.get("avx2", False), "avx512": capabilities.get("avx512_f", False)}
    return frozenset(name for name, is_present in present.items() if is_present)


def _takes_transposed(rows: int) -> bool:
    """Whether MKL multiplies few rows sooner with a transposed weight: measured on Zen 2 to 5 and Sapphire Rapids."""
    return rows <= _MANY_ROWS and {"mkl", "avx2"} <= _features()


def _takes_onednn(rows: int, weights: int) -> bool:
    """Whether oneDNN multiplies sooner: it uses all instructions of AMD's processors, and MKL does not."""
    if not ({"mkl", "avx2", "amd"} <= _features() and torch.backends.mkldnn.enabled):
        return False
    if "avx512" in _features():
        enough = weights >= _LARGE or rows * weights >= _FEWEST_MULTIPLICATIONS
        return enough and rows >= _FEWEST_ROWS
    return weights >= _LARGE and _FEWEST_ROWS <= rows <= _MOST_ROWS


class PackedLinear:
    """`activation(states @ weight.T + bias)` without gradients, for a plain float32 weight on a CPU.

    A copy of the weight is made when a number of rows first needs it. The numbers differ from those of `nn.Linear` by
    rounding.

    Args:
        weight: (out, in).
        bias: (out,), or None.

    Raises:
        ValueError: `weight` is not a float32 matrix on a CPU.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        if weight.dim() != 2 or weight.dtype != torch.float32 or weight.device.type != "cpu":
            raise ValueError(
                f"weight has the shape {tuple(weight.shape)}, {weight.dtype} on {weight.device}: only float32 matrices "
                "on a CPU are packed."
            )
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.out_features, self.in_features = weight.shape
        self._transposed: torch.Tensor | None = None
        self._reordered: torch.Tensor | None = None

    @classmethod
    def of(cls, *maps: nn.Linear) -> PackedLinear:
        """One product for several maps of the same input: the outputs side by side, as queries, keys and values.

        Raises:
            ValueError: the maps differ in their input, or only some of them have a bias.
        """
        if len(maps) == 1:
            return cls(maps[0].weight, maps[0].bias)
        if len({one.in_features for one in maps}) > 1 or len({one.bias is None for one in maps}) > 1:
            raise ValueError(f"{maps} differ in their input or in whether they have a bias.")
        bias = None if maps[0].bias is None else torch.cat([one.bias.detach() for one in maps])
        return cls(torch.cat([one.weight.detach() for one in maps]), bias)

    @property
    def memory(self) -> int:
        """Bytes of the copies that exist now. There are at most two, each of the size of the weight."""
        return sum(self.weight.nbytes for copy in (self._transposed, self._reordered) if copy is not None)

    def __call__(self, states: torch.Tensor, activation: str = "none") -> torch.Tensor:
        """(..., in) to (..., out).

        Args:
            states: float32 on a CPU.
            activation: "none", "relu", "gelu" or "gelu_new", as in `config.hidden_act`.
        """
        rows = math.prod(states.shape[:-1])
        if _takes_onednn(rows, self.weight.numel()):
            if self._reordered is None:
                self._reordered = reordered_for_onednn(self.weight, _TYPICAL_ROWS)
            if self._reordered is not None:
                return by_onednn(states, self._reordered, self.bias, *_OF_ONEDNN[activation])
        return activated(self._by_mkl(states, rows), activation)

    def _by_mkl(self, states: torch.Tensor, rows: int) -> torch.Tensor:
        if not _takes_transposed(rows) or (rows == 1 and self.in_features > self.out_features):
            return nn.functional.linear(states, self.weight, self.bias)
        if self._transposed is None:
            self._transposed = self.weight.t().contiguous()
        if states.dim() == 2:
            if self.bias is None:
                return torch.mm(states, self._transposed)
            return torch.addmm(self.bias, states, self._transposed)
        return nn.functional.linear(states, self._transposed.t(), self.bias)


def activated(output: torch.Tensor, activation: str) -> torch.Tensor:
    """The activation function of that name on the output of a map; ReLU in place, because nobody else holds it.

    Args:
        output: any shape.
        activation: "none", "relu", "gelu" or "gelu_new", as in `config.hidden_act`.
    """
    if activation == "none":
        return output
    if activation == "relu":
        return output.relu_()
    return nn.functional.gelu(output, approximate=_OF_ONEDNN[activation][1])


class WeightWatch:
    """Notices when a model changes after weights were copied: by an update, loading, adapters, or by hand.

    A tensor has a version that counts changes in place. Fused optimizers and changes through `.data` do not count
    there, so the watch also compares a sample of each weight, with a number from every row and every column. Only a
    change through `.data` that leaves all of these numbers as they were goes unnoticed; `drop_packed_weights` is for
    that.

    Args:
        model: the model. Modules that are replaced anywhere in it count as a change.
        copied: the parameters of the model that were copied.

    Raises:
        ValueError: a parameter is not contiguous, or was made in inference mode, where changes are not counted.
    """

    def __init__(self, model: nn.Module, copied: Iterable[nn.Parameter]) -> None:
        copied = {id(parameter): parameter for parameter in copied}
        self._places: list[tuple[dict[str, Any], str, Any]] = []
        for module in model.modules():
            self._places += [(module._modules, name, child) for name, child in module._modules.items()]
            parameters = module._parameters.items()
            self._places += [(module._parameters, name, own) for name, own in parameters if id(own) in copied]
        self._weights = list(copied.values())
        for weight in self._weights:
            if weight.is_inference() or not weight.is_contiguous():
                kind = "an inference tensor" if weight.is_inference() else "not contiguous"
                raise ValueError(f"A weight of shape {tuple(weight.shape)} is {kind}: its changes cannot be followed.")
        self._samples = [_sample(weight.detach()) for weight in self._weights]
        self._marks, self._values = self._read_marks(), self._read_samples()

    def has_changed(self) -> bool:
        """Whether the model is different now."""
        return (
            any(place.get(name) is not child for place, name, child in self._places)
            or self._read_marks() != self._marks  # before the samples, whose memory may be gone
            or not torch.equal(self._read_samples(), self._values)
        )

    def _read_marks(self) -> list[tuple[int, int]]:
        return [(weight.data_ptr(), weight._version) for weight in self._weights]

    def _read_samples(self) -> torch.Tensor:
        return torch.cat(self._samples) if self._samples else torch.empty(0)


def _sample(weight: torch.Tensor) -> torch.Tensor:
    """A view of a contiguous tensor with at least one number of every row and every column."""
    flat = weight.view(-1)
    if weight.dim() != 2 or 0 in weight.shape:
        return flat
    rows, columns = weight.shape
    # Steps that share no factor with the number of columns visit all of them in turn.
    step = next(step for step in range(min(rows, columns), 0, -1) if math.gcd(step, columns) == 1)
    return flat[::step]


_KEPT: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[WeightWatch, Any]]] = WeakKeyDictionary()


def keep_packed(model: nn.Module, kind: Hashable, build: Callable[[], tuple[T, Iterable[nn.Parameter]]]) -> T:
    """What `build` made of the weights of a model, made again when they have changed.

    Args:
        model: the model. The copies live as long as it does.
        kind: distinguishes different copies of the same model.
        build: returns what is to be kept, and the parameters of which it holds copies.

    Raises:
        ValueError: as `WeightWatch`.
    """
    kept = _KEPT.setdefault(model, {})
    if kind in kept and not kept[kind][0].has_changed():
        return kept[kind][1]
    kept.pop(kind, None)  # frees the old copies before new ones are made
    made, copied = build()
    kept[kind] = WeightWatch(model, copied), made
    return made


def drop_packed_weights(model: nn.Module) -> None:
    """Frees all copies of the weights of a model, or has them made again after a change that `WeightWatch` misses."""
    _KEPT.pop(model, None)


__all__ = ["PackedLinear", "WeightWatch", "activated", "drop_packed_weights", "keep_packed"]
