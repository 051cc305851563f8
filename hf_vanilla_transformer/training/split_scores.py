"""Scores of a trained model on a split, for the end of a run and for ``hf-vanilla evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..conversion.checkpoint_tokenizer import read_tokenizer
from ..conversion.safe_loading import load_pretrained
from ..data import TokenBatchSampler
from ..device import default_device
from ..evaluation import load_metric
from ..generation import translate
from ..inference.low_precision import Precision, check_precision, lower_precision
from .batches import Rows, SeededCollator
from .collators import collator
from .corpus import encode, load_corpus
from .model import classes_of
from .recipes.training_recipe import Recipe


@torch.no_grad()
def total_loss(
    model: PreTrainedModel, recipe: Recipe, rows: Rows, collate: SeededCollator, *, rank: int = 0, processes: int = 1
) -> tuple[float, int]:
    """Sum of the losses of all tokens that have a label, without label smoothing, and their number.

    Args:
        model: in evaluation mode.
        recipe: decides the task and the size of batches.
        rows: tokenised rows.
        collate: makes a batch. Batches are numbered from 0 in each call, so each evaluation masks the same tokens.
        rank, processes: this process computes every `processes`-th batch; the sums are over all processes.
    """
    lengths = rows.lengths()
    sampler = TokenBatchSampler(lengths, max(recipe.evaluation.tokens_per_batch, int(lengths.max())), shuffle=False)
    total, tokens = 0.0, 0
    for number, indices in enumerate(sampler):
        if number % processes != rank:
            continue
        batch = {name: tensor.to(model.device) for name, tensor in collate(rows.batch(indices, number)).items()}
        labels = batch["labels"][..., 1:] if recipe.task == "causal_lm" else batch["labels"]
        count = int(labels.ne(-100).sum())
        if count:
            total += float(model(**batch, num_items_in_batch=1, return_logits=False).loss)
        tokens += count
    if processes > 1:
        both = torch.tensor([total, float(tokens)], dtype=torch.float64, device=model.device)
        dist.all_reduce(both)
        total, tokens = float(both[0]), int(both[1])
    return total, tokens


def score_translations(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Any,
    *,
    num_beams: int | None = None,
    keep: list[str] | None = None,
) -> dict[str, Any]:
    """Translates a split, divided among all processes, and returns BLEU and chrF.

    Args:
        recipe: decides the search and the scores.
        model: in evaluation mode.
        tokenizer: of the model.
        rows: data set with columns `source` and `target`.
        num_beams: overrides `generation.num_beams`.
        keep: the translations are appended to this list.
    """
    generation = recipe.generation
    processes, rank = (dist.get_world_size(), dist.get_rank()) if _distributed() else (1, 0)
    sources, references = list(rows["source"]), list(rows["target"])
    mine = translate(
        model,
        tokenizer,
        sources[rank::processes],
        num_beams=num_beams or generation.num_beams,
        length_penalty=generation.length_penalty,
        length_penalty_form=generation.length_penalty_form,
        max_extra_tokens=generation.max_extra_tokens,
        tokens_per_batch=recipe.evaluation.tokens_per_batch,
    )
    if processes > 1:
        parts: list[list[str]] = [[] for _ in range(processes)]
        dist.all_gather_object(parts, mine)
        hypotheses = [""] * len(sources)
        for index, part in enumerate(parts):
            hypotheses[index::processes] = part
    else:
        hypotheses = mine
    if keep is not None:
        keep.extend(hypotheses)
    if recipe.tokenizer.lowercase:
        # The model generates lower case only, so the references are lower-cased, too.
        references = [reference.lower() for reference in references]
    bleu = load_metric("bleu", tokenize=recipe.evaluation.bleu_tokenize)
    return {
        **bleu.compute(predictions=hypotheses, references=references),
        **load_metric("chrf").compute(predictions=hypotheses, references=references),
    }


def score_split(
    recipe: Recipe,
    folder: str | Path,
    split: str,
    *,
    precision: Precision = "float32",
    translations: list[str] | None = None,
) -> dict[str, Any]:
    """Loads the model in `folder` and scores it.

    Args:
        recipe: decides the data and the search.
        folder: of a saved model with its tokenizer.
        split: ``validation`` or ``test``.
        precision: of the large linear maps on a CPU, see `lower_precision`.
        translations: the translations are appended to this list.

    Raises:
        FileNotFoundError: the split does not exist.
        ValueError: this machine cannot compute in this precision.
    """
    device = default_device() if precision == "float32" else torch.device("cpu")
    check_precision(precision, device)
    corpus = load_corpus(recipe, splits=[split])
    rows = getattr(corpus, split)
    if rows is None:
        names = " or ".join(map(repr, getattr(recipe.data, split)))
        raise FileNotFoundError(f"data.path={recipe.data.path!r} has no split {names}; name it with --data.{split}.")
    tokenizer = read_tokenizer(folder)
    _, model_class = classes_of(recipe)
    model = load_pretrained(model_class, folder, attn_implementation=recipe.model.attn_implementation).to(device).eval()
    lower_precision(model, precision)
    encoded = encode(recipe, tokenizer, rows, training=False)
    collate = SeededCollator(collator(recipe, tokenizer), recipe.training.seed)
    loss, tokens = total_loss(model, recipe, encoded, collate)
    scores: dict[str, Any] = load_metric("perplexity").compute(losses=[loss], tokens=[tokens])
    if recipe.task == "translation":
        scores |= score_translations(recipe, model, tokenizer, rows, keep=translations)
    return scores


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
