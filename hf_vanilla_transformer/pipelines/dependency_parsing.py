"""Dependency parsing: which word each word of a sentence depends on, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers.pipelines.base import Pipeline

from ..data.collators.dependency_parsing import DependencyParsingCollator
from ..data.word_pieces import encode_words


class DependencyParsingPipeline(Pipeline):
    """The dependency trees of sentences.

    Use it through `pipeline("dependency-parsing", model=...)` with a model that `hf-vanilla finetune` made for the task
    ``dependency_parsing``. Called with a sentence, a list of words or a text whose words stand between blanks (a full
    stop is a word of its own, where it was one in training), it gives

    ``{"words": [...], "heads": [...], "relations": [...], "scores": [...]}``,

    where `heads` counts words from 1 and is 0 for the root, and `scores` has the probability of each arc with its
    relation. Called with a list of sentences, it gives a list of those; a list of texts is a list of words, so give
    several sentences as lists of words, or texts with `sentences=True`.

    Args:
        single_root: whether exactly one word hangs on the root, as in Universal Dependencies.

    Raises:
        ValueError: a sentence has no words, or more tokens than the model reads.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self.model, "parse"):
            raise ValueError(
                f"{type(self.model).__name__} is no parser: load a VanillaEncoderForDependencyParsing, such as "
                "hf-vanilla finetune --task dependency_parsing makes."
            )
        if not self.tokenizer.is_fast:
            raise ValueError(f"{type(self.tokenizer).__name__} cannot say where words begin: use a fast tokenizer.")
        self.model.eval()

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Saves the model and the tokenizer; the pipeline is no part of them, and its code need not travel along."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def __call__(self, inputs: Any, *, sentences: bool | None = None, **kwargs: Any) -> Any:
        """Trees; the options are those of the class, and `batch_size`.

        Args:
            inputs: a text, the words of a sentence, or a list of sentences.
            sentences: whether `inputs` is several sentences; None for "if it is a list of lists".
        """
        if sentences is None:
            sentences = isinstance(inputs, (list, tuple)) and any(isinstance(one, (list, tuple)) for one in inputs)
        if not sentences:
            return super().__call__(_Words(_words(inputs)), **kwargs)
        found = [_Words(_words(one)) for one in inputs]
        return super().__call__(found, **kwargs) if found else []

    def _sanitize_parameters(self, single_root: bool | None = None, **parameters: Any) -> tuple[dict, dict, dict]:
        if parameters:
            raise ValueError(f"dependency-parsing has no option {', '.join(sorted(parameters))}.")
        return {}, {} if single_root is None else {"single_root": single_root}, {}

    def preprocess(self, sentence: _Words) -> dict[str, Any]:
        """Ids `(1, length)` and the words they are of."""
        limits = (getattr(self.model.config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        length = min(limit for limit in limits if limit)
        encoded = encode_words(
            self.tokenizer, [sentence.words], max_length=length, long="refuse", split="dependency-parsing"
        )
        row = {"input_ids": encoded.input_ids[0], "word_ids": encoded.word_ids[0]}
        batch = DependencyParsingCollator(self.tokenizer)([row])
        # The base class pads batches with zeros, so no word is 0 on the way to the model.
        return {**batch, "word_ids": batch["word_ids"] + 1, "sentence": sentence}

    def _forward(self, model_inputs: dict[str, Any], single_root: bool = True) -> dict[str, Any]:
        sentences = model_inputs.pop("sentence")
        word_ids = model_inputs.pop("word_ids") - 1
        trees = self.model.parse(**model_inputs, word_ids=word_ids, single_root=single_root)
        # One sentence, or a batch, which the base class takes apart into what it holds.
        return {"trees": list(zip([sentences] if isinstance(sentences, _Words) else sentences, trees))}

    def postprocess(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """The tree of one sentence with the names of its relations."""
        found = outputs["trees"]
        sentence, tree = found[0] if isinstance(found, list) else found
        names = self.model.config.id2label
        return {
            "words": sentence.words,
            "heads": tree.heads,
            "relations": [names[label] for label in tree.labels],
            "scores": tree.scores,
        }


class _Words:
    """A sentence: the base class takes a list for several inputs."""

    def __init__(self, words: list[str]) -> None:
        self.words = words


def _words(sentence: Any) -> list[str]:
    words = sentence.split() if isinstance(sentence, str) else sentence
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"A sentence must be a text or a list of words, but is {sentence!r}.")
    if not words or not all(word.strip() for word in words):
        raise ValueError(f"A sentence must have words, none of them empty, but is {sentence!r}.")
    return list(words)


__all__ = ["DependencyParsingPipeline"]
