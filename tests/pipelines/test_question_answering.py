"""The answers of the pipeline are the best spans, compared with a search over all spans."""

import itertools

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, pipeline

import hf_vanilla_transformer as vanilla

from ..tiny_models import SENTENCES, tiny_folder

CONTEXT = " ".join(SENTENCES[:2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("answers"), vanilla.VanillaEncoderForQuestionAnswering)


@pytest.fixture(scope="module")
def answering(folder):
    return pipeline("question-answering", model=str(folder), device="cpu")


def spans(folder, question, context, longest, allow_empty=False):
    """All spans of one window as (probability, start, end), the best first."""
    model, tokenizer = AutoModelForQuestionAnswering.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = inputs.pop("offset_mapping")[0].tolist()
    in_context = [index for index, sequence in enumerate(inputs.sequence_ids(0)) if sequence == 1]
    with torch.no_grad():
        output = model(**inputs)
    considered = ([0] if allow_empty else []) + in_context
    start = output.start_logits[0][considered].softmax(0)
    end = output.end_logits[0][considered].softmax(0)
    shift = len(considered) - len(in_context)
    found = [
        (float(start[i + shift] * end[j + shift]), offsets[in_context[i]][0], offsets[in_context[j]][1])
        for i, j in itertools.product(range(len(in_context)), repeat=2)
        if i <= j < i + longest
    ]
    if allow_empty:
        found.append((float(start[0] * end[0]), 0, 0))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("allow_empty", [False, True])
def test_the_answers_are_the_best_spans(answering, folder, allow_empty):
    options = {"top_k": 5, "max_answer_len": 4, "handle_impossible_answer": allow_empty}
    answers = answering(question="Where does he read?", context=CONTEXT, **options)
    expected = spans(folder, "Where does he read?", CONTEXT, 4, allow_empty)[:5]
    assert [(answer["start"], answer["end"]) for answer in answers] == [(begin, stop) for _, begin, stop in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([score for score, *_ in expected], rel=1e-4)
    assert all(answer["answer"] == CONTEXT[answer["start"] : answer["end"]] for answer in answers)


def test_a_long_context_is_split_into_windows(answering):
    context = " ".join(SENTENCES * 3)
    answers = answering(question="Where?", context=context, top_k=3)
    assert len({(answer["start"], answer["end"]) for answer in answers}) == 3
    batched = answering([{"question": "Where?", "context": context}], top_k=3, batch_size=4)[0]
    assert [answer["start"] for answer in batched] == [answer["start"] for answer in answers]
    assert answering(question=["Where?", "Who?"], context=context)[0]["start"] == answers[0]["start"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": "Where?", "context": " "}, "context=' '"),
        ({"question": None, "context": CONTEXT}, "question=None"),
        ({"question": "Where?", "context": CONTEXT, "top_k": 0}, "top_k=0"),
        ({"question": "Where?", "context": CONTEXT, "max_answer_len": 0}, "max_answer_len=0"),
        ({"question": "Where?", "context": CONTEXT, "max_seq_len": 4}, r"\b4 tokens.*'Where\?'"),
        ({"question": "Where?", "context": CONTEXT, "topk": 2}, "topk"),
        ({"question": ["Where?"], "context": [CONTEXT, CONTEXT]}, "1 questions but 2 contexts"),
    ],
)
def test_invalid_arguments_are_named(answering, arguments, message):
    with pytest.raises(ValueError, match=message):
        answering(**arguments)
