"""Optimizers: Adam as in the paper, or Muon for the matrices of the layers and Adam for all other parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ..models.kernels_linear_vanilla import batched_product
from .recipes.text_sections import TrainingRecipe
from .sharding import is_sharded, like, loads_whole_state, whole_tensor


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups, as in GPT-2: parameters of two or more dimensions decay, biases and norms do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
    vectors = [parameter for parameter in parameters if parameter.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The weight matrices of the linear layers inside `layers`, which Muon is made for (Jordan et al. 2024)."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.dim() == 2 and ".layers." in f".{name}"
    ]


def fuses(parameters: Iterable[torch.Tensor]) -> bool:
    """Whether one kernel can update all parameters, which on CPU is several times as fast as a loop.

    In tensor parallelism some parameters are divided among processes and others are not; no kernel takes both.
    """
    return len({is_sharded([parameter]) for parameter in parameters}) == 1


def build_optimizer(model: nn.Module, recipe: TrainingRecipe, peak: float, base: float) -> torch.optim.Optimizer:
    """The optimizer of a recipe, with the base learning rates that its schedule multiplies.

    Args:
        model: its trainable parameters are optimised.
        recipe: section `training`, which decides the optimizer and its constants.
        peak: the highest learning rate of the schedule.
        base: the learning rate that the schedule multiplies; ``peak``, or 1 for the formula of the paper.

    Raises:
        ValueError: `optim` is ``muon``, but the model has no matrices in `layers`.
    """
    adam = {
        "lr": base,
        "betas": (recipe.adam_beta1, recipe.adam_beta2),
        "eps": recipe.adam_epsilon,
        "fused": fuses(model.parameters()),
        "foreach": False,
    }
    if recipe.optim == "adam":
        return loads_whole_state(torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), **adam))
    matrices = hidden_matrices(model)
    if not matrices:
        raise ValueError("training.optim='muon' needs weight matrices in `layers`, but the model has none; use 'adam'.")
    chosen = {id(parameter) for parameter in matrices}
    groups = []
    for group in parameter_groups(model, recipe.weight_decay):
        rest = [parameter for parameter in group["params"] if id(parameter) not in chosen]
        if rest:
            groups.append({**group, "params": rest})
    muon = Muon(
        matrices,
        # The schedule multiplies both rates, so Muon's rate peaks at the same update as Adam's.
        lr=recipe.muon_learning_rate * base / peak,
        momentum=recipe.muon_momentum,
        weight_decay=recipe.weight_decay,
    )
    return CombinedOptimizer([loads_whole_state(muon), loads_whole_state(torch.optim.AdamW(groups, **adam))])


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum: all singular values of an update are about one (Jordan et al. 2024).

    torch's Muon works in bfloat16, matrix by matrix. On a CPU without bfloat16 it takes four times as long as the rest
    of a step of a small model. Here, matrices of one shape are orthogonalised together, in their own precision.

    Args:
        matrices: parameters of two dimensions.
        lr: step size; the update of an n × m matrix is scaled by sqrt(max(1, n/m)).
        momentum: Nesterov momentum.
        weight_decay: decoupled, as in AdamW.
    """

    # Odd polynomials ax + bx³ + cx⁵, applied in turn to the singular values. Each maps the range that the one before
    # leaves as close to one as possible (Amsel et al. 2025, "The Polar Express", algorithm 1), starting at 1 % of the
    # Frobenius norm. After three, the values are within 27 % of one; with the same polynomial in each step, Jordan et
    # al. 2024 need five.
    coefficients = (
        (8.0934, -23.6204, 17.4462),
        (3.6366, -2.7219, 0.5365),
        (2.6613, -1.9772, 0.4526),
    )

    def __init__(self, matrices: list[nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Makes one update; `closure` is evaluated before it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[torch.Size, torch.dtype, torch.device], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault((parameter.shape, parameter.dtype, parameter.device), []).append(parameter)
            for (shape, _, _), parameters in by_shape.items():
                # Only whole matrices can be orthogonalised: each process gathers the directions of divided ones.
                directions = [whole_tensor(self._direction(one, group["momentum"])) for one in parameters]
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                updates = self.orthogonalise(torch.stack(directions)).unbind()
                own = [like(update, parameter) for update, parameter in zip(updates, parameters)]
                if is_sharded(parameters):
                    own = [update.to_local() for update in own]
                    parameters = [parameter.to_local() for parameter in parameters]
                torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, own, alpha=-scale)
        return loss

    def _direction(self, parameter: nn.Parameter, momentum: float) -> torch.Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"].lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(buffer, momentum)

    @classmethod
    def orthogonalise(cls, matrices: torch.Tensor) -> torch.Tensor:
        """Approximates the nearest orthogonal matrices by matrix products; (count, n, m) to the same shape."""
        tall = matrices.shape[1] > matrices.shape[2]
        x = matrices.mT if tall else matrices
        x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
        for a, b, c in cls.coefficients:
            gram = batched_product(x, x.mT)
            if gram is None:
                gram = x @ x.mT
            x = _add_product(x, _add_product(gram, gram, gram, b, c), x, a)
        return x.mT if tall else x


def _add_product(
    added: torch.Tensor, left: torch.Tensor, right: torch.Tensor, beta: float, alpha: float = 1.0
) -> torch.Tensor:
    """`beta · added + alpha · left @ right` for batches of matrices, by the faster library."""
    product = batched_product(left, right)
    if product is None:
        return torch.baddbmm(added, left, right, beta=beta, alpha=alpha)
    return product.mul_(alpha).add_(added, alpha=beta)


class CombinedOptimizer(torch.optim.Optimizer):
    """Combines optimizers of disjoint parameters into one, with one `step`, one list of groups and one state.

    Args:
        optimizers: at least one. Their groups are shared, not copied, so that a schedule changes all of them.
    """

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        if not optimizers:
            raise ValueError("optimizers=[] is empty: give at least one optimizer.")
        self.optimizers = optimizers
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], {})
        # The base class keeps its own list; the groups must be the same dictionaries as those of the parts.
        self.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]

    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Makes one step of each part; `closure` is evaluated once, before them."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of every part."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of the parts, in order."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the result of `state_dict`. Raises ValueError for another number of parts."""
        parts = state_dict.get("optimizers")
        if parts is None or len(parts) != len(self.optimizers):
            saved = "another kind of optimizer" if parts is None else f"{len(parts)} optimizers"
            raise ValueError(
                f"The saved state belongs to {saved}, this run combines {len(self.optimizers)}: resume with the "
                "training.optim of the checkpoint."
            )
        for optimizer, part in zip(self.optimizers, parts):
            optimizer.load_state_dict(part)
        self.param_groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
