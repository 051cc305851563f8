"""The unigram language model (Kudo 2018), with the same pieces, scores and ids in every process."""

import json

from tokenizers import Tokenizer, models, trainers

from .components import TokenizerComponents
from .text_batches import TextBatches

# Scores are log-probabilities. The library sums them in the order of a hash table, so they differ between processes by
# up to 1e-10. Three decimals remove this difference, and do not change segmentations.
_DECIMALS = 3
# Characters that the trainer did not choose as pieces get the lowest score, plus multiples of this step in the order of
# the same hash table.
_STEP = 1e-4


def train_unigram(
    batches: TextBatches,
    components: TokenizerComponents,
    vocab_size: int,
    reserved: tuple[str, ...],
    alphabet: list[str],
    unknown: str,
    *,
    byte_fallback: bool,
) -> models.Unigram:
    """Trains the pieces and their log-probabilities; see `train_tokenizer` for the arguments."""
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=list(reserved),
        initial_alphabet=alphabet,
        unk_token=unknown,
        show_progress=False,
    )
    learner = Tokenizer(models.Unigram())
    if components.normalizer is not None:
        learner.normalizer = components.normalizer
    learner.pre_tokenizer = components.pre_tokenizer
    learner.train_from_iterator(batches(), trainer)
    scores = {piece: score for piece, score in json.loads(learner.to_str())["model"]["vocab"] if piece not in reserved}
    pieces = [(piece, 0.0) for piece in reserved] + _canonical(scores)
    return models.Unigram(pieces, reserved.index(unknown), byte_fallback)


def _canonical(scores: dict[str, float]) -> list[tuple[str, float]]:
    """The pieces by descending score, then in Unicode order, without the differences between processes."""
    lowest = min(scores.values())
    expected = lowest
    canonical = dict(scores)
    for piece, score in sorted(scores.items(), key=lambda item: item[1]):
        if len(piece) == 1 and abs(score - expected) < _STEP / 100:
            # These characters cannot replace each other in a segmentation, so they may have equal scores.
            canonical[piece] = lowest
            expected += _STEP
    rounded = [(piece, round(score, _DECIMALS)) for piece, score in canonical.items()]
    return sorted(rounded, key=lambda item: (-item[1], item[0]))
