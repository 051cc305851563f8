"""Texts of the benchmarks: the raw pairs of Multi30k, and one tokenizer for both sides of a comparison."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as parquet
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPLITS = ("train", "validation", "test_2016_flickr")
Pairs = list[tuple[str, str]]


def data_folder() -> Path:
    """Folder of the data sets: `HF_VANILLA_DATA`, or `../shared/data` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("HF_VANILLA_DATA", default))


def load_multi30k(
    folder: str | Path | None = None, languages: tuple[str, str] = ("en", "de"), limit: int | None = None
) -> dict[str, Pairs]:
    """Loads the raw, cased pairs of Multi30k by split.

    Args:
        folder: contains `train.parquet`, `validation.parquet` and `test_2016_flickr.parquet` with a column
            `translation`; by default `multi30k` in the folder of the data sets.
        languages: source and target.
        limit: maximum number of pairs of each split, for a trial.

    Raises:
        FileNotFoundError: one of the files is missing.
    """
    folder = Path(folder) if folder is not None else data_folder() / "multi30k"
    files = {split: folder / f"{split}.parquet" for split in SPLITS}
    for path in files.values():
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: give the folder with {', '.join(f'{s}.parquet' for s in SPLITS)} as --data, "
                "or the folder above it in HF_VANILLA_DATA"
            )
    source, target = languages
    pairs = {}
    for split, path in files.items():
        rows = parquet.read_table(path, columns=["translation"])["translation"].to_pylist()[:limit]
        pairs[split] = [(row[source], row[target]) for row in rows]
    return pairs


def train_byte_bpe(texts: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Trains a shared byte-level BPE vocabulary; ids 0 to 3 are `<pad>`, `</s>`, `<unk>`, `<s>`; texts end with `</s>`.

    It uses only `tokenizers`, so that the run of the peer does not depend on this package.
    """
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>"
    )
