"""Averages of weights: of checkpoints on disk (section 6.1 of the paper), and of the running model in memory."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from ..files import folder_aside


def checkpoints(folder: str | Path) -> list[Path]:
    """The finished checkpoints in `folder`, or in its ``checkpoints``, oldest first."""
    folder = Path(folder)
    for place in (folder / "checkpoints", folder):
        found = [path for path in place.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
        if found:
            return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))
    return []


def average_checkpoints(folder: str | Path, last: int = 5) -> dict[str, torch.Tensor]:
    """The mean of the weights of the last checkpoints of a run.

    Args:
        folder: the output folder of a run (or the folder that holds its checkpoints).
        last: how many; the paper averages 5 for the base model and 20 for the big one.

    Returns:
        The averaged weights by name, in the precision they were saved in; computed in float64.

    Raises:
        FileNotFoundError: there are fewer checkpoints.
        ValueError: their weights differ in name or shape.
    """
    return average_files(last_checkpoints(folder, last))


def last_checkpoints(folder: str | Path, last: int) -> list[Path]:
    """The last so many checkpoints of a run, oldest first. Raises as `average_checkpoints` does."""
    if last < 1:
        raise ValueError(f"last must be at least 1, not {last}.")
    found = checkpoints(folder)
    if len(found) < last:
        raise FileNotFoundError(
            f"{folder} has {len(found)} checkpoints, so the last {last} cannot be averaged: ask for fewer, or "
            f"train with a smaller checkpoint.save_steps and checkpoint.save_total_limit of at least {last}."
        )
    return found[-last:]


def average_files(paths: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of the weights of the given model folders; see `average_checkpoints`."""
    total: dict[str, torch.Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for path in paths:
        weights = load_weights(path)
        if total and weights.keys() != total.keys():
            differing = sorted(weights.keys() ^ total.keys())
            raise ValueError(f"{path} and {paths[0]} are not of the same model; they differ in {differing[:5]}.")
        for name, tensor in weights.items():
            if name not in total:
                total[name], kinds[name] = torch.zeros(tensor.shape, dtype=torch.float64), tensor.dtype
            elif tensor.shape != total[name].shape:
                raise ValueError(
                    f"{name} is {tuple(tensor.shape)} in {path}, but {tuple(total[name].shape)} in {paths[0]}."
                )
            total[name] += tensor
    return {name: (tensor / len(paths)).to(kinds[name]) for name, tensor in total.items()}


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a model folder, in one safetensors file or several."""
    folder = Path(folder)
    if (folder / SAFE_WEIGHTS_INDEX_NAME).is_file():
        files = sorted(folder.glob("model-*.safetensors"))
    else:
        files = [folder / SAFE_WEIGHTS_NAME]
    if not files or not all(path.is_file() for path in files):
        raise FileNotFoundError(f"{folder} holds no model: there is no {SAFE_WEIGHTS_NAME} in it.")
    return {name: tensor for path in files for name, tensor in load_file(path).items()}


def save_average(paths: list[Path], output: Path) -> None:
    """Writes a model folder with the mean of the weights of `paths` and every other file of the last of them."""
    weights = average_files(paths)
    with folder_aside(output) as aside:
        for file in sorted(Path(paths[-1]).iterdir()):
            if file.is_file() and file.suffix != ".safetensors" and file.name not in _TRAINING_FILES:
                shutil.copyfile(file, aside / file.name)
        save_file(weights, aside / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})


# What a checkpoint holds in order to go on training; a model that is used does not need it.
_TRAINING_FILES = {
    SAFE_WEIGHTS_INDEX_NAME,
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "scaler.pt",
    "trainer_state.json",
    "training_args.bin",
    "run_state.pt",
}


class WeightAverage:
    """A running average of a model's weights, kept in memory so that a small model needs no checkpoints for it.

    Args:
        model: the model whose parameters are averaged.
        kind: ``last``, the mean of the last snapshots, or ``ema``, an exponential moving average (with the bias of the
            first steps corrected as in Adam).
        last: snapshots in the mean.
        decay: of the moving average, per snapshot.
    """

    def __init__(self, model: nn.Module, kind: str, *, last: int = 5, decay: float = 0.999) -> None:
        if kind not in ("last", "ema"):
            raise ValueError(f"kind must be 'last' or 'ema', not {kind!r}.")
        self.kind = kind
        self.decay = decay
        self.parameters = dict(model.named_parameters())
        self.snapshots: deque[dict[str, torch.Tensor]] = deque(maxlen=last)
        self.moving: dict[str, torch.Tensor] = {}
        self.count = 0

    @torch.no_grad()
    def update(self) -> None:
        """Takes the weights as they are now into the average."""
        self.count += 1
        if self.kind == "last":
            # The oldest snapshot's memory is used again: big tensors are dear to allocate.
            snapshot = self.snapshots.popleft() if len(self.snapshots) == self.snapshots.maxlen else {}
            for name, parameter in self.parameters.items():
                if name in snapshot:
                    snapshot[name].copy_(parameter)
                else:
                    snapshot[name] = parameter.detach().clone()
            self.snapshots.append(snapshot)
            return
        if not self.moving:
            self.moving = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}
        torch._foreach_lerp_(list(self.moving.values()), list(self.parameters.values()), 1 - self.decay)

    @torch.no_grad()
    def weights(self) -> dict[str, torch.Tensor]:
        """The average by parameter name. Raises ValueError before the first `update`."""
        if self.count == 0:
            raise ValueError("There is no average yet: no snapshot was taken.")
        if self.kind == "ema":
            return {name: tensor / (1 - self.decay**self.count) for name, tensor in self.moving.items()}
        return {
            name: torch.stack([snapshot[name].double() for snapshot in self.snapshots]).mean(0).to(parameter.dtype)
            for name, parameter in self.parameters.items()
        }

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again afterwards."""
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._copy(self.weights())
        try:
            yield
        finally:
            self._copy(own)

    def copy_to_model(self) -> None:
        """Gives the model the averaged weights for good."""
        self._copy(self.weights())

    @torch.no_grad()
    def _copy(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(weights[name])

    def state_dict(self) -> dict:
        """Everything needed to go on."""
        return {"count": self.count, "moving": self.moving, "snapshots": list(self.snapshots)}

    def load_state_dict(self, state: dict) -> None:
        """Loads what `state_dict` gave."""
        self.count = state["count"]
        self.moving = state["moving"]
        self.snapshots = deque(state["snapshots"], maxlen=self.snapshots.maxlen)
