"""The tokenizer of a published checkpoint. It stays what it is: ours and the published model read the same ids."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from .checkpoint_files import TOKENIZER_FILES, CheckpointSource

__all__ = ["load_tokenizer"]


def load_tokenizer(source: CheckpointSource) -> PreTrainedTokenizerBase:
    """The tokenizer that lies beside a checkpoint; no code of the checkpoint runs.

    Raises:
        ValueError: there is none, it needs a package that is not installed, or code of its own.
    """
    folder = source.folder(weights=False)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ValueError(
            f"source={source.name!r} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}); name the model or folder "
            "that it was trained with by --tokenizer, or convert with --without-tokenizer."
        )
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise ValueError(f"The tokenizer of source={source.name!r} needs a package that is missing: {error}") from error
