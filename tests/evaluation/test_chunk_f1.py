"""Chunks and their F1, against cases whose result is known and against seqeval."""

import random

import pytest

from hf_vanilla_transformer.evaluation.chunk_f1 import ChunkF1
from hf_vanilla_transformer.evaluation.chunks import Span, are_chunk_tags, chunks
from hf_vanilla_transformer.evaluation.tag_accuracy import TagAccuracy


def chunk_scores(gold, predicted, **options):
    return ChunkF1(**options).compute(predictions=predicted, references=gold)


def tag_scores(gold, predicted):
    return TagAccuracy().compute(predictions=predicted, references=gold)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-NP I-NP O B-VP", [(0, 2, "NP"), (3, 4, "VP")]),
        ("I-NP I-NP O I-VP", [(0, 2, "NP"), (3, 4, "VP")]),  # IOB1
        ("B-NP B-NP I-NP", [(0, 1, "NP"), (1, 3, "NP")]),
        ("B-NP I-VP I-VP", [(0, 1, "NP"), (1, 3, "VP")]),  # another type begins another chunk
        ("O I-NP B-NP", [(1, 2, "NP"), (2, 3, "NP")]),
        ("B-X I-X E-X S-X S-X B-X E-X I-X", [(0, 3, "X"), (3, 4, "X"), (4, 5, "X"), (5, 7, "X"), (7, 8, "X")]),
        ("O O", []),
        ("B-NP nonsense I-NP", [(0, 1, "NP"), (2, 3, "NP")]),
        ("B-a-b I-a-b", [(0, 2, "a-b")]),
    ],
)
def test_tags_become_chunks(tags, expected):
    assert chunks(tags.split()) == [Span(*span) for span in expected]


def test_only_complete_chunks_of_the_right_type_count():
    gold = [["B-NP", "I-NP", "O", "B-VP", "B-PP"], ["B-NP"]]
    predicted = [["B-NP", "I-NP", "I-NP", "B-VP", "B-NP"], ["O"]]
    scores = chunk_scores(gold, predicted, by_type=True)
    types = scores.pop("types")
    # Only the VP is right, of four gold and three predicted chunks.
    assert scores == pytest.approx({"precision": 1 / 3, "recall": 1 / 4, "f1": 2 / 7, "accuracy": 3 / 6})
    assert scores == chunk_scores(gold, predicted)
    assert list(types) == ["NP", "PP", "VP"]
    assert types["VP"]["f1"] == 1.0 and types["NP"]["count"] == 2 and types["PP"]["precision"] == 0.0


def test_chunks_do_not_cross_sentences_and_no_chunks_score_0():
    assert chunk_scores([["B-X"], ["I-X"]], [["B-X"], ["I-X"]])["recall"] == 1.0
    assert chunk_scores([["O"]], [["O"]])["f1"] == 0.0
    assert tag_scores([["N", "V"]], [["N", "N"]]) == {"accuracy": 0.5}


@pytest.mark.parametrize("score", [chunk_scores, tag_scores])
def test_sentences_that_differ_in_length_and_empty_ones_are_an_error(score):
    with pytest.raises(ValueError, match="Sentence 0 has 1 predicted tags and 2 gold tags"):
        score([["O", "O"]], [["O"]])
    with pytest.raises(ValueError, match="1 sentences have no words"):
        score([[]], [[]])
    with pytest.raises(ValueError, match="predictions has 1, references has 2"):
        score([["O"], ["O"]], [["O"]])


def test_tags_of_chunks_are_recognized():
    assert are_chunk_tags(["O", "B-NP", "I-NP"]) and are_chunk_tags({"B-NP"})
    assert not are_chunk_tags(["NOUN", "VERB"]) and not are_chunk_tags(["O"]) and not are_chunk_tags(["B-NP", "X"])


def test_scores_equal_those_of_seqeval():
    """An independent scorer that follows conlleval."""
    seqeval = pytest.importorskip("seqeval.metrics")
    generator = random.Random(0)
    tags = ["O", "B-A", "I-A", "B-B", "I-B", "E-A", "S-B"]
    for _ in range(200):
        lengths = [generator.randint(1, 9) for _ in range(4)]
        gold, predicted = ([generator.choices(tags, k=length) for length in lengths] for _ in range(2))
        scores = chunk_scores(gold, predicted)
        assert scores["f1"] == pytest.approx(seqeval.f1_score(gold, predicted, zero_division=0))
        assert scores["precision"] == pytest.approx(seqeval.precision_score(gold, predicted, zero_division=0))
        assert scores["recall"] == pytest.approx(seqeval.recall_score(gold, predicted, zero_division=0))
