"""The texts of the benchmarks: general text, text of the domain, labelled text; written once as Parquet files.

The labelled training rows of the sets are divided once, by a fixed seed, into rows to learn from and rows to choose by.
Training rows whose text is also a test text are left out. Nothing is chosen on the test rows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from ..corpora import data_folder

_SEED = 20180118


@dataclass(frozen=True)
class Corpora:
    """Folders with one Parquet file a split.

    Attributes:
        general: `text`; splits train and validation.
        domain: `text`, no labels; splits train and validation.
        labelled: `text` and `label`; splits train, validation and test.
    """

    general: Path
    domain: Path
    labelled: Path


def imdb(folder: Path, limit: int | None = None) -> Corpora:
    """Film reviews. General text is Brown and WikiText; the domain's are the unlabelled reviews.

    Args:
        folder: is written.
        limit: at most so many rows of each split, for a trial.
    """
    made = Corpora(folder / "general", folder / "domain", folder / "labelled")
    _english(made.general, limit)

    def reviews(split: str, columns: list[str]) -> list[dict]:
        return [
            {**row, "text": row["text"].replace("<br />", " ")}
            for row in _read(f"imdb/{split}.parquet", columns, limit)
        ]

    def domain() -> dict[str, list[dict]]:
        texts = reviews("unsupervised", ["text"])
        held = max(1, min(500, len(texts) // 10))
        return {"validation": texts[:held], "train": texts[held:]}

    def labelled() -> dict[str, list[dict]]:
        return _divided(reviews("train", ["text", "label"]), reviews("test", ["text", "label"]), 1000)

    _write(made.domain, ("train", "validation"), domain)
    _write(made.labelled, ("train", "validation", "test"), labelled)
    return made


def nsmc(folder: Path, limit: int | None = None) -> Corpora:
    """Korean film reviews of a line. General text is what there is of everyday and news sentences, which is little; the
    domain's are the training reviews without their labels."""
    made = Corpora(folder / "general", folder / "domain", folder / "labelled")
    _korean(made.general, limit)

    def labelled() -> dict[str, list[dict]]:
        train = _read("nsmc/train.parquet", ["text", "label"], limit)
        return _divided(train, _read("nsmc/test.parquet", ["text", "label"], limit), 5000)

    _write(made.labelled, ("train", "validation", "test"), labelled)

    def domain() -> dict[str, list[dict]]:
        return {
            split: [
                {"text": text} for text in parquet.read_table(made.labelled / f"{split}.parquet")["text"].to_pylist()
            ]
            for split in ("train", "validation")
        }

    _write(made.domain, ("train", "validation"), domain)
    return made


def genres(folder: Path, limit: int | None = None) -> Path:
    """Paragraphs of Brown with their category: a task that is not sentiment. Splits train and validation."""

    def rows() -> dict[str, list[dict]]:
        found = {}
        for split in ("train", "validation"):
            read = _read(f"brown/{split}.parquet", ["text", "category"], limit)
            found[split] = [{"text": plain(row["text"]), "label": row["category"]} for row in read]
        known = {row["label"] for row in found["train"]}
        return {split: [row for row in rows if row["label"] in known] for split, rows in found.items()}

    _write(folder, ("train", "validation"), rows)
    return folder


def words(folder: Path, name: str, columns: Sequence[str], limit: int | None = None) -> Path:
    """Sentences of words: train and validation are parts of the set's training rows; its other file is the test."""
    other = "test" if name == "conll2000" else "validation"

    def rows() -> dict[str, list[dict]]:
        train = _read(f"{name}/train.parquet", list(columns), limit)
        random.Random(_SEED).shuffle(train)
        held = max(1, len(train) // 10)
        test = _read(f"{name}/{other}.parquet", list(columns), limit)
        return {"validation": train[:held], "train": train[held:], "test": test}

    _write(folder, ("train", "validation", "test"), rows)
    return folder


def english(folder: Path, limit: int | None = None) -> Path:
    """Brown and WikiText as running text."""
    _english(folder, limit)
    return folder


def korean(folder: Path, limit: int | None = None) -> Path:
    """Korean sentences of the news, of school books and everyday, and film reviews, as running text."""

    def rows() -> dict[str, list[dict]]:
        reviews = [{"text": row["text"]} for row in _read("nsmc/train.parquet", ["text"], limit)]
        return {"train": [*_korean_texts(limit), *reviews], "validation": _korean_validation(limit)}

    _write(folder, ("train", "validation"), rows)
    return folder


def plain(text: str) -> str:
    """Text of Brown and WikiText without the marks of their makers."""
    text = re.sub(r" @([-,.])@ ", r"\1", text.replace("``", '"').replace("''", '"'))
    return text.replace("<unk>", "").strip(" =")


def _english(folder: Path, limit: int | None) -> None:
    def rows() -> dict[str, list[dict]]:
        return {
            split: [
                {"text": text}
                for name in ("brown", "wikitext2_small")
                for row in _read(f"{name}/{split}.parquet", ["text"], limit)
                if (text := plain(row["text"]))
            ]
            for split in ("train", "validation")
        }

    _write(folder, ("train", "validation"), rows)


def _korean(folder: Path, limit: int | None) -> None:
    _write(
        folder,
        ("train", "validation"),
        lambda: {"train": _korean_texts(limit), "validation": _korean_validation(limit)},
    )


def _korean_texts(limit: int | None) -> list[dict]:
    texts = [row["text"] for row in _read("ud_korean_gsd/train.parquet", ["text"], limit)]
    for split in ("train", "school_dev", "news_dev"):
        texts += [row["translation"]["ko"] for row in _read(f"korean_english/{split}.parquet", ["translation"], limit)]
    return [{"text": text} for text in texts]


def _korean_validation(limit: int | None) -> list[dict]:
    return [{"text": row["text"]} for row in _read("ud_korean_gsd/validation.parquet", ["text"], limit)]


def _read(name: str, columns: list[str], limit: int | None) -> list[dict]:
    path = data_folder() / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: name the folder of the data sets in HF_VANILLA_DATA.")
    return parquet.read_table(path, columns=columns).slice(0, limit).to_pylist()


def _divided(train: list[dict], test: list[dict], held: int) -> dict[str, list[dict]]:
    """Rows to choose by, rows to learn from, rows to be scored on; no text is in two of them."""
    seen = {_key(row) for row in test}
    kept: list[dict] = []
    for row in train:
        if _key(row) not in seen:
            seen.add(_key(row))
            kept.append(row)
    random.Random(_SEED).shuffle(kept)
    held = max(1, min(held, len(kept) // 5))
    return {"validation": kept[:held], "train": kept[held:], "test": test}


def _key(row: dict) -> str:
    return " ".join(row["text"].lower().split())


def _write(folder: Path, splits: Iterable[str], rows: Callable[[], dict[str, list[dict]]]) -> None:
    """Each split as a file, whole or not at all, unless all are there."""
    if all((folder / f"{split}.parquet").is_file() for split in splits):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for split, found in rows().items():
        aside = folder / f".{split}.parquet"
        parquet.write_table(pa.Table.from_pylist(found), aside)
        aside.replace(folder / f"{split}.parquet")
