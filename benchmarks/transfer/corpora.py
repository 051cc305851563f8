"""The texts of the benchmarks: general text, domain text and labelled text, written once as Parquet files.

The labelled training rows are split once, with a fixed seed, into training and validation rows. Training rows whose
text also occurs in the test rows are left out. No choice is made on the test rows.
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
    """Folders with one Parquet file for each split.

    Attributes:
        general: general text; column `text`, splits train and validation.
        domain: unlabelled text of the domain; column `text`, splits train and validation.
        labelled: labelled text; columns `text` and `label`, splits train, validation and test.
    """

    general: Path
    domain: Path
    labelled: Path


def imdb(folder: Path, limit: int | None = None) -> Corpora:
    """Film reviews of IMDb. General text is Brown and WikiText; domain text is the unlabelled reviews.

    Args:
        folder: folder to write.
        limit: maximum number of rows of each file, for a trial.
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
        return _split_rows(reviews("train", ["text", "label"]), reviews("test", ["text", "label"]), 1000)

    _write(made.domain, ("train", "validation"), domain)
    _write(made.labelled, ("train", "validation", "test"), labelled)
    return made


def nsmc(folder: Path, limit: int | None = None) -> Corpora:
    """Short Korean film reviews of NSMC.

    General text is a small number of everyday and news sentences; domain text is the training reviews without labels.
    """
    made = Corpora(folder / "general", folder / "domain", folder / "labelled")
    _korean(made.general, limit)

    def labelled() -> dict[str, list[dict]]:
        train = _read("nsmc/train.parquet", ["text", "label"], limit)
        return _split_rows(train, _read("nsmc/test.parquet", ["text", "label"], limit), 5000)

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


def rt_polarity(folder: Path, limit: int | None = None) -> Path:
    """Single sentences of film reviews, labelled; splits train, validation and test."""

    def rows() -> dict[str, list[dict]]:
        splits = {
            split: _read(f"rt_polarity/{split}.parquet", ["text", "label"], limit)
            for split in ("train", "validation", "test")
        }
        seen = {_key(row) for split in ("validation", "test") for row in splits[split]}
        return {**splits, "train": [row for row in splits["train"] if _key(row) not in seen]}

    _write(folder, ("train", "validation", "test"), rows)
    return folder


def genres(folder: Path, limit: int | None = None) -> Path:
    """Paragraphs of Brown with their categories, as a task other than sentiment; splits train and validation."""

    def rows() -> dict[str, list[dict]]:
        splits = {}
        for split in ("train", "validation"):
            read = _read(f"brown/{split}.parquet", ["text", "category"], limit)
            splits[split] = [{"text": plain(row["text"]), "label": row["category"]} for row in read]
        known = {row["label"] for row in splits["train"]}
        return {split: [row for row in rows if row["label"] in known] for split, rows in splits.items()}

    _write(folder, ("train", "validation"), rows)
    return folder


def sentences_of_films(folder: Path, held: int, limit: int | None = None) -> Path:
    """Sentences of film reviews (RT polarity). Train and validation are parts of the training file.

    Args:
        folder: folder to write.
        held: number of rows for validation, the last ones.
        limit: maximum number of rows, for a trial.
    """

    def rows() -> dict[str, list[dict]]:
        train = _read("rt_polarity/train.parquet", ["text", "label"], limit)
        return {"validation": train[-held:], "train": train[:-held]}

    _write(folder, ("train", "validation"), rows)
    return folder


def words(folder: Path, name: str, columns: Sequence[str], limit: int | None = None) -> Path:
    """Sentences of words. Train and validation are parts of the training file; the other file is test."""
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
    """Running text of Brown and WikiText."""
    _english(folder, limit)
    return folder


def korean(folder: Path, limit: int | None = None) -> Path:
    """Running Korean text: sentences of news, school books and everyday language, and film reviews."""

    def rows() -> dict[str, list[dict]]:
        reviews = [{"text": row["text"]} for row in _read("nsmc/train.parquet", ["text"], limit)]
        return {"train": [*_korean_texts(limit), *reviews], "validation": _korean_validation(limit)}

    _write(folder, ("train", "validation"), rows)
    return folder


def plain(text: str) -> str:
    """Text of Brown and WikiText without the markup of these corpora."""
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
        raise FileNotFoundError(f"{path} is missing: set HF_VANILLA_DATA to the folder of the data sets.")
    return parquet.read_table(path, columns=columns).slice(0, limit).to_pylist()


def _split_rows(train: list[dict], test: list[dict], held: int) -> dict[str, list[dict]]:
    """Validation, training and test rows; no text is in two of them."""
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
    """Writes each split to a file that is complete or absent; does nothing if all files exist."""
    if all((folder / f"{split}.parquet").is_file() for split in splits):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for split, split_rows in rows().items():
        aside = folder / f".{split}.parquet"
        parquet.write_table(pa.Table.from_pylist(split_rows), aside)
        aside.replace(folder / f"{split}.parquet")
