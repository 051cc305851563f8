import pytest

from hf_vanilla_transformer.data import DependencyParsingCollator


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_follows_the_tokenizer(side, encoder_tokenizer, monkeypatch):
    tokenizer = encoder_tokenizer
    monkeypatch.setattr(tokenizer, "padding_side", side)
    rows = [
        {"input_ids": [2, 7, 8, 9, 3], "word_ids": [-1, 0, 0, 1, -1], "heads": [2, 0], "labels": [1, 0]},
        {"input_ids": [2, 7, 3], "word_ids": [-1, 0, -1], "heads": [0], "labels": [0]},
    ]
    batch = DependencyParsingCollator(tokenizer)(rows)
    pad = tokenizer.pad_token_id
    left = side == "left"
    assert batch["input_ids"][1].tolist() == ([pad, pad, 2, 7, 3] if left else [2, 7, 3, pad, pad])
    assert batch["attention_mask"][1].tolist() == ([0, 0, 1, 1, 1] if left else [1, 1, 1, 0, 0])
    assert batch["word_ids"][1].tolist() == ([-1, -1, -1, 0, -1] if left else [-1, 0, -1, -1, -1])
    assert batch["heads"].tolist() == [[2, 0], [0, -100]] and batch["labels"].tolist() == [[1, 0], [0, -100]]
    unlabelled = [{name: row[name] for name in ("input_ids", "word_ids")} for row in rows]
    assert DependencyParsingCollator(tokenizer, pad_to_multiple_of=8)(unlabelled)["word_ids"].shape == (2, 8)
