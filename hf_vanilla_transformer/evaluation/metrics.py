"""Metrics of a test set, with what is needed to compare them: sacreBLEU's signatures (Post 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF


def translation_metrics(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a", lowercase: bool = False
) -> dict[str, Any]:
    """BLEU and chrF of a test set.

    Args:
        hypotheses: the translations, one text each.
        references: the references, in the same order.
        tokenize: sacreBLEU's tokeniser; ``none`` if both sides are tokenised already.
        lowercase: ignore case, in both metrics.

    Returns:
        ``bleu`` and ``chrf`` in percent, and their ``bleu_signature`` and ``chrf_signature``.

    Raises:
        ValueError: the two sides differ in length or are empty.
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"There are {len(hypotheses)} hypotheses but {len(references)} references; give one reference for each."
        )
    if not references:
        raise ValueError("There is nothing to score: hypotheses and references are empty.")
    # `force` only silences the warning about tokenised text, which is right with tokenize="none".
    bleu = BLEU(tokenize=tokenize, lowercase=lowercase, force=tokenize == "none")
    chrf = CHRF(lowercase=lowercase)
    hypotheses, references = list(hypotheses), [list(references)]
    return {
        "bleu": bleu.corpus_score(hypotheses, references).score,
        "chrf": chrf.corpus_score(hypotheses, references).score,
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def perplexity(total_loss: float, tokens: int) -> float:
    """exp of the mean loss per token, in nats; infinite where that overflows.

    Args:
        total_loss: the sum of the tokens' negative log likelihoods.
        tokens: how many there were.

    Raises:
        ValueError: there were no tokens.
    """
    if tokens <= 0:
        raise ValueError(f"Perplexity needs at least one token, but tokens={tokens}.")
    try:
        return math.exp(total_loss / tokens)
    except OverflowError:
        return math.inf
