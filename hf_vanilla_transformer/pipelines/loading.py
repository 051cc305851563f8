"""Load a model for a task; explain if the checkpoint does not support it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model_source import COMMANDS, check_task, find_model, unsupported

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..inference.low_precision import Precision


def load_model(
    source: str,
    *auto_classes: str,
    purpose: str,
    device: str | None = None,
    precision: Precision = "float32",
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a model in evaluation mode, and its tokenizer.

    Args:
        source: a model of this package or of transformers: its folder, that of the run that trained it, or its name on
            the Hub.
        *auto_classes: names of the Auto classes of transformers to choose from. If several support the model, the one
            with the head that the checkpoint was saved with is used, else the first.
        purpose: name of the task for error messages, such as ``hf-vanilla fill``.
        device: device of the model, see `check_device`; if None, `default_device()`, or the CPU for a lower precision.
        precision: of the large linear maps on a CPU, see `lower_precision`. "float32" keeps the type of the checkpoint.
        trust_remote_code: allow the model's own Python code to run; models of this package do not need it.

    Raises:
        ValueError: none of `auto_classes` supports the model, the checkpoint has no weights for its head, it has its
            own code and `trust_remote_code` is false, or this machine has no such device or cannot compute in this
            precision.
        OSError: there is no such model.
    """
    source = find_model(source)
    check_task(source, auto_classes, purpose)

    import transformers
    from transformers.utils import logging as transformers_logging

    from ..conversion.checkpoint_files import CheckpointSource
    from ..conversion.checkpoint_tokenizer import load_tokenizer
    from ..conversion.config_files import load_config
    from ..conversion.loading_errors import plain_loading_errors
    from ..conversion.model_files import check_left_over
    from ..conversion.safe_loading import load_pretrained
    from ..device import check_device, default_device

    if device is not None:
        check_device(device)
    if precision != "float32":
        from ..inference.low_precision import check_precision

        device = device or "cpu"
        check_precision(precision, device)
    transformers_logging.disable_progress_bar()
    # Without a decision, transformers asks on standard input, which may be the text of the user.
    config = load_config(source, trust_remote_code=trust_remote_code)
    supported = [name for name in auto_classes if _supports(getattr(transformers, name), config)]
    if not supported:
        others = [name for name in COMMANDS if _supports(getattr(transformers, name), config)]
        raise unsupported(purpose, type(config).__name__, source, others)
    saved = (getattr(config, "architectures", None) or ["unknown"])[0]
    matching = [name for name in supported if saved.endswith(name.removeprefix("AutoModel") or "Model")]
    auto_class = getattr(transformers, (matching or supported)[0])
    with _without_report(transformers_logging):
        with plain_loading_errors(source):
            if Path(source).is_dir() and not trust_remote_code:
                tokenizer = load_tokenizer(CheckpointSource(source))
            else:
                tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
        model, loading_info = load_pretrained(
            auto_class, source, config=config, output_loading_info=True, trust_remote_code=trust_remote_code
        )
    if missing := sorted(loading_info["missing_keys"]):
        raise ValueError(
            f"{purpose} needs weights for {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}. {source} does "
            f"not have them, because it was saved as {saved}: fine-tune it first, or use another checkpoint."
        )
    check_left_over(config, source, loading_info["unexpected_keys"])
    model = model.to(device or default_device()).eval()
    if precision != "float32":
        from ..inference.low_precision import lower_precision

        lower_precision(model, precision)
    return model, tokenizer


@contextmanager
def _without_report(transformers_logging: Any) -> Iterator[None]:
    """Hides transformers' table of weights that a checkpoint has or lacks; our error names those that are needed."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def _supports(auto_class: Any, config: Any) -> bool:
    """Whether an Auto class has a model for this configuration: built in, registered, or in its `auto_map`."""
    return type(config) in auto_class._model_mapping or auto_class.__name__ in (getattr(config, "auto_map", None) or {})
