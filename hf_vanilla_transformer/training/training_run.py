"""The run of `train` and `pretrain`: trains a translation or language model, new or from given weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..evaluation import load_metric
from ..files import write_text
from ..hub import ModelCardText
from ..hub.card_text import card_text_of_recipe
from .batches import Rows
from .collators import collator
from .corpus import Corpus, encode, encode_with_dropout, get_tokenizer, load_corpus, scored_data
from .initial_embeddings import evenly_spaced, start_from_cooccurrence, untruncated_texts
from .model import build_config, build_model
from .recipes.objective import OBJECTIVES
from .recipes.training_recipe import Recipe
from .row_lengths import check_lengths, check_stream
from .run import Run, TrainingResult, carry_out, print_scores
from .run_folder import TRANSLATIONS_FILE, Resume
from .split_scores import score_translations
from .streaming import StreamedRows, is_streamed
from .token_trainer import TokenTrainer

logger = logging.getLogger(__name__)


def run_training(
    recipe: Recipe, *, resume: Resume = False, accept_changes: bool = False, command: str = ""
) -> TrainingResult:
    """Trains by a recipe and writes the trained model to ``output.output_dir``.

    Args:
        recipe: of the training; `output.output_dir` must be set.
        resume, accept_changes: what to do with an unfinished run in ``output.output_dir``, see `carry_out`.
        command: the command line, for the model card.

    Raises:
        ValueError, FileNotFoundError: recipe and data do not fit; raised before training starts.
        OSError: a checkpoint could not be written; earlier ones are complete.
    """
    if recipe.adaptation.base_model is not None:
        raise ValueError(
            f"adaptation.base_model={recipe.adaptation.base_model!r} is for adaptation only: run or resume this recipe "
            "with hf-vanilla adapt (run_adaptation)."
        )
    return carry_out(TrainingRun, recipe, resume=resume, accept_changes=accept_changes, command=command)


@dataclass
class TrainingRun(Run):
    """A prepared training on text.

    Attributes:
        recipe: of the training.
        corpus: the splits as text.
        tokenizer: loaded, or trained on the corpus.
        model: before the first update.
        train_rows: tokenised, in memory or as a stream.
        validation_rows: tokenised; None without a validation split.
        test_rows: tokenised; None without a test split.
        new: whether this is a new run, whose embeddings may be initialised from co-occurrences.
    """

    recipe: Recipe
    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    train_rows: Rows | StreamedRows
    validation_rows: Rows | None
    test_rows: Rows | None = None
    new: bool = True

    @classmethod
    def prepare(cls, recipe: Recipe, folder: Path, *, resume_from: Path | None = None) -> TrainingRun:
        """Reads the text, makes tokenizer and model; a resumed run loads the tokenizer of its checkpoint."""
        if recipe.model.start_from is None:
            # Checks the configuration before the text is read; it is built again with the real vocabulary. The special
            # tokens of a preset may exceed the recipe's vocabulary, but the tokenizer replaces them later.
            special_tokens = {"bos_token_id": 0, "eos_token_id": 0}
            build_config(recipe, {"vocab_size": recipe.tokenizer.vocab_size, **special_tokens})
        corpus = load_corpus(recipe)
        for report in corpus.reports:
            if not report.skipped:  # readers warn about bad rows themselves
                logger.info("%s", report)
        if recipe.evaluation.eval_steps is not None and corpus.validation is None:
            raise ValueError(
                f"evaluation.eval_steps={recipe.evaluation.eval_steps} needs a validation split, but "
                f"{scored_data(recipe).path} has none of {recipe.data.validation}: set data.validation, hold out text "
                "with data.hold_out (language models), or set evaluation.eval_steps to null."
            )
        if resume_from is not None:
            tokenizer = AutoTokenizer.from_pretrained(resume_from, trust_remote_code=False)
        else:
            tokenizer = get_tokenizer(recipe, corpus)
        if is_streamed(recipe):
            train_rows: Rows | StreamedRows = StreamedRows(recipe, tokenizer, corpus.held_out)
        else:
            train_rows = encode(recipe, tokenizer, corpus.train, training=True)
        validation_rows = None
        if corpus.validation is not None:
            validation_rows = encode(recipe, tokenizer, corpus.validation, training=False)
        test_rows = None if corpus.test is None else encode(recipe, tokenizer, corpus.test, training=False)
        set_seed(recipe.training.seed)
        model = build_model(recipe, tokenizer)
        rows_of_splits = {"train": train_rows, "validation": validation_rows, "test": test_rows}
        for split, rows in rows_of_splits.items():
            if isinstance(rows, StreamedRows):
                check_stream(recipe, model.config)
            elif rows is not None:
                check_lengths(recipe, model.config, split, rows, getattr(corpus, split))
        new = resume_from is None
        return cls(recipe, corpus, tokenizer, model, train_rows, validation_rows, test_rows=test_rows, new=new)

    def make_trainer(self, folder: Path) -> TokenTrainer:
        """A `TokenTrainer`; with BPE dropout, rows are tokenised again for each epoch."""
        recipe, tokenizer = self.recipe, self.tokenizer
        seconds = 0.0
        if recipe.model.initial_embeddings == "cooccurrence" and self.new:
            seconds = _start_embeddings(recipe, self.model, tokenizer, self.corpus, self.train_rows)
        reencode = None
        if recipe.tokenizer.dropout:
            reencode = partial(encode_with_dropout, recipe, tokenizer, self.corpus.train, self.train_rows)
        trainer = TokenTrainer(
            recipe,
            self.model,
            tokenizer,
            self.train_rows,
            self.validation_rows,
            collator(recipe, tokenizer),
            folder,
            reencode=reencode,
            score=_translation_score(recipe, tokenizer, self.corpus.validation),
        )
        # Initialising embeddings from the text counts as training time.
        trainer.clock.load_state_dict({"wall": seconds, "training": seconds})
        return trainer

    def final_scores(self, trainer: TokenTrainer, model: PreTrainedModel, folder: Path) -> dict[str, Any]:
        """Loss of the validation and the test split, with perplexity (language models) or BLEU and chrF."""
        recipe = self.recipe
        metrics: dict[str, Any] = {}
        for split in ("validation", "test"):
            rows, encoded = getattr(self.corpus, split), getattr(self, f"{split}_rows")
            if rows is None:
                continue
            loss, tokens = trainer.total_loss(encoded)
            scores: dict[str, Any] = load_metric("perplexity").compute(losses=[loss], tokens=[tokens])
            if recipe.task not in OBJECTIVES.values():
                del scores["perplexity"]
            if recipe.task == "translation":
                translations: list[str] = []
                scores |= score_translations(recipe, model, self.tokenizer, rows, keep=translations)
                if trainer.is_world_process_zero():
                    write_text(folder / TRANSLATIONS_FILE.format(split=split), "\n".join(translations) + "\n")
            metrics |= {f"{split}_{name}": value for name, value in scores.items()}
            if trainer.is_world_process_zero():
                print_scores(split, scores)
        return metrics

    def facts(self, trainer: TokenTrainer, folder: Path) -> dict[str, Any]:
        """The number of tokens with a label that were trained on."""
        return {"tokens": trainer.tokens_seen}

    def card_text(self, result: TrainingResult) -> ModelCardText:
        """The card's text, from the recipe."""
        return card_text_of_recipe(
            self.recipe.to_dict(), result.folder.name, tested="test_loss" in result.metrics, run_ended=True
        )


def _start_embeddings(
    recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, rows: Rows
) -> float:
    """Initialises embeddings from tokens that share a pair of sentences, or a text; returns the seconds it took."""
    began = time.monotonic()
    embedding = model.get_input_embeddings().weight
    if recipe.task == "translation":
        together = rows.joined(evenly_spaced(len(rows)))
    else:
        together = untruncated_texts(tokenizer, corpus.train)
    known = start_from_cooccurrence(embedding, together, seed=recipe.training.seed)
    logger.info("Initialised %s of %s embeddings from co-occurrences.", f"{known:,}", f"{len(embedding):,}")
    return time.monotonic() - began


def _translation_score(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, rows: Any
) -> Callable[[PreTrainedModel], dict[str, Any]] | None:
    """BLEU and chrF of the validation split during training; None if the recipe does not ask for them."""
    if recipe.task != "translation" or not recipe.evaluation.predict_with_generate or rows is None:
        return None
    if recipe.evaluation.max_rows is not None and len(rows) > recipe.evaluation.max_rows:
        rows = rows.select(range(recipe.evaluation.max_rows))

    def score(model: PreTrainedModel) -> dict[str, Any]:
        return score_translations(recipe, model, tokenizer, rows, num_beams=recipe.evaluation.num_beams)

    return score
