from collections import Counter

import datasets
import pytest

from hf_vanilla_transformer.data import split_off_validation


def rows(labels):
    return datasets.Dataset.from_dict({"text": [f"text {i}" for i in range(len(labels))], "label": labels})


def test_the_validation_split_keeps_the_proportions_of_the_classes():
    train = rows(["a"] * 70 + ["b"] * 20 + ["c"] * 9 + ["d"])
    rest, validation = split_off_validation(train, 0.2, seed=1)
    assert len(validation) == 20 and Counter(validation["label"]) == {"a": 14, "b": 4, "c": 2}
    assert sorted(rest["text"][:] + validation["text"][:]) == sorted(train["text"][:])
    again = split_off_validation(train, 0.2, seed=1)[1]
    other = split_off_validation(train, 0.2, seed=2)[1]
    assert again["text"][:] == validation["text"][:] != other["text"][:]
    numbers = rows([i / 10 for i in range(10)])
    assert len(split_off_validation(numbers, 0.3)[1]) == 3
    assert len(split_off_validation(rows([["a"], ["b"]] * 5), 0.4)[1]) == 4
    for share in (0, 1, 1.5):
        with pytest.raises(ValueError, match=f"share={share}"):
            split_off_validation(train, share)
    with pytest.raises(ValueError, match=r"share=0\.1 of 2 rows"):
        split_off_validation(rows(["a", "b"]), 0.1)
