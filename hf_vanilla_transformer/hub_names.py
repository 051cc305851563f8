"""What is a name on the Hugging Face Hub, and what is a path of this machine: one rule for every command."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

# A name that ends so is a file that was mistyped: no model or data set on the Hub is looked for under it.
_FILE_SUFFIXES = (
    ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt", ".text", ".conllu", ".tab", ".gz", ".yaml",
    ".yml", ".safetensors",
)  # fmt: skip


def could_be_on_hub(name: str | Path | None) -> bool:
    """Whether `name` has the form of a name on the Hub: ``model`` or ``user/model``, and not the form of a path.

    A path of this machine is absolute, begins with ``.`` or ``~``, has a backslash or more than one slash, or ends like
    a file. Whether something of this name exists, here or on the Hub, is not asked.
    """
    if name is None or isinstance(name, Path):
        return False
    if name.lower().endswith(_FILE_SUFFIXES):
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not Path(name).is_absolute()


def is_hub_name(name: str | Path | None) -> bool:
    """Whether `name` means something on the Hub: it has the form of ``user/model``, and there is no such path here."""
    return could_be_on_hub(name) and str(name).count("/") == 1 and not Path(name).exists()


def check_hub_name(name: str, field: str) -> None:
    """Raises FileNotFoundError if `name`, for which there is no path here, cannot be a name on the Hub either.

    Args:
        name: of a model or data set.
        field: the option or recipe field that holds it, for the message.
    """
    if not could_be_on_hub(name):
        raise FileNotFoundError(
            f"There is no file or folder {field}={str(name)!r}, and it cannot be a name on the Hub (user/name): give "
            "an existing path, or a name on the Hub."
        )
