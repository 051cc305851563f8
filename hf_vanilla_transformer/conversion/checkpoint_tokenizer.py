"""Load the tokenizer of a published checkpoint. It is not converted: both models use the same ids."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from .checkpoint_files import TOKENIZER_FILES, CheckpointSource

__all__ = ["load_tokenizer"]


def load_tokenizer(source: CheckpointSource) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of a checkpoint. No remote code runs.

    Raises:
        ValueError: there is no tokenizer, or it needs a missing package or remote code.
    """
    folder = source.folder(weights=False)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ValueError(
            f"source={source.name!r} has no tokenizer ({', '.join(TOKENIZER_FILES)}); pass the model or folder with "
            "its tokenizer as --tokenizer, or convert with --without-tokenizer."
        )
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise ValueError(f"The tokenizer of source={source.name!r} needs a missing package: {error}") from error
