"""Attachment scores by hand, and chunks against cases whose result is known."""

import random

import pytest

from hf_vanilla_transformer.evaluation.chunking import (
    Chunk,
    are_chunk_tags,
    chunk_scores,
    chunk_scores_by_kind,
    chunks,
    tag_scores,
)
from hf_vanilla_transformer.evaluation.parsing import attachment_scores, is_punctuation, universal

WORDS = ["She", "was", "seen", ",", "yesterday"]
GOLD = ([3, 3, 0, 3, 3], ["nsubj:pass", "aux:pass", "root", "punct", "advmod"])


def test_perfect_trees():
    scores = attachment_scores([GOLD], [GOLD], [WORDS])
    assert set(scores.values()) == {1.0}


def test_each_score_by_hand():
    # Right head, subtype missing; right; right; wrong head of the comma; right head, wrong relation.
    found = ([3, 3, 0, 2, 3], ["nsubj", "aux:pass", "root", "punct", "obl"])
    other = ([0, 1], ["root", "x"])
    scores = attachment_scores([GOLD, other], [found, ([2, 0], ["x", "root"])], [WORDS, ["a", "b"]])
    assert scores == pytest.approx(
        {
            "uas": 4 / 7,
            "las": 3 / 7,
            "las_subtypes": 2 / 7,
            "uas_no_punctuation": 4 / 6,
            "las_no_punctuation": 2 / 6,
            "exact": 0.0,
            "root": 0.5,
        }
    )
    assert attachment_scores([GOLD], [found]).keys() == {"uas", "las", "las_subtypes", "exact", "root"}


def test_a_right_relation_with_a_wrong_head_is_wrong():
    assert attachment_scores([([2, 0], ["x", "root"])], [([0, 1], ["x", "root"])])["las"] == 0.0


@pytest.mark.parametrize(
    ("word", "expected"),
    [(",", True), ("...", True), ("“", True), ("$", False), ("a.", False), ("。", True)],
)
def test_punctuation_is_what_unicode_says(word, expected):
    assert is_punctuation(word) is expected


def test_subtypes():
    assert universal("nsubj:pass") == universal("nsubj") == "nsubj" and universal("acl:relcl:x") == "acl"


def test_trees_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="1 predicted trees for 2"):
        attachment_scores([GOLD, GOLD], [GOLD])
    with pytest.raises(ValueError, match="at least one"):
        attachment_scores([], [])
    with pytest.raises(ValueError, match="Sentence 0 has words, heads and relations in different numbers"):
        attachment_scores([GOLD], [([0], ["root"])])
    with pytest.raises(ValueError, match="Sentence 0"):
        attachment_scores([GOLD], [GOLD], [WORDS[:2]])
    with pytest.raises(ValueError, match="the words of 2 sentences"):
        attachment_scores([GOLD], [GOLD], [WORDS, WORDS])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-NP I-NP O B-VP", [(0, 2, "NP"), (3, 4, "VP")]),
        ("I-NP I-NP O I-VP", [(0, 2, "NP"), (3, 4, "VP")]),  # the older way to tag
        ("B-NP B-NP I-NP", [(0, 1, "NP"), (1, 3, "NP")]),
        ("B-NP I-VP I-VP", [(0, 1, "NP"), (1, 3, "VP")]),  # another type begins another chunk
        ("O I-NP B-NP", [(1, 2, "NP"), (2, 3, "NP")]),
        ("B-X I-X E-X S-X S-X B-X E-X I-X", [(0, 3, "X"), (3, 4, "X"), (4, 5, "X"), (5, 7, "X"), (7, 8, "X")]),
        ("O O", []),
        ("B-NP nonsense I-NP", [(0, 1, "NP"), (2, 3, "NP")]),
        ("B-a-b I-a-b", [(0, 2, "a-b")]),
    ],
)
def test_chunks(tags, expected):
    assert chunks(tags.split()) == [Chunk(*chunk) for chunk in expected]


def test_only_whole_chunks_of_the_right_type_count():
    gold = [["B-NP", "I-NP", "O", "B-VP", "B-PP"], ["B-NP"]]
    said = [["B-NP", "I-NP", "I-NP", "B-VP", "B-NP"], ["O"]]
    scores = chunk_scores(gold, said)
    # Right is the VP only; four are wanted, three are found.
    assert scores == pytest.approx({"precision": 1 / 3, "recall": 1 / 4, "f1": 2 / 7, "accuracy": 3 / 6})
    kinds = chunk_scores_by_kind(gold, said)
    assert list(kinds) == ["NP", "PP", "VP"]
    assert kinds["VP"]["f1"] == 1.0 and kinds["NP"]["count"] == 2 and kinds["PP"]["precision"] == 0.0


def test_chunks_do_not_reach_over_sentences_and_nothing_is_not_everything():
    assert chunk_scores([["B-X"], ["I-X"]], [["B-X"], ["I-X"]])["recall"] == 1.0
    assert chunk_scores([["O"]], [["O"]])["f1"] == 0.0
    assert tag_scores([["N", "V"]], [["N", "N"]]) == {"accuracy": 0.5}
    with pytest.raises(ValueError, match="Sentence 0 has 1 predicted tags, but 2"):
        chunk_scores([["O", "O"]], [["O"]])
    with pytest.raises(ValueError, match="with words"):
        tag_scores([[]], [[]])


def test_which_tags_are_of_chunks():
    assert are_chunk_tags(["O", "B-NP", "I-NP"]) and are_chunk_tags({"B-NP"})
    assert not are_chunk_tags(["NOUN", "VERB"]) and not are_chunk_tags(["O"]) and not are_chunk_tags(["B-NP", "X"])


def test_the_same_as_seqeval():
    """An independent scorer that follows conlleval."""
    seqeval = pytest.importorskip("seqeval.metrics")
    generator = random.Random(0)
    tags = ["O", "B-A", "I-A", "B-B", "I-B", "E-A", "S-B"]
    for _ in range(200):
        lengths = [generator.randint(1, 9) for _ in range(4)]
        gold, said = ([generator.choices(tags, k=length) for length in lengths] for _ in range(2))
        scores = chunk_scores(gold, said)
        assert scores["f1"] == pytest.approx(seqeval.f1_score(gold, said, zero_division=0))
        assert scores["precision"] == pytest.approx(seqeval.precision_score(gold, said, zero_division=0))
        assert scores["recall"] == pytest.approx(seqeval.recall_score(gold, said, zero_division=0))
