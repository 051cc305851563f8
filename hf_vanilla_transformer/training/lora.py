"""Target modules for low-rank adapters (Hu et al. 2021), for PEFT's `LoraConfig(target_modules=...)`.

The names are the same in all three models. In a decoder they include cross-attention.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["TargetModulesPreset", "lora_targets"]

TargetModulesPreset = Literal["attention", "all-attention", "layers"]

_QUERY_AND_VALUE = ("q_proj", "v_proj")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_LAYER = (*_ATTENTION, "fc1", "fc2")
_NAMES = {"attention": _QUERY_AND_VALUE, "all-attention": _ATTENTION, "layers": _LAYER}


def lora_targets(preset: TargetModulesPreset = "attention") -> list[str]:
    """Names of the linear layers that get adapters.

    ```python
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(model, LoraConfig(r=8, target_modules=lora_targets()))
    ```

    PEFT's own `target_modules="all-linear"` works, too. It adds modules outside the layers, such as BERT's pooler.

    Args:
        preset: `attention` adapts queries and values, as the paper does (section 4.2); `all-attention` adds keys and
            outputs; `layers` adds the feed-forward network, which QLoRA (Dettmers et al. 2023) found to matter.

    Raises:
        ValueError: `preset` does not exist.
    """
    if preset not in _NAMES:
        raise ValueError(f"preset={preset!r} does not exist; choose from {', '.join(get_args(TargetModulesPreset))}.")
    return list(_NAMES[preset])
