"""A saved model of this package with its tokenizer: loaded as the class that was saved, complete or not at all."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.registration import AUTO_CLASSES
from .checkpoint_tokenizer import has_tokenizer, read_tokenizer, tokens_beyond
from .config_values import saved_config
from .loading_report import no_loading_report
from .safe_loading import load_pretrained

__all__ = ["check_tokenizer", "load_saved_model", "load_saved_tokenizer"]


def load_saved_model(folder: str | Path, dtype: torch.dtype | str = "auto") -> PreTrainedModel:
    """Loads the model in `folder` as the class named in its config.json, in evaluation mode.

    Args:
        folder: output of `save_pretrained` or of a command of this package.
        dtype: type of the weights; `"auto"` keeps the saved one.

    Raises:
        FileNotFoundError: `folder` or its config.json does not exist.
        ValueError: the model is not of this package, config.json does not name its class, or the weights do not match
            the class. transformers would only warn about missing weights and initialise them randomly.
    """
    folder = Path(folder)
    path = folder / "config.json"
    config = saved_config(folder)
    model_type, architectures = config.get("model_type"), config.get("architectures") or []
    classes = next(
        (
            {model_class.__name__: model_class for model_class in auto_classes.values()}
            for config_class, auto_classes in AUTO_CLASSES.items()
            if config_class.model_type == model_type
        ),
        None,
    )
    if classes is None:
        known = ", ".join(config_class.model_type for config_class in AUTO_CLASSES)
        raise ValueError(
            f"The model in {folder} has model_type={model_type!r}, but models of this package have one of: {known}. "
            "Convert it with `hf-vanilla convert`."
        )
    name = next((name for name in architectures if name in classes), None)
    if name is None:
        raise ValueError(
            f"{path} has architectures={architectures!r}, but must name one of: {', '.join(classes)}. Load the model "
            "as one of these classes and save it again."
        )
    with no_loading_report():
        model, report = load_pretrained(
            classes[name], folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    wrong = {key: sorted(report[key]) for key in ("missing_keys", "mismatched_keys", "unexpected_keys") if report[key]}
    if wrong:
        listed = "; ".join(f"{key.replace('_', ' ')}: {', '.join(map(str, names[:5]))}" for key, names in wrong.items())
        raise ValueError(f"The weights in {folder} do not match {name} with this config.json ({listed}).")
    return model.eval()


def load_saved_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase | None:
    """Loads the tokenizer in `folder`; None if the folder has no tokenizer.

    Raises:
        ValueError: a file of the tokenizer is damaged or missing, or a package is missing.
    """
    return read_tokenizer(folder) if has_tokenizer(folder) else None


def check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
    """Raises ValueError if `tokenizer` can give ids for which `model` has no embeddings.

    Only masked language models need an embedding of the mask token.
    """
    if tokenizer is None:
        return
    masks = type(model).__name__.endswith(("ForMaskedLM", "ForPreTraining"))
    beyond = tokens_beyond(tokenizer, model.config.vocab_size, mask=masks)
    if beyond:
        raise ValueError(
            f"The tokenizer has {len(tokenizer)} entries, such as {beyond[-1]!r}, but the model has vocab_size="
            f"{model.config.vocab_size}: use the model's own tokenizer, or call "
            "model.resize_token_embeddings(len(tokenizer))."
        )
