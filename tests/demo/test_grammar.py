"""The English-French grammar: correct French, a compositional test split, and a corpus determined by its seed."""

import datetime
import itertools

import pytest

from hf_vanilla_transformer.demo.english_french.lexicon import ADJECTIVE_BY_ENGLISH, NOUN_BY_ENGLISH
from hf_vanilla_transformer.demo.english_french.numbers import dated, english_number, french_number
from hf_vanilla_transformer.demo.english_french.sentences import SentenceGrammar
from hf_vanilla_transformer.demo.english_french.spelling import Word, spell_english, spell_french, written
from hf_vanilla_transformer.demo.grammar import grammar_corpus, is_held_out, sentence_pairs


def french(*words: str | Word) -> str:
    """The spelling of a list of words; `le`, `la` and `les` are articles."""
    forms = {
        "le": Word("le", before_vowel="l'", article=True),
        "la": Word("la", before_vowel="l'", article=True),
        "les": Word("les", article=True),
    }
    spelled = spell_french(forms.get(word, Word(word)) if isinstance(word, str) else word for word in words)
    return " ".join(word.text for word in spelled)


@pytest.fixture(scope="module")
def corpus():
    return grammar_corpus(4000, 100, 200, seed=3)


def test_french_elision_and_contraction():
    assert french("je", "aime", "le", "homme") == "j'aime l'homme"
    assert french("de", "le", "chat") == "du chat"
    assert french("de", "les", "enfants") == "des enfants"
    assert french("à", "le", "marché") == "au marché"
    assert french("à", "la", "école") == "à l'école"
    assert french("de", "le", "ami") == "de l'ami"
    assert french("il", "ne", "y", "a", "pas", "de", "eau") == "il n'y a pas d'eau"
    assert french("que", "huit", "hommes") == "que huit hommes"
    assert french(Word("ma", before_vowel="mon"), "actrice") == "mon actrice"
    assert french(Word("vieux", before_vowel="vieil"), "homme") == "vieil homme"


def test_a_clitic_does_not_contract():
    clitic = Word("le", before_vowel="l'")
    assert french("besoin", "de", clitic, "voir") == "besoin de le voir"


def test_the_english_article_before_a_vowel():
    words = [Word("a"), Word("orange"), Word("and"), Word("a"), Word("European"), Word("law")]
    assert " ".join(word.text for word in spell_english(words)) == "an orange and a European law"


def test_blanks_before_punctuation():
    assert written(["est-ce", "que", "oui", "?"], blank_before_question_mark=True) == "Est-ce que oui ?"
    assert written(["hier", ",", "non", "."], blank_before_question_mark=False) == "Hier, non."


@pytest.mark.parametrize(
    ("number", "english", "masculine", "feminine"),
    [
        (1, "one", "un", "une"),
        (16, "sixteen", "seize", "seize"),
        (21, "twenty-one", "vingt et un", "vingt et une"),
        (22, "twenty-two", "vingt-deux", "vingt-deux"),
        (70, "seventy", "soixante-dix", "soixante-dix"),
        (71, "seventy-one", "soixante et onze", "soixante et onze"),
        (80, "eighty", "quatre-vingts", "quatre-vingts"),
        (81, "eighty-one", "quatre-vingt-un", "quatre-vingt-une"),
        (91, "ninety-one", "quatre-vingt-onze", "quatre-vingt-onze"),
        (99, "ninety-nine", "quatre-vingt-dix-neuf", "quatre-vingt-dix-neuf"),
    ],
)
def test_numbers_in_words(number, english, masculine, feminine):
    assert english_number(number) == english
    assert french_number(number) == masculine
    assert french_number(number, feminine=True) == feminine


@pytest.mark.parametrize("number", [0, 100, -1])
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(ValueError, match=f"number={number}"):
        french_number(number)


def test_numbers_are_all_different():
    assert len({french_number(number) for number in range(1, 100)}) == 99
    assert len({english_number(number) for number in range(1, 100)}) == 99


def test_dates_in_both_languages():
    day = datetime.date(1999, 5, 1)
    assert dated(day, weekday=False) == ("on May 1, 1999", "le 1er mai 1999")
    assert dated(day, weekday=True) == ("on Saturday, May 1, 1999", "le samedi 1er mai 1999")


@pytest.mark.parametrize(
    ("english", "plural"),
    [("horse", "chevaux"), ("newspaper", "journaux"), ("bird", "oiseaux"), ("mouse", "souris"), ("juice", "jus")],
)
def test_french_plurals(english, plural):
    assert NOUN_BY_ENGLISH[english].french_plural == plural


@pytest.mark.parametrize(
    ("english", "forms"),
    [
        ("social", ("social", "sociale", "sociaux", "sociales")),
        ("new", ("nouveau", "nouvelle", "nouveaux", "nouvelles")),
        ("happy", ("heureux", "heureuse", "heureux", "heureuses")),
        ("expensive", ("cher", "chère", "chers", "chères")),
        ("French", ("français", "française", "français", "françaises")),
        ("red", ("rouge", "rouge", "rouges", "rouges")),
    ],
)
def test_adjectives_agree(english, forms):
    adjective = ADJECTIVE_BY_ENGLISH[english]
    assert (
        tuple(adjective.french(gender, plural) for plural in (False, True) for gender in ("m", "f"))
        == (forms[0], forms[1], forms[2], forms[3])
    )  # fmt: skip


def test_every_pattern_writes_sentences(corpus):
    starts = [pair.french for pair in corpus.train]
    for expected in (" ne ", " n'", "Est-ce qu", " jamais ", " lui ", " qui ", " en ", "Il y a ", " ans.", " euros."):
        assert any(expected in f" {sentence}" for sentence in starts), expected
    assert set(SentenceGrammar.patterns) == {
        name[1:] for name in dir(SentenceGrammar) if name[1:] in SentenceGrammar.patterns
    }


def test_french_is_always_elided_and_contracted(corpus):
    for pair in corpus.train:
        words = pair.french.lower().split()
        for word, following in itertools.pairwise(words):
            if word in ("le", "la", "je", "ne", "de", "que", "me") and following.split("-")[0] not in ("huit", "onze"):
                assert following[0] not in "aeiouéèêâîôhœy", pair.french
            assert (word, following) not in {("à", "les"), ("de", "les")}, pair.french


def test_no_sentence_occurs_twice(corpus):
    english = [pair.english for part in (corpus.train, corpus.validation, corpus.test) for pair in part]
    assert len(english) == len(set(english)) == 4300


def test_an_english_sentence_has_one_translation():
    translations = {}
    for pair in itertools.islice(sentence_pairs(5), 6000):
        assert translations.setdefault(pair.english, pair.french) == pair.french


def test_each_test_sentence_has_a_combination_absent_from_training(corpus):
    trained = {combination for pair in corpus.train for combination in pair.combinations}
    assert not any(is_held_out(combination) for combination in trained)
    for pair in corpus.test:
        assert any(is_held_out(combination) and combination not in trained for combination in pair.combinations)


def test_all_words_of_the_test_occur_in_training(corpus):
    trained = set().union(*(pair.vocabulary for pair in corpus.train))
    assert all(pair.vocabulary <= trained for pair in corpus.test)


def test_sentences_have_4_to_16_words(corpus):
    for pair in corpus.train:
        assert 4 <= len(pair.english_words) - 1 <= 16
        assert 4 <= len(pair.french_words) - 1 <= 16


def test_the_seed_determines_the_corpus():
    first, again, other = (grammar_corpus(50, 5, 5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.train != other.train


def test_alignments_link_words(corpus):
    for pair in corpus.train[:500]:
        assert " ".join(pair.english_words).replace(" ,", ",").replace(" .", ".").replace(" ?", "?") == pair.english
        for i, j in pair.alignment:
            assert i < len(pair.english_words)
            assert j < len(pair.french_words)
        assert {j for _, j in pair.alignment} >= {len(pair.french_words) - 1}


def test_alignments_cross_where_the_order_differs(corpus):
    assert sum(pair.crossings > 0 for pair in corpus.train) > len(corpus.train) / 2
    pair = next(pair for pair in corpus.train if pair.english.startswith("The black ") and pair.crossings)
    noun = pair.english_words[2]
    assert (2, 1) in pair.alignment or noun.endswith("'s") or pair.french_words[0].startswith("L'")


@pytest.mark.parametrize("sizes", [(0, 1, 1), (10, -1, 1), (10, 1, 0)])
def test_sizes_below_1_are_refused(sizes):
    with pytest.raises(ValueError, match=r"=-?[01] "):
        grammar_corpus(*sizes)
