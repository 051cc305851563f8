"""Tell names on the Hugging Face Hub from local paths: one rule for all commands."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

# A name with one of these suffixes is a mistyped file name; it is not looked up on the Hub.
_FILE_SUFFIXES = (
    ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".conllu", ".txt", ".text", ".gz", ".bz2", ".xz",
    ".zst", ".zip", ".yaml",
    ".yml", ".safetensors",
)  # fmt: skip


def could_be_on_hub(name: str | Path | None) -> bool:
    """Whether `name` has the form of a name on the Hub (``model`` or ``user/model``), not that of a local path.

    A `Path` is always local, and so is text that is absolute, starts with ``.`` or ``~``, has a backslash or more than
    one slash, or ends with the suffix of a file. The function does not check whether the path or the name exists.
    """
    if name is None or isinstance(name, Path):
        return False
    if name.lower().endswith(_FILE_SUFFIXES):
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def is_hub_name(name: str | Path | None) -> bool:
    """Whether `name` refers to the Hub: it has the form ``user/model``, and there is no local path of this name."""
    return could_be_on_hub(name) and str(name).count("/") == 1 and not Path(name).exists()


def check_hub_name(name: str | Path, field: str) -> None:
    """Raises FileNotFoundError if `name`, for which there is no local path, is not a possible name on the Hub either.

    Args:
        name: name of a model or data set.
        field: the option or recipe field with this value, for the message.
    """
    if not could_be_on_hub(name):
        raise FileNotFoundError(
            f"There is no file or folder {field}={str(name)!r}, and it is not a possible name on the Hub (user/name): "
            "give an existing path or a name on the Hub."
        )


def check_repository_name(repository: str) -> None:
    """Raises ValueError unless `repository` is a name to publish under: ``user/model``."""
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"repository={repository!r} is not a valid name on the Hub: {error}") from error
    if repository.count("/") != 1:
        raise ValueError(f"repository={repository!r} must have the form user/model.")
