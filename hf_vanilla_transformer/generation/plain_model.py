"""Whether a model computes what its configuration says and nothing else, so that its layers may be computed flat."""

from __future__ import annotations

from transformers import PreTrainedModel

from ..inference.plain_modules import reason_against_modules, reason_against_stack
from ..models.modeling_vanilla_decoder import VanillaDecoderForCausalLM, VanillaDecoderModel
from ..models.modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, VanillaTransformerModel
from .flat_decoder import decoder_of, decoding_modules

_MODELS = (VanillaTransformerForConditionalGeneration, VanillaDecoderForCausalLM)
_STACKS = (VanillaDecoderModel, VanillaTransformerModel)
# What the loop of transformers calls for a step; a subclass that changes one of them is left to it.
_METHODS = ("__call__", "forward", "logits", "transformed", "prepare_inputs_for_generation", "_prefill")
_METHODS += ("_update_model_kwargs_for_generation", "get_decoder", "loss_and_logits")


def reason_against(model: PreTrainedModel) -> str | None:
    """Why the decoder of a model cannot be computed flat, or None if it can; see also `plain_modules.py`."""
    base = next((kind for kind in _MODELS if isinstance(model, kind)), None)
    if base is None:
        return f"{type(model).__name__} is not a model of this package"
    for name in _METHODS:
        if getattr(type(model), name, None) is not getattr(base, name, None):
            return f"{type(model).__name__} has its own {name}"
    stack = decoder_of(model)
    reason = reason_against_stack(stack)
    if reason is not None:
        return reason
    return reason_against_modules(decoding_modules(model), _STACKS, (model,), stack.embed_tokens.weight.dtype)
