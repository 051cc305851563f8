"""The unigram language model (Kudo 2018), trained so that every process gets the same pieces, scores and ids."""

import json

from tokenizers import Tokenizer, models, trainers

from .corpora import TextBatches
from .pipelines import Pipeline

# Scores are log probabilities. The library adds them up in the order of a hash table, so that they differ from process
# to process by 1e-10 or less; three decimals are far more than that and far less than what changes a segmentation.
_DECIMALS = 3
# Characters that are no piece of their own get the lowest score, then that plus this, and so on, in the order of the
# same hash table.
_STEP = 1e-4


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
    trainer = trainers.UnigramTrainer(
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
    scores = {piece: score for piece, score in json.loads(learner.to_str())["model"]["vocab"] if piece not in reserved}
    pieces = [(piece, 0.0) for piece in reserved] + _canonical(scores)
    return models.Unigram(pieces, reserved.index(unknown), byte_fallback)


def _canonical(scores: dict[str, float]) -> list[tuple[str, float]]:
    """The pieces with what depends on the process removed, the most probable first, equals in the order of Unicode."""
    lowest = min(scores.values())
    expected = lowest
    canonical = dict(scores)
    for piece, score in sorted(scores.items(), key=lambda item: item[1]):
        if len(piece) == 1 and abs(score - expected) < _STEP / 100:
            # None of these characters can take the place of another, so they may as well be equal.
            canonical[piece] = lowest
            expected += _STEP
    rounded = [(piece, round(score, _DECIMALS)) for piece, score in canonical.items()]
    return sorted(rounded, key=lambda item: (-item[1], item[0]))
