"""Toy data sets with the layout of the real data sets."""

import random

import pyarrow
import pyarrow.parquet as parquet
import pytest

NOUNS = {"dog": "Hund", "man": "Mann", "ball": "Ball", "tree": "Baum", "car": "Wagen", "train": "Zug"}
VERBS = {"sees": "sieht", "likes": "mag", "finds": "findet", "draws": "malt"}


def sentence_pairs(count: int, seed: int) -> list[dict[str, str]]:
    """Sentences of one to three clauses, so that lengths differ."""
    choose = random.Random(seed)
    pairs = []
    for _ in range(count):
        english, german = [], []
        for _ in range(choose.randint(1, 3)):
            one, two, verb = choose.choice(list(NOUNS)), choose.choice(list(NOUNS)), choose.choice(list(VERBS))
            english.append(f"the {one} {verb} a {two}")
            german.append(f"der {NOUNS[one]} {VERBS[verb]} einen {NOUNS[two]}en")
        pairs.append({"en": " and ".join(english) + ".", "de": " und ".join(german) + "."})
    return pairs


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory):
    """A folder for HF_VANILLA_DATA with a few rows of each data set of the benchmarks."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "multi30k").mkdir()
    for seed, (split, count) in enumerate({"train": 60, "validation": 4, "test_2016_flickr": 4}.items()):
        table = pyarrow.table({"translation": sentence_pairs(count, seed)})
        parquet.write_table(table, folder / "multi30k" / f"{split}.parquet")
    texts = [pair["en"] for pair in sentence_pairs(600, 3)]
    (folder / "wikitext2_small").mkdir()
    parquet.write_table(pyarrow.table({"text": texts}), folder / "wikitext2_small" / "train.parquet")
    (folder / "tiny_shakespeare").mkdir()
    (folder / "tiny_shakespeare" / "train.txt").write_text("\n".join(texts), encoding="utf-8")
    return folder
