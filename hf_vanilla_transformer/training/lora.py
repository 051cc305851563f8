"""Which maps of our models low-rank adapters go to (Hu et al. 2021), for PEFT's `LoraConfig(target_modules=...)`.

The names are the same in all three stacks, and in a decoder they cover cross-attention too.
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
    """Names of the maps that get adapters.

    ```python
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(model, LoraConfig(r=8, target_modules=lora_targets()))
    ```

    PEFT's own `target_modules="all-linear"` works too. It adds what lies outside of the layers, such as BERT's pooler.

    Args:
        preset: `attention` is the choice of the paper (section 4.2), queries and values; `all-attention` adds keys and
            outputs; `layers` adds the feed-forward network (QLoRA, Dettmers et al. 2023, found that it matters).

    Raises:
        ValueError: `preset` is none of these.
    """
    if preset not in _NAMES:
        raise ValueError(f"preset={preset!r} does not exist; choose from {', '.join(get_args(TargetModulesPreset))}.")
    return list(_NAMES[preset])
