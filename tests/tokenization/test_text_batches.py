import gzip
import logging
import re

import datasets
import pytest

from hf_vanilla_transformer.tokenization import train_tokenizer


def vocabulary(texts, **options):
    options = {"kind": "byte_bpe", "vocab_size": 350, "template": "seq2seq", **options}
    return train_tokenizer(texts, **options).get_vocab()


def test_all_sources_of_the_same_texts_give_the_same_vocabulary(european, tmp_path):
    half = len(european) // 2
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    first, second = folder / "a.txt", folder / "deep" / "b.txt.gz"
    first.write_text("\n".join(european[:half]) + "\n", encoding="utf-8")
    second.write_bytes(gzip.compress("\r\n".join(european[half:]).encode()))
    (folder / ".hidden").write_bytes(b"\xff")
    pairs = datasets.Dataset.from_dict({"source": european[:half], "target": european[half:], "id": range(half)})
    nested = datasets.Dataset.from_dict(
        {"translation": [{"en": a, "de": b} for a, b in zip(european[:half], european[half:])]}
    )
    expected = vocabulary(european)
    assert vocabulary(iter(european)) == expected
    assert vocabulary(folder) == vocabulary(str(folder)) == expected
    assert vocabulary([first, second]) == vocabulary([str(first), str(second)]) == expected
    assert vocabulary(pairs) == vocabulary(pairs, columns=["source", "target"]) == expected
    assert vocabulary(nested) == vocabulary(nested.to_iterable_dataset()) == expected
    streamed = datasets.IterableDataset.from_generator(lambda: ({"text": text} for text in european))
    assert vocabulary(streamed) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "word"}, "kind.*'bpe'.*'word'"),
        ({"template": "gpt"}, "template.*'seq2seq'.*'gpt'"),
        ({"unicode_form": "NFC"}, "unicode_form.*'nfc'.*'NFC'"),
        ({"vocab_size": 100}, "vocab_size=100.*260"),
        ({"kind": "bpe", "vocab_size": 20}, "vocab_size=20"),
        ({"kind": "unigram", "vocab_size": 20}, "vocab_size=20"),
        ({"kind": "wordpiece", "byte_fallback": True}, "byte_fallback.*'wordpiece'"),
        ({"limit_alphabet": 10}, "limit_alphabet=10"),
        ({"min_frequency": 0}, "min_frequency.*0"),
        ({"columns": ["text"]}, r"columns=\['text'\].*list"),
    ],
)
def test_illegal_arguments_are_refused(options, message, european):
    with pytest.raises(ValueError, match=message):
        vocabulary(european, **options)


def test_illegal_texts_are_refused(tmp_path):
    for empty in ([], ["", "  "], iter([])):
        with pytest.raises(ValueError, match="texts"):
            vocabulary(empty)
    for missing in (tmp_path / "no.txt", str(tmp_path / "no.txt"), ["train.en", "train.de"]):
        with pytest.raises(FileNotFoundError, match=r"no\.txt|train\.en"):
            vocabulary(missing)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        vocabulary(tmp_path)
    (tmp_path / "bad.txt").write_bytes(b"good\nb\xe4d\n")
    with pytest.raises(ValueError, match=r"bad\.txt:2.*UTF-8"):
        vocabulary(tmp_path / "bad.txt")
    (tmp_path / "table.tsv").write_text("a\tb\n")
    with pytest.raises(ValueError, match=r"table\.tsv.*load_pairs"):
        vocabulary(tmp_path / "table.tsv")
    with pytest.raises(ValueError, match=r"texts.*3"):
        vocabulary(["one", "two words", 3])
    numbers = datasets.Dataset.from_dict({"id": [1, 2]})
    with pytest.raises(ValueError, match=r"\['id'\]"):
        vocabulary(numbers)
    with pytest.raises(ValueError, match=r"column 'text'.*\['id'\]"):
        vocabulary(numbers, columns=["text"])
    with pytest.raises(ValueError, match=r"splits \['train'\]"):
        vocabulary(datasets.DatasetDict({"train": numbers}))


def test_too_little_text_logs_a_warning(european, caplog):
    with caplog.at_level(logging.WARNING):
        assert len(vocabulary(european[:5], vocab_size=5000)) < 5000
    assert "vocab_size=" in caplog.text


def test_a_limited_alphabet_keeps_the_frequent_characters():
    texts = ["aaaa bbbb cc", "aaaa bbbb", "aaaa bbbb d"] * 3
    tokenizer = train_tokenizer(texts, kind="bpe", vocab_size=40, template="seq2seq", limit_alphabet=2)
    ids = tokenizer("a b c d", add_special_tokens=False)["input_ids"]
    assert [index == tokenizer.unk_token_id for index in ids] == [False, False, True, True]
