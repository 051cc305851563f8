"""Answers are the best spans of the context, by a search over all of them written out."""

import itertools

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, pipeline

import hf_vanilla_transformer as vanilla

from ..tiny_folders import SENTENCES, save_tiny

CONTEXT = " ".join(SENTENCES[:2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("answers"), "encoder", vanilla.VanillaEncoderForQuestionAnswering)


@pytest.fixture(scope="module")
def answering(folder):
    return pipeline("question-answering", model=str(folder), device="cpu")


def spans(folder, question, context, longest, impossible=False):
    """Every span of one window with its probability, best first."""
    model, tokenizer = AutoModelForQuestionAnswering.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    places = inputs.pop("offset_mapping")[0].tolist()
    where = [index for index, sequence in enumerate(inputs.sequence_ids(0)) if sequence == 1]
    with torch.no_grad():
        output = model(**inputs)
    considered = ([0] if impossible else []) + where
    start = output.start_logits[0][considered].softmax(0)
    end = output.end_logits[0][considered].softmax(0)
    offset = len(considered) - len(where)
    found = [
        (float(start[i + offset] * end[j + offset]), places[where[i]][0], places[where[j]][1])
        for i, j in itertools.product(range(len(where)), repeat=2)
        if i <= j < i + longest
    ]
    if impossible:
        found.append((float(start[0] * end[0]), 0, 0))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("impossible", [False, True])
def test_the_best_spans(answering, folder, impossible):
    options = {"top_k": 5, "max_answer_len": 4, "handle_impossible_answer": impossible}
    answers = answering(question="Where does he read?", context=CONTEXT, **options)
    expected = spans(folder, "Where does he read?", CONTEXT, 4, impossible)[:5]
    assert [(answer["start"], answer["end"]) for answer in answers] == [(begin, stop) for _, begin, stop in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([score for score, *_ in expected], rel=1e-4)
    assert all(answer["answer"] == CONTEXT[answer["start"] : answer["end"]] for answer in answers)


def test_a_long_context_is_read_in_windows(answering):
    context = " ".join(SENTENCES * 3)
    answers = answering(question="Where?", context=context, top_k=3)
    assert len({(answer["start"], answer["end"]) for answer in answers}) == 3
    batched = answering([{"question": "Where?", "context": context}], top_k=3, batch_size=4)[0]
    assert [answer["start"] for answer in batched] == [answer["start"] for answer in answers]
    assert answering(question=["Where?", "Who?"], context=context)[0]["start"] == answers[0]["start"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": "Where?", "context": " "}, "the context is ' '"),
        ({"question": None, "context": CONTEXT}, "the question is None"),
        ({"question": "Where?", "context": CONTEXT, "top_k": 0}, "top_k=0"),
        ({"question": "Where?", "context": CONTEXT, "max_seq_len": 4}, "no room beside"),
        ({"question": "Where?", "context": CONTEXT, "topk": 2}, "no option topk"),
        ({"question": ["Where?"], "context": [CONTEXT, CONTEXT]}, "1 questions but 2 contexts"),
    ],
)
def test_faults_are_named(answering, arguments, message):
    with pytest.raises(ValueError, match=message):
        answering(**arguments)
