"""The unigram language model (Kudo 2018), trained reproducibly."""

from typing import Any

from tokenizers import Tokenizer, models, trainers

from .corpora import TextBatches
from .pipelines import Pipeline


def train_unigram(
    batches: TextBatches,
    pipeline: Pipeline,
    vocab_size: int,
    reserved: tuple[str, ...],
    alphabet: list[str],
    unknown: str,
    *,
    byte_fallback: bool,
) -> models.Unigram:
    """Train the pieces and their log probabilities; the arguments are those of `train_tokenizer`."""
    trainer: Any = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=list(reserved),
        initial_alphabet=alphabet,
        unk_token=unknown,
        show_progress=False,
    )
    learner = Tokenizer(models.Unigram())
    if pipeline.normalizer is not None:
        learner.normalizer = pipeline.normalizer
    learner.pre_tokenizer = pipeline.pre_tokenizer
    learner.train_from_iterator(batches(), trainer)
    import json

    trained = json.loads(learner.to_str())["model"]
    return models.Unigram([tuple(p) for p in trained["vocab"]], trained["unk_id"], byte_fallback)
