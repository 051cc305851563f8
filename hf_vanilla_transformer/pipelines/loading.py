"""Load a model for a task; explain if the checkpoint does not support it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# The command for models of each Auto class.
COMMANDS = {
    "AutoModelForSeq2SeqLM": "hf-vanilla translate",
    "AutoModelForCausalLM": "hf-vanilla generate",
    "AutoModelForMaskedLM": "hf-vanilla fill",
    "AutoModelForSequenceClassification": "hf-vanilla classify",
    "AutoModelForTokenClassification": "hf-vanilla classify",
}


def load_model(
    source: str, *auto_classes: str, purpose: str, device: str | None = None, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a model in evaluation mode, and its tokenizer.

    Args:
        source: a model of this package or of transformers: its folder, or its name on the Hub.
        *auto_classes: names of the Auto classes of transformers to choose from. If several support the model, the one
            with the head that the checkpoint was saved with is used, else the first.
        purpose: name of the task for error messages, such as ``hf-vanilla fill``.
        device: device of the model; `default_device()` if None.
        trust_remote_code: allow the model's own Python code to run; models of this package do not need it.

    Raises:
        ValueError: none of `auto_classes` supports the model, or the checkpoint has no weights for its head.
        OSError: there is no such model.
    """
    import transformers
    from transformers.utils import logging as transformers_logging

    from ..device import default_device

    transformers_logging.disable_progress_bar()
    options = {"trust_remote_code": True} if trust_remote_code else {}
    config = transformers.AutoConfig.from_pretrained(source, **options)
    supported = [name for name in auto_classes if _supports(getattr(transformers, name), config)]
    if not supported:
        others = dict.fromkeys(
            command for name, command in COMMANDS.items() if _supports(getattr(transformers, name), config)
        )
        raise ValueError(
            f"{purpose} does not support the {type(config).__name__} of {source}"
            + (f"; use {' or '.join(others)}." if others else ".")
        )
    saved = (getattr(config, "architectures", None) or ["unknown"])[0]
    matching = [name for name in supported if saved.endswith(name.removeprefix("AutoModel"))]
    auto_class = getattr(transformers, (matching or supported)[0])
    model, loading_info = auto_class.from_pretrained(source, config=config, output_loading_info=True, **options)
    if missing := sorted(loading_info["missing_keys"]):
        raise ValueError(
            f"{purpose} needs weights for {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}. {source} does "
            f"not have them, because it was saved as {saved}: fine-tune it first, or use another checkpoint."
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
    return model.to(device or default_device()).eval(), tokenizer


def _supports(auto_class: Any, config: Any) -> bool:
    """Whether an Auto class has a model for this configuration: built in, registered, or in its `auto_map`."""
    return type(config) in auto_class._model_mapping or auto_class.__name__ in (getattr(config, "auto_map", None) or {})
