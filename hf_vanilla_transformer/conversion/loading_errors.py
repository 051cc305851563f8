"""Errors of transformers and of its libraries on loading a model, as one line with a remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

__all__ = ["first_line", "plain_loading_errors"]


@contextmanager
def plain_loading_errors(source: str | Path) -> Iterator[None]:
    """Turns the errors that files of a model can cause into one line that names `source` and says what to do.

    Raises:
        OSError: there is no such model, or one of its files is missing.
        ValueError: its files are damaged or do not belong together; it has its own code, which was not allowed; or it
            needs a package that is not installed.
    """
    try:
        yield
    except OSError as error:
        if Path(source).exists():
            # transformers reports a missing file as an OSError without a number.
            kind = OSError if error.errno else FileNotFoundError
            raise kind(f"The model in {source} cannot be read: {first_line(error)}") from error
        raise FileNotFoundError(
            f"There is no folder {source}, and the Hub does not give such a model: {first_line(error)} Check the "
            "spelling and the connection; private models need a login (`hf auth login`)."
        ) from error
    except ValueError as error:
        if "trust_remote_code=True" not in str(error):
            raise
        raise ValueError(
            f"{source} contains its own Python code, which may do anything on this machine. Read it, then allow it "
            "with --trust-remote-code (in Python, trust_remote_code=True)."
        ) from error
    except ImportError as error:
        raise ValueError(
            f"{source} needs a package that is not installed: {' '.join(str(error).split())[:300]}"
        ) from error
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError, SafetensorError, StrictDataclassError,
            json.JSONDecodeError) as error:  # fmt: skip
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise ValueError(
            f"The files of {source} are damaged or do not belong together ({type(error).__name__}: "
            f"{first_line(error)}): download or save the model again."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message that is not empty."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
