"""Attachment scores by hand."""

import pytest

from hf_vanilla_transformer.evaluation.attachment_scores import AttachmentScores, is_punctuation, universal

WORDS = ["She", "was", "seen", ",", "yesterday"]


def tree(heads, relations):
    return {"heads": heads, "relations": relations}


GOLD = tree([3, 3, 0, 3, 3], ["nsubj:pass", "aux:pass", "root", "punct", "advmod"])


def scores_of(gold, predicted, tokens=None):
    columns = {"predictions": predicted, "references": gold} | ({} if tokens is None else {"tokens": tokens})
    return AttachmentScores(tokens=tokens is not None).compute(**columns)


def test_perfect_trees_score_1():
    scores = scores_of([GOLD], [GOLD], [WORDS])
    assert set(scores.values()) == {1.0}


def test_each_score_by_hand():
    # Right head, subtype missing; right; right; wrong head of the comma; right head, wrong relation.
    predicted = tree([3, 3, 0, 2, 3], ["nsubj", "aux:pass", "root", "punct", "obl"])
    other = tree([0, 1], ["root", "x"])
    scores = scores_of([GOLD, other], [predicted, tree([2, 0], ["x", "root"])], [WORDS, ["a", "b"]])
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
    assert scores_of([GOLD], [predicted]).keys() == {"uas", "las", "las_subtypes", "exact", "root"}


def test_a_right_relation_with_a_wrong_head_is_wrong():
    assert scores_of([tree([2, 0], ["x", "root"])], [tree([0, 1], ["x", "root"])])["las"] == 0.0


@pytest.mark.parametrize(
    ("word", "expected"),
    [(",", True), ("...", True), ("“", True), ("$", False), ("a.", False), ("。", True)],
)
def test_punctuation_is_defined_by_unicode(word, expected):
    assert is_punctuation(word) is expected


def test_a_universal_relation_has_no_subtype():
    assert universal("nsubj:pass") == universal("nsubj") == "nsubj" and universal("acl:relcl:x") == "acl"


def test_trees_of_different_sentences_are_an_error():
    with pytest.raises(ValueError, match="predictions has 1, references has 2"):
        scores_of([GOLD, GOLD], [GOLD])
    with pytest.raises(ValueError, match="no rows"):
        scores_of([], [])
    with pytest.raises(ValueError, match="Sentence 0 has 5 gold heads, 5 gold relations, 1 predicted heads"):
        scores_of([GOLD], [tree([0], ["root"])])
    with pytest.raises(ValueError, match=r"Sentence 1 .* 2 tokens"):
        scores_of([GOLD, GOLD], [GOLD, GOLD], [WORDS, WORDS[:2]])
    with pytest.raises(ValueError, match="tokens has 2"):
        scores_of([GOLD], [GOLD], [WORDS, WORDS])


def test_columns_that_do_not_fit_the_options_are_an_error():
    with pytest.raises(ValueError, match="predictions, references, tokens, but got predictions, references"):
        AttachmentScores(tokens=True).compute(predictions=[GOLD], references=[GOLD], tokens=None)
    with pytest.raises(ValueError, match="tokens"):
        AttachmentScores().add_batch(predictions=[GOLD], references=[GOLD], tokens=[WORDS])
