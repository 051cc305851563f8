"""Pipelines of transformers support our models and tokenizers, loaded from a folder."""

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

import hf_vanilla_transformer as vanilla

from ..tiny_models import SENTENCES, tiny_folder


def test_fill_mask(masked_lm):
    pipe = pipeline("fill-mask", model=str(masked_lm), device="cpu", top_k=3)
    text = "Paris is the [MASK] of France."
    answers = pipe(text)
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(masked_lm), AutoTokenizer.from_pretrained(masked_lm)
    inputs = tokenizer(text, return_tensors="pt")
    position = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.no_grad():
        best = model(**inputs).logits[0, position].softmax(-1).topk(3)
    assert [answer["token"] for answer in answers] == best.indices.tolist()
    assert [answer["score"] for answer in answers] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_text_generation_continues_the_prompt(causal_lm):
    pipe = pipeline("text-generation", model=str(causal_lm), device="cpu", do_sample=False, max_new_tokens=5)
    alone = [pipe(text)[0]["generated_text"] for text in SENTENCES[:3]]
    assert all(answer.startswith(text) for answer, text in zip(alone, SENTENCES))
    assert [answer[0]["generated_text"] for answer in pipe(SENTENCES[:3], batch_size=3)] == alone


def test_text_classification(text_classifier):
    pipe = pipeline("text-classification", model=str(text_classifier), device="cpu", top_k=None)
    for answers in pipe(SENTENCES[:2], batch_size=2):
        assert {answer["label"] for answer in answers} == {"contradiction", "neutral", "entailment"}
        assert sum(answer["score"] for answer in answers) == pytest.approx(1.0, abs=1e-4)


def test_zero_shot_classification(text_classifier):
    pipe = pipeline("zero-shot-classification", model=str(text_classifier), device="cpu")
    answer = pipe(SENTENCES[4], candidate_labels=["travel", "cooking"])
    assert sorted(answer["labels"]) == ["cooking", "travel"]
    assert sum(answer["scores"]) == pytest.approx(1.0, abs=1e-4)


def test_token_classification(token_classifier):
    pipe = pipeline("token-classification", model=str(token_classifier), device="cpu", ignore_labels=[])
    answers = pipe(SENTENCES[4])
    assert "".join(SENTENCES[4][answer["start"] : answer["end"]] for answer in answers) == SENTENCES[4].replace(" ", "")
    assert {answer["entity"] for answer in answers} <= {"O", "B-PLACE", "I-PLACE"}


@pytest.mark.parametrize("folder", ["masked_lm", "causal_lm"])
def test_feature_extraction(folder, request):
    pipe = pipeline("feature-extraction", model=str(request.getfixturevalue(folder)), device="cpu")
    (vectors,) = pipe(SENTENCES[0])
    assert len(vectors) == len(pipe.tokenizer(SENTENCES[0])["input_ids"])
    assert {len(vector) for vector in vectors} == {16}


@pytest.mark.parametrize(
    ("template", "name"),
    [("encoder", "VanillaEncoderForQuestionAnswering"), ("decoder", "VanillaDecoderForQuestionAnswering")],
)
def test_question_answering_with_either_stack(template, name, tmp_path):
    tiny_folder(tmp_path, getattr(vanilla, name))
    pipe = pipeline("question-answering", model=str(tmp_path), device="cpu")
    context = " ".join(SENTENCES[:3])
    answer = pipe(question="Where?", context=context)
    assert answer["answer"] == context[answer["start"] : answer["end"]] and 0 < answer["score"] <= 1
    examples = [{"question": "Where?", "context": context}, {"question": "Who runs?", "context": SENTENCES[1]}]
    alone = [pipe(example) for example in examples]
    for together, single in zip(pipe(examples, batch_size=2), alone):
        assert together["answer"] == single["answer"]
        assert together["score"] == pytest.approx(single["score"], rel=1e-4)
