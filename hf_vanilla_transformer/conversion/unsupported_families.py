"""Error messages for unsupported families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .families import FAMILIES

__all__ = ["check_config", "unsupported_family_message"]

_RMS_NORM = "it normalises by the root mean square without mean and bias (RMSNorm)"
_ROTARY = "it rotates queries and keys by their positions instead of adding positions to the embeddings (RoPE)"
_RELATIVE = "it adds relative positions to the attention scores instead of positions to the embeddings"
_GATED = "its feed-forward network is gated (three matrices)"
_EXPERTS = "its feed-forward networks are mixtures of experts"

# `model_type` in transformers: how the family differs from the vanilla Transformer.
_REASONS: Mapping[str, str] = {
    "t5": f"{_RELATIVE}, and {_RMS_NORM}",
    "mt5": f"{_RELATIVE}, and {_RMS_NORM}",
    "umt5": f"{_RELATIVE}, and {_RMS_NORM}",
    "longt5": f"{_RELATIVE}, and attends locally",
    "switch_transformers": f"{_RELATIVE}, and {_EXPERTS}",
    "llama": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "mistral": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "mixtral": f"{_ROTARY}, {_RMS_NORM}, and {_EXPERTS}",
    "qwen2": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "qwen3": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "gemma": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "gemma2": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "gemma3": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "phi": f"{_ROTARY}, and runs attention and feed-forward side by side",
    "phi3": f"{_ROTARY}, {_RMS_NORM}, and {_GATED}",
    "falcon": f"{_ROTARY}, and runs attention and feed-forward side by side",
    "gpt_neox": f"{_ROTARY}, and runs attention and feed-forward side by side",
    "gptj": f"{_ROTARY}, and runs attention and feed-forward side by side",
    "gpt_neo": "every second layer attends locally, and attention is not scaled",
    "gpt_bigcode": "its heads share keys and values (multi-query attention)",
    "bloom": "it biases attention by distance (ALiBi) instead of adding positions to the embeddings",
    "mpt": "it biases attention by distance (ALiBi) instead of adding positions to the embeddings",
    "modernbert": f"{_ROTARY}, {_GATED}, and layers attend locally",
    "deberta": "its attention is disentangled: content and relative position have separate scores",
    "deberta-v2": "its attention is disentangled: content and relative position have separate scores",
    "albert": "all its layers share one set of weights, and its embeddings are factorised",
    "mobilebert": "its layers have bottlenecks, and it has no layer normalisation",
    "squeezebert": "its linear maps are grouped convolutions",
    "xlnet": "it is trained on permutations, with two streams of attention",
    "transfo-xl": f"{_RELATIVE}, and has memory between segments",
    "longformer": "it attends locally, with separate projections for global tokens",
    "led": "its encoder attends locally, with separate projections for global tokens",
    "big_bird": "it attends to blocks and random tokens",
    "bigbird_pegasus": "it attends to blocks and random tokens",
    "pegasus_x": "its encoder attends in blocks, with global tokens",
    "prophetnet": "it predicts several tokens at once",
    "nllb-moe": f"{_EXPERTS}; the dense NLLB models are supported (facebook/nllb-200-distilled-600M, -distilled-1.3B, "
    "-3.3B)",
    "fnet": "it mixes tokens by a Fourier transform instead of attention",
    "mamba": "it is a state-space model without attention",
    "rwkv": "it is recurrent, without attention",
    "whisper": "its first convolution does not subsample; of speech models, only Speech2Text is supported",
    "vit": "it encodes images; only text models are supported",
    "clip": "it encodes images; only text models are supported",
    "blenderbot": "it normalises its embeddings in other places than BART and mBART",
    "xlm": "it adds language embeddings to every token",
    "flaubert": "it adds language embeddings to every token",
    "ctrl": "it has control codes as a prefix and other sinusoids",
    "encoder-decoder": "it combines two published models; convert its encoder alone",
}
_OURS = ("vanilla_encoder", "vanilla_decoder", "vanilla_transformer")


def check_config(source: str, config: Mapping[str, Any]) -> None:
    """Raises ValueError if a config.json cannot be converted, before any weights are loaded.

    Args:
        source: name of the checkpoint, for the message.
        config: content of config.json.
    """
    model_type = config.get("model_type")
    if model_type in _OURS:
        raise ValueError(
            f"source={source!r} is already a model of this package (model_type={model_type!r}): load it with "
            "AutoModel….from_pretrained."
        )
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown")
        raise ValueError(
            f"The weights of source={source!r} are quantized (quant_method={method!r}), which only special "
            "kernels support. Convert the original model, and quantize the converted one."
        )
    if not model_type:
        saved = config.get("architectures") or [None]
        likely = [family.model_type for family in FAMILIES.values() for head in family.heads if head.theirs == saved[0]]
        raise ValueError(
            f"config.json of source={source!r} has no model_type, so its family is unknown. Add "
            + (
                f'"model_type": "{likely[0]}", the family of {saved[0]}.'
                if likely
                else f"one of: {', '.join(FAMILIES)}."
            )
        )
    if model_type == "bart" and (config.get("normalize_before") or config.get("add_final_layer_norm")):
        raise ValueError(
            f'config.json of source={source!r} has "model_type": "bart" with normalize_before or add_final_layer_norm, '
            'which is an mBART of an old version of transformers: change it to "model_type": "mbart".'
        )
    if model_type not in FAMILIES:
        raise ValueError(f"source={source!r}: {unsupported_family_message(model_type)}")


def unsupported_family_message(model_type: str) -> str:
    """The error message for an unsupported family: the reason if it is known, and the supported families."""
    reason = f" ({_REASONS[model_type]})" if model_type in _REASONS else ""
    return (
        f"model_type={model_type!r} is not supported{reason}. Supported families: {', '.join(FAMILIES)}. Use "
        "transformers' own class for it."
    )
