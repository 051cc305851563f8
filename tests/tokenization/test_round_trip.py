import unicodedata

import pyarrow.parquet
import pytest

from hf_vanilla_transformer.tokenization import train_tokenizer

STRANGE = [
    "Zum  Beispiel:\tzwei  Leerzeichen ",
    " vorn",
    "日本語 🤖 مرحبا",
    "a\nb",
    "",
    "x" * 300,
    "Ġ ▁ ## </w>",
    "don't ...",
]


def round_trip(tokenizer, texts):
    return tokenizer.batch_decode(tokenizer(texts)["input_ids"], skip_special_tokens=True)


@pytest.mark.parametrize("template", ["seq2seq", "decoder", "encoder"])
@pytest.mark.parametrize("pretokenized", [False, True])
def test_byte_level_bpe_restores_any_text(template, pretokenized, european):
    tokenizer = train_tokenizer(
        european, kind="byte_bpe", vocab_size=500, template=template, pretokenized=pretokenized, unicode_form=None
    )
    decomposed = unicodedata.normalize("NFD", "Bücher 한국어")
    texts = [*european, *STRANGE, decomposed]
    assert round_trip(tokenizer, texts) == texts


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_text_with_single_spaces_is_restored(kind, european):
    tokenizer = train_tokenizer(european, kind=kind, vocab_size=300, template="seq2seq")
    assert round_trip(tokenizer, european) == european


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_byte_fallback_encodes_unseen_characters(kind, european):
    tokenizer = train_tokenizer(european, kind=kind, vocab_size=600, template="seq2seq", byte_fallback=True)
    texts = ["日本語 und 🤖 x", "ein 한", "한국어 한"]
    assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(texts)["input_ids"])
    assert round_trip(tokenizer, texts) == texts


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "wordpiece", "unigram"])
def test_tokenized_lower_case_text_is_restored(kind):
    texts = ["a man 's dog , isn &apos;t it ?", "zwei kinder - und ein ball .", "l&apos; homme ( 3.5 m ) est là ."] * 20
    tokenizer = train_tokenizer(
        texts, kind=kind, vocab_size=400, template="seq2seq", pretokenized=True, min_frequency=1, lowercase=True
    )
    assert round_trip(tokenizer, texts) == texts
    # No token spans a space, so the number of words is that of a BLEU that splits at spaces.
    words = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("it 's ( 3.5 )")
    assert len(words) == 5


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "wordpiece", "unigram"])
def test_korean_text_is_restored(kind, korean):
    tokenizer = train_tokenizer(korean, kind=kind, vocab_size=500, template="seq2seq", pretokenized=True)
    assert round_trip(tokenizer, korean) == korean
    # macOS decomposes syllables into letters; the Unicode normal form composes them again.
    decomposed = [unicodedata.normalize("NFD", text) for text in korean]
    assert round_trip(tokenizer, decomposed) == korean


def test_stripping_accents_keeps_korean_syllables_composed(korean, european):
    tokenizer = train_tokenizer(
        korean + european, kind="wordpiece", vocab_size=600, template="encoder", lowercase=True, strip_accents=True
    )
    assert tokenizer.tokenize("학교에 갔다") == tokenizer.tokenize(unicodedata.normalize("NFD", "학교에 갔다"))
    assert tokenizer.decode(tokenizer("학교에 갔다 CAFÉ")["input_ids"], skip_special_tokens=True) == "학교에 갔다 cafe"


def test_text_is_converted_to_lower_case(european):
    tokenizer = train_tokenizer(european, kind="byte_bpe", vocab_size=400, template="seq2seq", lowercase=True)
    assert round_trip(tokenizer, ["The Straße ÄPFEL"]) == ["the straße äpfel"]


def test_real_korean_sentences_are_restored(shared_data):
    def column(name, language=None):
        values = pyarrow.parquet.read_table(shared_data / f"{name}.parquet").column(
            "translation" if language else "text"
        )
        return [value[language] for value in values.to_pylist()] if language else values.to_pylist()

    train, news = column("korean_english/train", "ko"), column("korean_english/news_dev", "ko")
    reviews = column("nsmc/test")[:2000]
    unseen = [unicodedata.normalize("NFC", text) for text in news + reviews]
    byte_level = train_tokenizer(train, kind="byte_bpe", vocab_size=2000, template="seq2seq")
    assert round_trip(byte_level, unseen) == unseen
    spaced = [" ".join(text.split()) for text in unseen]
    for kind in ("bpe", "unigram"):
        tokenizer = train_tokenizer(train, kind=kind, vocab_size=2700, template="seq2seq", byte_fallback=True)
        assert round_trip(tokenizer, spaced) == spaced


def test_real_tokenized_sentences_are_restored(shared_data):
    table = pyarrow.parquet.read_table(shared_data / "multi30k_tok" / "validation.parquet")
    texts = [pair[language] for pair in table.column("translation").to_pylist() for language in ("en", "de")]
    for kind in ("bpe", "byte_bpe"):
        tokenizer = train_tokenizer(texts[:1000], kind=kind, vocab_size=1500, template="seq2seq", pretokenized=True)
        known = [text for text in texts if tokenizer.unk_token_id not in tokenizer(text)["input_ids"]]
        assert len(known) > 0.99 * len(texts)
        assert round_trip(tokenizer, known) == known
