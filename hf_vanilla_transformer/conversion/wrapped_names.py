"""Prefixes that wrappers of a model add to the names of its tensors when the wrapper is saved instead of the model."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["key_mapping"]

# torch's DataParallel and DistributedDataParallel; torch.compile; DeepSpeed and Lightning's strategies.
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|_forward_module)\.)+")
# A LightningModule usually has the model as its attribute `model`, which is also the base model of BART and others.
_ATTRIBUTE = "model."


def key_mapping(names: Collection[str], base_prefix: str) -> dict[str, str]:
    """Renamings that remove the prefix of a wrapper, for transformers' argument `key_mapping`; empty without a wrapper.

    Args:
        names: the names of all tensors of a checkpoint.
        base_prefix: prefix of the base model in models with a head, such as `bert.`.
    """
    prefixes = {match[0] if (match := _WRAPPERS.match(name)) else "" for name in names}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    inner = [name.removeprefix(prefix) for name in names]
    if inner and all(name.startswith(_ATTRIBUTE) for name in inner):
        below = [name.removeprefix(_ATTRIBUTE) for name in inner]
        if base_prefix != _ATTRIBUTE or any(name.startswith((_ATTRIBUTE, "lm_head.")) for name in below):
            prefix += _ATTRIBUTE
    return {f"^{re.escape(prefix)}": ""} if prefix else {}
