"""Discriminative learning rates: each layer has its own rate, which decreases with the distance from the head.

Howard and Ruder 2018, section 3.2: the rate of a layer is that of the layer above divided by 2.6. Lower layers hold
general knowledge of the language and should change little; the new head has random weights and should change fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

# The number of a layer in the names of our models and of those of transformers.
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|block|blocks)\.(\d+)\.")
# Modules below the first layer, by the ends of their names; all other modules outside the layers are the head.
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:embed_\w+|embeddings?|embed|wte|wpe|shared)(?:\.|$)")
# The final norm of a pre-norm stack belongs to its last layer.
_CLOSING_NORM = re.compile(
    r"(?:^|\.)(?:model|encoder|decoder|backward_model|transformer)\.(?:norm|ln_f|final_layer_norm)\."
)
_LORA = re.compile(r"\.(?:base_layer|lora_[AB]\.\w+)\.")


def layer_names(model: nn.Module) -> list[str]:
    """Names of the parts of a model, from the head down: ``head``, ``layer 11`` ... ``layer 0``, ``embeddings``."""
    top = _number_of_layers(model)
    return ["head", *(f"layer {number}" for number in reversed(range(top))), "embeddings"]


def layer_of(name: str, layers: int) -> str:
    """The part that a parameter belongs to.

    Args:
        name: of the parameter in `named_parameters`, with or without PEFT.
        layers: number of layers of the model; in an encoder-decoder, of its deeper stack.

    Layers of an encoder-decoder with the same number form one part, also if the stacks differ in depth. A matrix that
    embeddings and head share belongs to the embeddings.
    """
    plain = _LORA.sub(".", name)
    if found := _LAYER.search(plain):
        return f"layer {int(found[1])}"
    if _EMBEDDINGS.search(plain):
        return "embeddings"
    if _CLOSING_NORM.search(plain):
        return f"layer {layers - 1}"
    return "head"


def count_as_head(parameters: Iterable[nn.Parameter]) -> None:
    """Assigns new parameters inside layers to the head.

    An example is the cross-attention of a decoder that had no encoder before: it has random weights, like a head.
    """
    for parameter in parameters:
        parameter.counts_as_head = True


def part_of(name: str, parameter: nn.Parameter, layers: int) -> str:
    """The part that a parameter belongs to, by its name or from `count_as_head`."""
    return "head" if getattr(parameter, "counts_as_head", False) else layer_of(name, layers)


def default_learning_rate(model: nn.Module) -> float:
    """Adam's default learning rate for a pretrained backbone: 5e-4 at a hidden size of 128, inversely proportional.

    The value was chosen on validation rows (`benchmarks/transfer`). The best rate decreases with the width by Yang et
    al. 2022, Tensor Programs V, table 3. A backbone of the width of BERT base gets 8.3e-5.
    """
    return 5e-4 * 128 / model.config.hidden_size


def discriminative_groups(
    model: nn.Module,
    learning_rate: float | None,
    layerwise_lr_decay: float = 2.6,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer, each with its own learning rate; the head comes first.

    ```python
    groups = discriminative_groups(model, learning_rate=5e-4, layerwise_lr_decay=2.6, weight_decay=0.01)
    trainer = Trainer(model, arguments, optimizers=(torch.optim.AdamW(groups), None), ...)
    ```

    A schedule multiplies all rates by the same factor.

    Args:
        model: of this package, or most transformers models; with or without PEFT adapters.
        learning_rate: of the head; None for `default_learning_rate`.
        layerwise_lr_decay: the rate of a layer is that of the layer above divided by this; with 1, all are equal.
        weight_decay: of matrices; biases and norms do not decay.

    Returns:
        At most two groups per part, with ``params``, ``lr``, ``weight_decay`` and ``name``. Parameters that need no
        gradient are left out, so call it before `GradualUnfreezing` freezes anything.

    Raises:
        ValueError: a rate or decay that is not positive, or no trainable parameter.
    """
    if learning_rate is None:
        learning_rate = default_learning_rate(model)
    if learning_rate <= 0:
        raise ValueError(f"learning_rate must be above 0, not {learning_rate}.")
    if layerwise_lr_decay <= 0:
        raise ValueError(
            f"layerwise_lr_decay must be above 0, not {layerwise_lr_decay}; 2.6 is the paper's, 1 gives all layers the "
            "same rate."
        )
    names = layer_names(model)
    layers = len(names) - 2
    parts: dict[str, tuple[list[nn.Parameter], list[nn.Parameter]]] = {name: ([], []) for name in names}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts[part_of(name, parameter, layers)][0 if parameter.dim() >= 2 else 1].append(parameter)
    groups = []
    for depth, name in enumerate(names):
        for parameters, decay in zip(parts[name], (weight_decay, 0.0)):
            if parameters:
                rate = learning_rate / layerwise_lr_decay**depth
                groups.append({"params": parameters, "lr": rate, "weight_decay": decay, "name": name})
    if not groups:
        raise ValueError(
            "No parameter of the model requires a gradient: there is nothing to train. Unfreeze some parameters."
        )
    return groups


def parameters_by_layer(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """All parameters, trainable or not, by part, from the head down."""
    names = layer_names(model)
    parts: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for name, parameter in model.named_parameters():
        parts[part_of(name, parameter, len(names) - 2)].append(parameter)
    return parts


def freeze_backbone(model: nn.Module) -> None:
    """Freezes all parameters except those of the head, to probe the backbone."""
    for part, parameters in parameters_by_layer(model).items():
        for parameter in parameters:
            parameter.requires_grad_(part == "head")


def _number_of_layers(model: nn.Module) -> int:
    numbers = [int(found[1]) for name, _ in model.named_parameters() if (found := _LAYER.search(_LORA.sub(".", name)))]
    if not numbers:
        raise ValueError(
            f"{type(model).__name__} has no layers with known names (layers.0., h.0., ...); use one learning rate for "
            "all parameters."
        )
    return max(numbers) + 1
