"""Discriminative learning rates: each layer has its own, smaller the further it is from the head.

Howard and Ruder 2018, section 3.2: the rate of a layer is that of the layer above divided by 2.6. What a backbone has
learned of language lies deep down and shall move little, the new head starts from nothing and shall move fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

# The number of a layer in the names of our models and of those of transformers.
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|block|blocks)\.(\d+)\.")
# What stands below the first layer, by the ends of its names; the rest of what is no layer is the head.
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:embed_\w+|embeddings?|embed|wte|wpe|shared)(?:\.|$)")
# What closes a pre-norm stack belongs to its last layer.
_CLOSING_NORM = re.compile(
    r"(?:^|\.)(?:model|encoder|decoder|backward_model|transformer)\.(?:norm|ln_f|final_layer_norm)\."
)
_LORA = re.compile(r"\.(?:base_layer|lora_[AB]\.\w+)\.")


def layer_names(model: nn.Module) -> list[str]:
    """The parts of a model from the head down: ``head``, ``layer 11`` ... ``layer 0``, ``embeddings``."""
    top = _number_of_layers(model)
    return ["head", *(f"layer {number}" for number in reversed(range(top))), "embeddings"]


def layer_of(name: str, layers: int) -> str:
    """The part that a parameter belongs to.

    Args:
        name: as `named_parameters` gives it. PEFT's names will do.
        layers: how many layers the model has; in an encoder-decoder, the deeper of its stacks.

    The stacks of an encoder-decoder lie side by side: the encoder's layer 3 is as far from the head as the decoder's.
    Of two stacks that differ in depth, the first layers lie side by side. A matrix that embeddings and head share is
    counted with the embeddings.
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
    """Counts parameters as head although they lie inside of a layer, because they are new.

    Such as the cross-attention of a decoder that had no encoder before: it starts from nothing, as a head does.
    """
    for parameter in parameters:
        parameter.counts_as_head = True


def part_of(name: str, parameter: nn.Parameter, layers: int) -> str:
    """The part that a parameter belongs to, by its name or by `count_as_head`."""
    return "head" if getattr(parameter, "counts_as_head", False) else layer_of(name, layers)


def default_learning_rate(model: nn.Module) -> float:
    """Adam's rate for a pretrained backbone where none is given: 5e-4 at a width of 128, less in proportion for wider
    ones.

    The first was chosen on validation rows (`benchmarks/transfer`); that the best rate falls as the width grows is from
    Yang et al. 2022, Tensor Programs V, table 3. A backbone as wide as BERT base gets 8.3e-5.
    """
    return 5e-4 * 128 / model.config.hidden_size


def discriminative_groups(
    model: nn.Module,
    learning_rate: float | None,
    layerwise_lr_decay: float = 2.6,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Groups of parameters for an optimizer, each with its own learning rate; the head's come first.

    ```python
    groups = discriminative_groups(model, learning_rate=5e-4, layerwise_lr_decay=2.6, weight_decay=0.01)
    trainer = Trainer(model, arguments, optimizers=(torch.optim.AdamW(groups), None), ...)
    ```

    A schedule multiplies all of them alike.

    Args:
        model: any head of this package, and most of transformers; with PEFT's adapters or without.
        learning_rate: of the head; None for `default_learning_rate`.
        layerwise_lr_decay: each layer's rate is that of the layer above divided by this; 1 gives all the same.
        weight_decay: of matrices; biases and norms have none.

    Returns:
        At most two groups a layer, with ``params``, ``lr``, ``weight_decay`` and ``name``. Parameters that need no
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
        raise ValueError("No parameter of the model needs a gradient: there is nothing to train.")
    return groups


def parameters_by_layer(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """All parameters, trainable or not, by the part they belong to, from the head down."""
    names = layer_names(model)
    parts: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for name, parameter in model.named_parameters():
        parts[part_of(name, parameter, len(names) - 2)].append(parameter)
    return parts


def freeze_backbone(model: nn.Module) -> None:
    """Leaves only the head trainable: a probe of what the backbone knows without being changed."""
    for part, parameters in parameters_by_layer(model).items():
        for parameter in parameters:
            parameter.requires_grad_(part == "head")


def _number_of_layers(model: nn.Module) -> int:
    numbers = [int(found[1]) for name, _ in model.named_parameters() if (found := _LAYER.search(_LORA.sub(".", name)))]
    if not numbers:
        raise ValueError(
            f"{type(model).__name__} has no layers that could be told apart by name (layers.0., h.0., ...); use one "
            "rate for all."
        )
    return max(numbers) + 1
