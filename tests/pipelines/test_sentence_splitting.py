"""Splitting text into sentences keeps every character; joining restores the white space."""

import pytest

from hf_vanilla_transformer.pipelines import Sentence, join_sentences, split_sentences


def texts(text):
    return [sentence.text for sentence in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He came. She went! Why? 3 dogs ran.", ["He came.", "She went!", "Why?", "3 dogs ran."]),
        ('He said: "Go." Then he went.', ['He said: "Go."', "Then he went."]),
        ("Mr. Smith met Dr. Jones at 5 p.m. on Monday.", ["Mr. Smith met Dr. Jones at 5 p.m. on Monday."]),
        ("J. R. R. Tolkien wrote it. I read it.", ["J. R. R. Tolkien wrote it.", "I read it."]),
        ("Am 3. Oktober, z.B. Berlin. Es war 1999. Dann kam er.",
         ["Am 3. Oktober, z.B. Berlin.", "Es war 1999.", "Dann kam er."]),
        ("Version 2.5 costs 3.50 euros. Good.", ["Version 2.5 costs 3.50 euros.", "Good."]),
        ("a man rides . a dog runs ? yes", ["a man rides .", "a dog runs ?", "yes"]),
        ("Well... maybe. Hm… Yes.", ["Well... maybe.", "Hm…", "Yes."]),
        ("나는 간다. 너는 온다.", ["나는 간다.", "너는 온다."]),
        ("我走了。你来了！「好。」她说。", ["我走了。", "你来了！", "「好。」", "她说。"]),
        ("A title\n\nthe text. more", ["A title", "the text. more"]),
        ("No end", ["No end"]),
        ("   ", []),
        ("", []),
        ("...", ["..."]),
    ],
)  # fmt: skip
def test_text_is_split_into_sentences(text, sentences):
    assert texts(text) == sentences


@pytest.mark.parametrize(
    "text", ["One. Two.\n\nThree?  Four.\n", "我走了。你来了。", "He came.\t\nShe went!   Then .", "x\n\n\ny\r\nz"]
)
def test_splitting_keeps_every_character(text):
    assert "".join(sentence.text + sentence.gap for sentence in split_sentences(text)) == text


def test_joining_restores_the_gaps_of_the_source():
    source = split_sentences("One. Two.\n\nThree.\n")
    assert join_sentences(source) == "One. Two.\n\nThree."
    translated = [Sentence(text, gap) for text, (_, gap) in zip(["Un.", "Deux.", "Trois."], source)]
    assert join_sentences(translated) == "Un. Deux.\n\nTrois."


def test_joining_adds_a_space_where_the_source_has_none():
    gaps = split_sentences("我走了。你来了。")
    assert join_sentences(Sentence(text, gap) for text, (_, gap) in zip(["I went.", "You came."], gaps)) == (
        "I went. You came."
    )
    assert join_sentences(gaps) == "我走了。你来了。"
