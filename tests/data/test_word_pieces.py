"""Words become tokens: each token belongs to one word, and long sentences are cut between words."""

import pytest

from hf_vanilla_transformer.data.word_pieces import encode_words
from hf_vanilla_transformer.tokenization import train_tokenizer


@pytest.fixture(scope="module")
def tokenizers():
    texts = ["don't go there now", "the dog 갔다", "잡스는 워즈니악에게 보수를", "a b c"] * 3
    return {
        kind: train_tokenizer(iter(texts), kind=kind, vocab_size=size, template="encoder")
        for kind, size in (("wordpiece", 60), ("bpe", 60), ("byte_bpe", 280), ("unigram", 60))
    }


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte_bpe", "unigram"])
def test_each_token_belongs_to_one_word(kind, tokenizers):
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
    # BERT's pre-tokenizer splits at the apostrophe in both; the others split running text at blanks only.
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
    assert any(len(found) > 1 for found in covered.values()), "adjacent windows share words"
    with pytest.raises(ValueError, match=r"1 of 3 .*max_length=12 .*test:1 "):
        encode_words(tokenizer, sentences, max_length=12, long="refuse", split="test")
    with pytest.raises(ValueError, match=r"data:0.* tokens.*max_length=4.* 2"):
        encode_words(tokenizer, [["there" * 9, "a"]], max_length=4)
    with pytest.raises(ValueError, match=r"long.*'cut'"):
        encode_words(tokenizer, sentences, max_length=12, long="cut")
