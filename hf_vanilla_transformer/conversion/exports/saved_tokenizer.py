"""Save the tokenizer of an export so that transformers 4 can load it too."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase

__all__ = ["save_tokenizer"]


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Saves `tokenizer` under the class name that it had in transformers 4."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    if saved.get("tokenizer_class") == "TokenizersBackend":
        saved["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
