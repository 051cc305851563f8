"""The configuration of a model that may come from anybody, as an object of transformers."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig

from .config_values import CONFIG, REMEDY, read_config
from .loading_errors import first_line, plain_loading_errors

__all__ = ["config_reason", "load_config"]


def load_config(source: str | Path, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """`AutoConfig.from_pretrained(source)` of a folder or a model on the Hub.

    Raises:
        OSError: there is no such model.
        ValueError: as for `read_config`; transformers does not know the family, or a value of the configuration is
            wrong; the message names the file.
    """
    path = Path(source) / CONFIG
    if path.is_file():
        read_config(path)
    with plain_loading_errors(source):
        try:
            return AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
        except (StrictDataclassError, ValueError, TypeError, AttributeError, KeyError) as error:
            if "trust_remote_code" in str(error):
                raise
            raise ValueError(f"{path} does not describe a model: {config_reason(error)}; {REMEDY}.") from error


def config_reason(error: BaseException) -> str:
    """What is wrong with a configuration, in one line without the full stop."""
    if isinstance(error, StrictDataclassError):
        # The error of the field or of `validate_architecture`, to which huggingface_hub adds where it was raised.
        error = error.__cause__ or error
    reason = first_line(error)
    if isinstance(error, (KeyError, AttributeError)):
        reason = f"{type(error).__name__}: {reason}"
    return reason[:300].rstrip(".")
