"""Dependency parsing: the head of each word in a sentence, and its relation to the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers.pipelines.base import Pipeline

from ..data.collators.dependency_parsing import DependencyParsingCollator
from ..data.word_pieces import encode_words
from ..inference.flat_encoder import skipped_padding


class DependencyParsingPipeline(Pipeline):
    """Predicts the dependency trees of sentences.

    Use it through `pipeline("dependency-parsing", model=...)` with a model that was fine-tuned for the task
    ``dependency_parsing``. A sentence is a list of words, or a text in which white space separates the words and the
    punctuation. For a sentence, the pipeline returns

    ``{"words": [...], "heads": [...], "relations": [...], "scores": [...]}``,

    where `heads` counts words from 1 and is 0 for the root, and `scores` contains the probability of each arc with its
    relation. For a list of sentences, it returns a list of these dicts. A list of texts is read as one list of words;
    pass `sentences=True` to read it as several sentences.

    Args:
        single_root: exactly one word depends on the root, as in Universal Dependencies; True by default.

    Raises:
        ValueError: a sentence has no words, or more tokens than the model has positions.
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
                f"{type(self.model).__name__} is not a dependency parser: load a "
                "VanillaEncoderForDependencyParsing, for example one of hf-vanilla finetune --task dependency_parsing."
            )
        if not self.tokenizer.is_fast:
            raise ValueError(f"{type(self.tokenizer).__name__} does not map tokens to words: use a fast tokenizer.")
        self.model.eval()

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Saves the model and the tokenizer. The code of the pipeline is not saved; this package provides it."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def __call__(self, inputs: Any, *, sentences: bool | None = None, **kwargs: Any) -> Any:
        """Returns the trees. The options are those of the class, and `batch_size`.

        Args:
            inputs: a text, the words of a sentence, or a list of sentences.
            sentences: `inputs` contains several sentences; None means that it does if it is a list of lists.
        """
        if sentences is None:
            sentences = isinstance(inputs, (list, tuple)) and any(isinstance(one, (list, tuple)) for one in inputs)
        if not sentences:
            return super().__call__(_Words(_words(inputs)), **kwargs)
        words = [_Words(_words(one)) for one in inputs]
        return super().__call__(words, **kwargs) if words else []

    def _sanitize_parameters(self, single_root: bool | None = None, **parameters: Any) -> tuple[dict, dict, dict]:
        if parameters:
            raise ValueError(
                f"dependency-parsing has no option {', '.join(sorted(parameters))}; its only option is single_root."
            )
        return {}, {} if single_root is None else {"single_root": single_root}, {}

    def preprocess(self, sentence: _Words) -> dict[str, Any]:
        """The model's inputs `(1, sequence)` of a sentence, and its words."""
        limits = (getattr(self.model.config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        length = min(limit for limit in limits if limit)
        encoded = encode_words(
            self.tokenizer, [sentence.words], max_length=length, long="refuse", split="dependency-parsing"
        )
        row = {"input_ids": encoded.input_ids[0], "word_ids": encoded.word_ids[0]}
        batch = DependencyParsingCollator(self.tokenizer)([row])
        # The base class pads with zeros, so word ids are shifted by 1 until the forward pass.
        return {**batch, "word_ids": batch["word_ids"] + 1, "sentence": sentence}

    def _forward(self, model_inputs: dict[str, Any], single_root: bool = True) -> dict[str, Any]:
        sentences = model_inputs.pop("sentence")
        word_ids = model_inputs.pop("word_ids") - 1
        with skipped_padding():  # trees have only words
            trees = self.model.parse(**model_inputs, word_ids=word_ids, single_root=single_root)
        # The base class splits a batch into its items.
        return {"trees": list(zip([sentences] if isinstance(sentences, _Words) else sentences, trees))}

    def postprocess(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """The tree of one sentence with the names of its relations."""
        trees = outputs["trees"]
        sentence, tree = trees[0] if isinstance(trees, list) else trees
        names = self.model.config.id2label
        return {
            "words": sentence.words,
            "heads": tree.heads,
            "relations": [names[label] for label in tree.labels],
            "scores": tree.scores,
        }


class _Words:
    """The words of a sentence. The base class would treat a plain list as several inputs."""

    def __init__(self, words: list[str]) -> None:
        self.words = words


def _words(sentence: Any) -> list[str]:
    words = sentence.split() if isinstance(sentence, str) else sentence
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"A sentence must be a text or a list of words, not {sentence!r}.")
    if not words or not all(word.strip() for word in words):
        raise ValueError(f"A sentence must contain at least one word and no empty words, but it is {sentence!r}.")
    return list(words)


__all__ = ["DependencyParsingPipeline"]
