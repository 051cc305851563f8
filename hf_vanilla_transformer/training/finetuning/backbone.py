"""Which weights of a backbone are trained: all, none, or low-rank adapters."""

from __future__ import annotations

from importlib.util import find_spec

from torch import nn

from ..lora import lora_targets
from ..recipes.finetuning_recipe import BackboneRecipe
from .parameter_groups import freeze_backbone, layer_of, parameters_by_layer


def prepare_backbone(model: nn.Module, backbone: BackboneRecipe) -> nn.Module:
    """Freezes the backbone or adds adapters to it, by the recipe.

    Returns:
        The model to train: the same one, or a PEFT model around it.

    Raises:
        ImportError: PEFT is not installed.
        ValueError: a frozen backbone leaves no trainable parameter.
    """
    if backbone.train == "full":
        return model
    if backbone.train == "frozen":
        freeze_backbone(model)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(
                f"backbone.train='frozen' leaves no trainable parameter, because {type(model).__name__} has no new "
                "head; use 'full' or 'lora'."
            )
        return model
    if find_spec("peft") is None:
        raise ImportError("backbone.train='lora' needs PEFT: pip install 'hf_vanilla_transformer[peft]'.")
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        model,
        LoraConfig(
            r=backbone.lora_rank,
            lora_alpha=backbone.lora_alpha,
            lora_dropout=backbone.lora_dropout,
            target_modules=lora_targets(backbone.lora_target_modules),
            modules_to_save=new_modules(model) or None,
        ),
    )


def finished_model(model: nn.Module) -> nn.Module:
    """The model to save: adapters are merged into the weights, so it loads without PEFT."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def new_modules(model: nn.Module) -> list[str]:
    """The new modules of the head, which are trained entirely. A pretrained LM head is not new."""
    layers = len(parameters_by_layer(model)) - 2
    names = {}
    for name, _ in model.named_parameters():
        if layer_of(name, layers) == "head" and not name.startswith("lm_head"):
            parts = name.split(".")
            names[parts[1] if parts[0] in ("model", "backward_model") and len(parts) > 2 else parts[0]] = None
    return list(names)
