"""Sentences of words with tags and trees: what is read, what is left out and counted, and how words become tokens."""

import gzip
import json
import os
from pathlib import Path

import datasets
import pytest

from hf_vanilla_transformer.data import BadRow, load_tagged, load_trees
from hf_vanilla_transformer.data.collators.dependency_parsing import DependencyParsingCollator
from hf_vanilla_transformer.data.readers.words import tree_problem
from hf_vanilla_transformer.data.word_pieces import encode_words
from hf_vanilla_transformer.tokenization import train_tokenizer

DATA = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

CONLLU = """\
# sent_id = s1
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
3.1\tgone\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_

# sent_id = s2
1\tYes\tyes\t_\tUH\t_\t0\troot\t_\t_

1\tTwo\ttwo\tNUM\tCD\t_\t2\tx\t_\t_
2\tcycles\tcycle\tNOUN\tNNS\t_\t1\tx\t_\t_

1\tbroken line
"""

GOOD = {"tokens": ["a", "b", "c"], "head": [2, 0, 2], "deprel": ["x", "root", "y"]}
BAD_TREES = {
    BadRow.LENGTHS: {**GOOD, "head": [2, 0]},
    BadRow.HEAD_RANGE: {**GOOD, "head": [2, 0, 4]},
    BadRow.CYCLE: {**GOOD, "head": [2, 1, 0]},
    BadRow.ROOTS: {**GOOD, "head": [0, 0, 2]},
    BadRow.NO_HEAD: {**GOOD, "head": [2, None, 2]},
    BadRow.NO_LABEL: {**GOOD, "deprel": ["x", None, "y"]},
    BadRow.EMPTY: {"tokens": [], "head": [], "deprel": []},
    BadRow.EMPTY_WORD: {**GOOD, "tokens": ["a", " ", "c"]},
    BadRow.NOT_LISTS: {**GOOD, "tokens": "a b c"},
    BadRow.MISSING: {"tokens": ["a"], "head": [0]},
}


@pytest.fixture(scope="module")
def tokenizers():
    texts = ["don't go there now", "the dog 갔다", "잡스는 워즈니악에게 보수를", "a b c"] * 3
    return {
        kind: train_tokenizer(iter(texts), kind=kind, vocab_size=size, template="encoder")
        for kind, size in (("wordpiece", 60), ("bpe", 60), ("byte_bpe", 280), ("unigram", 60))
    }


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", [".conllu", ".conllu.gz"])
def test_conllu(ending, tmp_path):
    path = tmp_path / f"train{ending}"
    path.write_bytes(gzip.compress(CONLLU.encode()) if ending.endswith("gz") else CONLLU.encode())
    rows, report = load_trees(path)
    assert rows[0] == {
        "tokens": ["Do", "n't", "go", "."],
        "heads": [3, 3, 0, 3],
        "relations": ["aux", "advmod", "root", "punct"],
    }
    assert rows[1]["tokens"] == ["Yes"]
    assert report.counts == {BadRow.CYCLE: 1, BadRow.FIELDS: 1}
    assert report.examples == {BadRow.CYCLE: [f"{path}:13"], BadRow.FIELDS: [f"{path}:16"]}
    tagged, report = load_tagged(tmp_path, tags_column="upos")
    assert tagged["tags"][0] == ["AUX", "PART", "VERB", "PUNCT"]
    assert report.counts[BadRow.NO_LABEL] == 1, "a tag that is _ is none"
    with pytest.raises(ValueError, match=r"no columns for .*'tags'"):
        load_tagged(path)


def test_bad_trees_are_counted_or_fatal(tmp_path):
    path = write_lines(tmp_path / "train.jsonl", [GOOD, *BAD_TREES.values()])
    rows, report = load_trees(path)
    assert rows.to_list() == [{"tokens": ["a", "b", "c"], "heads": [2, 0, 2], "relations": ["x", "root", "y"]}]
    assert report.counts == dict.fromkeys(BAD_TREES, 1)
    for line, reason in enumerate(BAD_TREES, start=2):
        assert report.examples[reason] == [f"{path}:{line}"]
    with pytest.raises(ValueError, match=r"train\.jsonl:2: words and labels of different number .*on_bad_row='skip'"):
        load_trees(path, on_bad_row="error")
    only_bad = write_lines(tmp_path / "bad.jsonl", list(BAD_TREES.values()))
    with pytest.raises(ValueError, match="no valid row"):
        load_trees(only_bad)
    rows, report = load_trees(path, single_root=False)
    assert len(rows) == 2 and BadRow.ROOTS not in report.counts


def test_tags_of_a_data_set_with_names():
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "ner": datasets.List(datasets.ClassLabel(names=["O", "X"]))}
    )
    values = {"tokens": [["a", "b"], ["c"]], "ner": [[0, 1], [-1]]}
    rows, report = load_tagged(datasets.Dataset.from_dict(values, features=features), tags_column="ner")
    assert rows.to_list() == [{"tokens": ["a", "b"], "tags": ["O", "X"]}]
    assert report.counts == {BadRow.NO_LABEL: 1}


def test_what_cannot_be_read_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        load_trees(tmp_path / "missing.conllu")
    (tmp_path / "train.csv").write_text("tokens,tags\na,b\n")
    with pytest.raises(ValueError, match=r"no file of sentences: lists are read from \.parquet"):
        load_tagged(tmp_path / "train.csv")
    with pytest.raises(ValueError, match="on_bad_row must be"):
        load_tagged(tmp_path / "train.csv", on_bad_row="ignore")
    with pytest.raises(ValueError, match="must differ"):
        load_tagged(tmp_path / "train.csv", tokens_column="a", tags_column="a")
    empty = tmp_path / "empty.conllu"
    empty.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        load_trees(empty)
    latin = tmp_path / "latin.conllu"
    latin.write_bytes(CONLLU.replace("Two", "Zwölf").encode("latin-1"))
    assert load_trees(latin)[1].counts[BadRow.NOT_UTF8] == 1


@pytest.mark.parametrize(
    ("heads", "problem"),
    [
        ([0], None),
        ([2, 3, 0], None),
        ([1], BadRow.CYCLE),
        ([2, 3, 1, 0], BadRow.CYCLE),
        ([0, 0], BadRow.ROOTS),
        ([-1], BadRow.HEAD_RANGE),
        ([0, 3], BadRow.HEAD_RANGE),
        ([2, 1], BadRow.CYCLE),
    ],
)
def test_trees(heads, problem):
    assert tree_problem(heads) is problem
    assert tree_problem(heads, single_root=False) is (None if problem is BadRow.ROOTS else problem)


@pytest.mark.parametrize("name", ["ud_english_ewt", "ud_korean_gsd"])
def test_the_real_treebanks_are_trees(name):
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip("the data sets are not here")
    rows, report = load_trees(folder, split="validation")
    assert report.skipped == 0 and len(rows) == report.rows > 900


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte_bpe", "unigram"])
def test_each_token_is_of_one_word(kind, tokenizers):
    tokenizer = tokenizers[kind]
    sentences = [["do", "n't", "go"], ["잡스는", "워즈니악에게", "갔다"], ["Zürich", "the"]]
    encoded = encode_words(tokenizer, sentences, max_length=64)
    assert encoded.sentences == [0, 1, 2] and encoded.words == [3, 3, 2] and encoded.long == 0
    for row, words in enumerate(sentences):
        ids, word_ids = encoded.input_ids[row], encoded.word_ids[row]
        assert word_ids[0] == word_ids[-1] == -1 and ids[0] == tokenizer.cls_token_id
        assert sorted(set(word_ids)) == [-1, *range(len(words))]
        assert word_ids[1:-1] == sorted(word_ids[1:-1])
    running = tokenizer("don't go")["input_ids"]
    split = encode_words(tokenizer, [["don't", "go"]], max_length=64).input_ids[0]
    # BERT's pre-tokenizer splits at the apostrophe in both; elsewhere words at blanks are words of running text.
    assert split == running


def test_a_word_without_tokens_becomes_the_unknown_token(tokenizers):
    tokenizer = tokenizers["wordpiece"]
    encoded = encode_words(tokenizer, [["go", "\u200b", "there"]], max_length=64)
    assert encoded.words == [3]
    assert encoded.input_ids[0][encoded.word_ids[0].index(1)] == tokenizer.unk_token_id


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe"])
def test_long_sentences(kind, tokenizers):
    tokenizer = tokenizers[kind]
    sentences = [["a", "b"], ["go", "there", "now", "the", "dog", "a", "b", "c", "dog", "now"], ["c"]]
    whole = encode_words(tokenizer, sentences, max_length=200)
    cut = encode_words(tokenizer, sentences, max_length=12)
    assert cut.long == 1 and cut.sentences == [0, 1, 2] and 0 < cut.words[1] < 10
    assert len(cut.input_ids[1]) <= 12 and cut.input_ids[1][-1] == tokenizer.sep_token_id
    windows = encode_words(tokenizer, sentences, max_length=12, long="window", overlap=4)
    assert windows.sentences[0] == 0 and windows.sentences[-1] == 2 and set(windows.sentences) == {0, 1, 2}
    covered = {}
    for row, sentence in enumerate(windows.sentences):
        assert len(windows.input_ids[row]) <= 12
        for word in range(windows.words[row]):
            pieces = [i for i, w in zip(windows.input_ids[row], windows.word_ids[row]) if w == word]
            covered.setdefault((sentence, windows.first_words[row] + word), []).append(pieces)
    for row, words in enumerate(sentences):
        for word in range(len(words)):
            pieces = [i for i, w in zip(whole.input_ids[row], whole.word_ids[row]) if w == word]
            assert all(found == pieces for found in covered[row, word])
    assert any(len(found) > 1 for found in covered.values()), "neighbouring windows share words"
    with pytest.raises(ValueError, match=r"1 of 3 sentences are longer than 12 tokens: test:1 "):
        encode_words(tokenizer, sentences, max_length=12, long="refuse", split="test")
    with pytest.raises(ValueError, match=r"a word of .* tokens, but a row of 4 has room for 2"):
        encode_words(tokenizer, [["there" * 9, "a"]], max_length=4)
    with pytest.raises(ValueError, match="long must be"):
        encode_words(tokenizer, sentences, max_length=12, long="cut")


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_for_the_parser(side, tokenizers):
    tokenizer = tokenizers["wordpiece"]
    tokenizer.padding_side = side
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
