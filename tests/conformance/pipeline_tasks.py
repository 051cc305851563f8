"""What each text pipeline must give, in the form that `PipelineTesterMixin` calls.

The source distribution has the mixin without these classes; they are our own. Each has `get_test_pipeline` and
`run_pipeline_test`.
"""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from transformers import pipeline

from tests.conformance.pipeline_models import SENTENCES


class PipelineTask(TestCase):
    """A pipeline for one task and what it is tried on."""

    task = ""
    examples: list[Any] = SENTENCES

    def get_test_pipeline(self, model: Any, tokenizer: Any, dtype: str = "float32", **processors: Any) -> tuple:
        return pipeline(self.task, model=model, tokenizer=tokenizer, dtype=dtype, device="cpu"), self.examples

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        raise NotImplementedError


class FeatureExtraction(PipelineTask):
    """Hidden states, one vector a token."""

    task = "feature-extraction"

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        for text in examples:
            (vectors,) = pipe(text)
            self.assertEqual(len(vectors), len(pipe.tokenizer(text)["input_ids"]))
            self.assertEqual({len(vector) for vector in vectors}, {pipe.model.config.hidden_size})


class FillMask(PipelineTask):
    """The likeliest words in the place of a mask."""

    task = "fill-mask"
    examples = ["This is a [MASK]", "[MASK] is very good , not bad ."]

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        for text in examples:
            answers = pipe(text, top_k=3)
            self.assertEqual(len(answers), 3)
            scores = [answer["score"] for answer in answers]
            self.assertEqual(scores, sorted(scores, reverse=True))
            for answer in answers:
                self.assertEqual(set(answer), {"score", "token", "token_str", "sequence"})
        self.assertEqual(
            [a["token"] for a in pipe("a [MASK]", targets=["red"])], [pipe.tokenizer("red")["input_ids"][1]]
        )


class TextClassification(PipelineTask):
    """A label with its probability."""

    task = "text-classification"

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        labels = set(pipe.model.config.label2id)
        for answer in pipe(examples):
            self.assertIn(answer["label"], labels)
        (answers,) = pipe([examples[0]], top_k=None)
        self.assertEqual({answer["label"] for answer in answers}, labels)
        self.assertAlmostEqual(sum(answer["score"] for answer in answers), 1.0, places=2)
        (paired,) = pipe([{"text": examples[0], "text_pair": examples[1]}])
        self.assertIn(paired["label"], labels)


class TokenClassification(PipelineTask):
    """A label for each word, or for spans of them."""

    task = "token-classification"

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        labels = set(pipe.model.config.label2id)
        for text, answers in zip(examples, pipe(examples)):
            for answer in answers:
                self.assertIn(answer["entity"], labels)
                self.assertTrue(0 <= answer["start"] < answer["end"] <= len(text))
        for span in pipe(examples[0], aggregation_strategy="simple"):
            self.assertEqual(set(span), {"entity_group", "score", "word", "start", "end"})


class TextGeneration(PipelineTask):
    """A continuation, with and without the prompt."""

    task = "text-generation"

    def get_test_pipeline(self, model: Any, tokenizer: Any, dtype: str = "float32", **processors: Any) -> tuple:
        model.generation_config.max_new_tokens = 8
        return super().get_test_pipeline(model, tokenizer, dtype, **processors)

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        (full,) = pipe(examples[0], max_new_tokens=4, do_sample=False)
        (rest,) = pipe(examples[0], max_new_tokens=4, do_sample=False, return_full_text=False)
        self.assertTrue(full["generated_text"].startswith(examples[0]))
        self.assertEqual(full["generated_text"].removeprefix(examples[0]), rest["generated_text"])
        several = pipe(examples[:2], max_new_tokens=4, do_sample=True, num_return_sequences=2)
        self.assertEqual([len(answers) for answers in several], [2, 2])


class ZeroShotClassification(PipelineTask):
    """Labels named at the time of asking."""

    task = "zero-shot-classification"
    examples = [{"sequences": SENTENCES[0], "candidate_labels": ["politics", "health"]}]

    def get_test_pipeline(self, model: Any, tokenizer: Any, dtype: str = "float32", **processors: Any) -> tuple:
        pipe, _ = super().get_test_pipeline(model, tokenizer, dtype, **processors)

        def classify(example: Any, **kwargs: Any) -> Any:
            """The mixin calls a pipeline with examples one by one, this pipeline takes labels too."""
            if isinstance(example, dict):
                return pipe(**example)
            return [pipe(**each) for each in example]

        classify.tokenizer = pipe.tokenizer
        return classify, self.examples

    def run_pipeline_test(self, pipe: Any, examples: list[Any]) -> None:
        answer = pipe(examples[0])
        self.assertEqual(sorted(answer["labels"]), ["health", "politics"])
        self.assertAlmostEqual(sum(answer["scores"]), 1.0, places=2)
        self.assertEqual(answer["scores"], sorted(answer["scores"], reverse=True))


CLASSES = {
    "feature-extraction": FeatureExtraction,
    "fill-mask": FillMask,
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "text-generation": TextGeneration,
    "zero-shot": ZeroShotClassification,
}
