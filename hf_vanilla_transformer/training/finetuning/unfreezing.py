"""Gradual unfreezing, and a record of the trainable parts during training."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback

from ...files import write_text
from .parameter_groups import layer_names, parameters_by_layer

TRAINABLE_FILE = "trainable.json"


@dataclass(frozen=True)
class Trainable:
    """The trainable parts from one update on.

    Attributes:
        step: number of updates before it, from 0.
        epoch: epochs before it.
        parts: names of the trainable parts (`head`, `layer 3`, ..., `embeddings`).
        parameters: number of trainable parameters.
        of: number of all parameters.
        learning_rates: highest learning rate of each part during the training, if the optimizer has named groups.
    """

    step: int
    epoch: float
    parts: tuple[str, ...]
    parameters: int
    of: int
    learning_rates: dict[str, float]


class GradualUnfreezing(TrainerCallback):
    """Trains the head first, then unfreezes one more layer at a time, from the top down.

    Howard and Ruder 2018, section 3.3: if all layers were trained at once, the first gradients of the random head would
    damage the backbone.

    ```python
    trainer = Trainer(model, arguments, callbacks=[GradualUnfreezing(every_epochs=1)], ...)
    ```

    The optimizer must have all parameters from the beginning, as Trainer's has: it skips frozen parameters, which have
    no gradient, weight decay included. Parameters that are frozen before the training, such as the weights under PEFT's
    adapters, stay frozen. A resumed training continues with the parts that were unfrozen at that point.

    Args:
        every_epochs: epochs between two layers; fractions are allowed.

    Raises:
        ValueError: `every_epochs` is not positive.
    """

    def __init__(self, every_epochs: float = 1.0) -> None:
        if every_epochs <= 0:
            raise ValueError(f"every_epochs must be above 0, not {every_epochs}.")
        self.every_epochs = every_epochs
        self._unfrozen = -1
        self._model: nn.Module | None = None
        self._trainable: set[int] = set()

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        """Freezes all parts that are not unfrozen yet."""
        self._unfrozen = -1
        if self._model is not model:  # in a second training of a model, requires_grad is left from the first one
            self._model = model
            self._trainable = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        self._unfreeze(model, state.epoch)

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        """Unfreezes the next layer when it is due."""
        self._unfreeze(model, state.epoch)

    def _unfreeze(self, model: nn.Module, epoch: float | None) -> None:
        # Epochs are sums of fractions: without rounding, 0.99999 would unfreeze one update too late.
        parts = unfrozen_parts(1 + int(round((epoch or 0.0) / self.every_epochs, 6)), model)
        if len(parts) == self._unfrozen:
            return
        self._unfrozen = len(parts)
        for part, parameters in parameters_by_layer(model).items():
            for parameter in parameters:
                if id(parameter) in self._trainable:
                    parameter.requires_grad_(part in parts)


def unfrozen_parts(count: int, model: nn.Module) -> list[str]:
    """The first `count` parts of a model, from the head down to the embeddings."""
    return layer_names(model)[:count]


class TrainableRecord(TrainerCallback):
    """Records the trainable parts at the beginning and after each change. Add it after `GradualUnfreezing`.

    Args:
        path: JSON file, rewritten at each change; None keeps the record in `history` only.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.history: list[Trainable] = []

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        """Records the beginning; a resumed training first reads the record from the file."""
        self.history = []
        if state.global_step and self.path is not None and self.path.is_file():
            self.history = [entry for entry in read_trainable(self.path) if entry.step < state.global_step]
        self._look(state, model, optimizer)

    def on_step_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        """Records a change of the trainable parts."""
        self._look(state, model, optimizer)

    def _look(self, state: Any, model: nn.Module, optimizer: Any) -> None:
        entry = trainable_now(model, optimizer, state.global_step, state.epoch or 0.0)
        if self.history and self.history[-1].parts == entry.parts:
            return
        self.history.append(entry)
        if self.path is not None and state.is_world_process_zero:
            write_text(self.path, json.dumps([asdict(one) for one in self.history], indent=2) + "\n")


def trainable_now(model: nn.Module, optimizer: Any = None, step: int = 0, epoch: float = 0.0) -> Trainable:
    """The parts of a model that currently require a gradient."""
    parts, count, of = [], 0, 0
    for part, parameters in parameters_by_layer(model).items():
        numbers = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        of += sum(parameter.numel() for parameter in parameters)
        count += numbers
        if numbers:
            parts.append(part)
    rates = {}
    for group in getattr(optimizer, "param_groups", None) or []:
        if group.get("name") in parts:
            rates[group["name"]] = group.get("initial_lr", group["lr"])
    return Trainable(step, round(epoch, 4), tuple(parts), count, of, rates)


def read_trainable(path: str | Path) -> list[Trainable]:
    """The entries of a trainable.json."""
    entries = json.loads(Path(path).read_text(encoding="utf-8"))
    return [Trainable(**{**entry, "parts": tuple(entry["parts"])}) for entry in entries]


def trainable_table(history: list[Trainable]) -> str:
    """The record as a text table."""
    rows = [("from update", "epoch", "trainable", "parameters")]
    for entry in history:
        share = f"{entry.parameters:,} of {entry.of:,} ({entry.parameters / max(entry.of, 1):.1%})"
        rows.append((f"{entry.step:,}", f"{entry.epoch:.2f}", _shown(entry), share))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _shown(entry: Trainable) -> str:
    """Parts with their rates; consecutive layers are shown as a range."""
    layers = sorted(int(part.removeprefix("layer ")) for part in entry.parts if part.startswith("layer "))
    shown = [_rated("head", entry)] if "head" in entry.parts else []
    if layers and layers == list(range(layers[0], layers[-1] + 1)):
        ends = [f"layer {layers[-1]}", f"layer {layers[0]}"]
        shown.append(" to ".join(_rated(end, entry) for end in dict.fromkeys(ends)))
    else:
        shown += [_rated(f"layer {number}", entry) for number in reversed(layers)]
    if "embeddings" in entry.parts:
        shown.append(_rated("embeddings", entry))
    return ", ".join(shown) or "nothing"


def _rated(part: str, entry: Trainable) -> str:
    rate = entry.learning_rates.get(part)
    return part if rate is None else f"{part} ({rate:.1e})"
