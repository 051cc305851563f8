"""A model and its tokenizer from a folder or the Hub, for a use of it, and what is wrong if it has no such use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Which command is for which Auto class.
COMMANDS = {
    "AutoModelForSeq2SeqLM": "hf-vanilla translate",
    "AutoModelForCausalLM": "hf-vanilla generate",
    "AutoModelForMaskedLM": "hf-vanilla fill",
    "AutoModelForSequenceClassification": "hf-vanilla classify",
    "AutoModelForTokenClassification": "hf-vanilla classify",
}


def load_model(
    source: str, *auto_classes: str, use: str, device: str | None = None, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model for a use, in evaluation mode on its device, and its tokenizer.

    Args:
        source: folder of a model, or its name on the Hub; of this package or of transformers.
        *auto_classes: the Auto classes of transformers that will do. Of those that know the model, the one whose head
            it was saved with is taken, else the first.
        use: what it is for, for messages, such as ``hf-vanilla fill``.
        device: where it goes; the accelerator of this machine if there is one, else the CPU, if None.
        trust_remote_code: run code that comes with the model. Models of this package need none.

    Raises:
        ValueError: the model is of another kind, or without weights for this use.
        OSError: there is no such model.
    """
    import transformers
    from transformers.utils import logging as transformers_logging

    from ..device import default_device

    transformers_logging.disable_progress_bar()
    options = {"trust_remote_code": True} if trust_remote_code else {}
    config = transformers.AutoConfig.from_pretrained(source, **options)
    known = [name for name in auto_classes if _serves(getattr(transformers, name), config)]
    if not known:
        others = dict.fromkeys(
            command for name, command in COMMANDS.items() if _serves(getattr(transformers, name), config)
        )
        raise ValueError(
            f"{source} has a {type(config).__name__}, of which {use} can make nothing"
            + (f"; it is for {' or '.join(others)}." if others else ".")
        )
    saved = (getattr(config, "architectures", None) or ["unknown"])[0]
    fitting = [name for name in known if saved.endswith(name.removeprefix("AutoModel"))]
    auto_class = getattr(transformers, (fitting or known)[0])
    model, found = auto_class.from_pretrained(source, config=config, output_loading_info=True, **options)
    if missing := sorted(found["missing_keys"]):
        raise ValueError(
            f"{source} was saved as {saved}, without weights for {', '.join(missing[:3])}"
            f"{' ...' if len(missing) > 3 else ''}, which {use} needs: train them first."
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
    return model.to(device or default_device()).eval(), tokenizer


def _serves(auto_class: Any, config: Any) -> bool:
    """Whether an Auto class has a model for this configuration: in transformers, registered, or in the folder."""
    return type(config) in auto_class._model_mapping or auto_class.__name__ in (getattr(config, "auto_map", None) or {})
