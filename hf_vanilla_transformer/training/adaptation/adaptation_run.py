"""An adaptation: the run of a recipe that starts from a base model, with what it learns and forgets measured on the
way."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ...device import default_device
from ...files import folder_aside, write_text
from ...reports.curves import read_metrics
from ...reports.perplexity_curves import plot_perplexities
from ..batches import Rows
from ..collators import collator
from ..corpus import Corpus, encode, load_corpus
from ..finetuning.base_model import describe, lineage
from ..folder import METRICS_FILE
from ..initial_embeddings import whole_texts
from ..model import CLASSES
from ..recipes.training_recipe import Recipe
from ..run import Prepared, TrainingResult, run_training
from ..trainer import RecipeTrainer, token_sampler
from .course import DOMAIN, GENERAL, Perplexities, course_of, gains, table
from .embeddings import extend_embeddings, turn_embeddings
from .l2_sp import L2SP, L2SPCallback
from .language_model import open_language_model
from .replay import ReplaySampler, joined
from .vocabulary import ExtendedTokenizer, differing_texts, extend_tokenizer, frequent_words

logger = logging.getLogger(__name__)

# What is known before the first update, so that a resumed run need not find it out again.
ADAPTATION_FILE = "adaptation.json"
PERPLEXITY_PICTURE = "perplexity.png"
PERPLEXITY_TABLE = "perplexity.md"
START_FOLDER = "start"
# Texts on which an extended tokenizer is compared with the old one.
_COMPARED = 1000


def run_adaptation(recipe: Recipe, *, resume: bool = False) -> TrainingResult:
    """Adapts a base model to the text of ``data`` and writes the result to ``output.output_dir``, as `run_training`
    does.

    Beside what every run leaves there are the course of the perplexities as a table (perplexity.md), a picture
    (perplexity.png) and numbers (results.json, under ``adaptation``), and the model that the training started from
    (start/).

    Args:
        recipe: what to do; ``adaptation.base_model`` and ``output.output_dir`` must be set.
        resume: go on with the interrupted run in that folder.

    Raises:
        ValueError, FileNotFoundError: something does not fit; raised before the long work.
    """
    if recipe.adaptation.base_model is None:
        raise ValueError("adaptation.base_model is not set: say which model is adapted, as in hf-vanilla adapt MODEL.")
    adaptation = Adaptation(recipe)
    return run_training(recipe, resume=resume, preparation=adaptation.prepare, finish=adaptation.finish)


class Adaptation:
    """What a run of `recipe` does beyond training: opens the base model, extends, replays, decays, measures.

    Args:
        recipe: of the adaptation.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.unit = "word_perplexity" if recipe.adaptation.new_words else "perplexity"
        self.facts: dict[str, Any] = {}
        self.folder = Path(recipe.output.output_dir or ".")

    def prepare(self, recipe: Recipe, folder: Path, *, resume_from: Path | None = None) -> Prepared:
        """Everything before the first update, with the arguments of `training.run.prepare`."""
        self.folder = folder
        if resume_from is None:
            base_model = open_language_model(recipe)  # the first thing that may not fit
            model, tokenizer = base_model.model, base_model.tokenizer
        else:
            model, tokenizer = self._start_again(folder, resume_from)
        corpus, general = load_texts(recipe)
        texts = {DOMAIN: corpus.validation} | ({} if general is None else {GENERAL: general.validation})
        self.perplexities = Perplexities(recipe, texts)
        if resume_from is None:
            tokenizer = self._start(model, tokenizer, corpus)
        train_rows, order = training_rows(recipe, tokenizer, corpus, general)
        set_seed(recipe.training.seed)
        if recipe.adaptation.l2_sp:
            free = recipe.adaptation.l2_sp_new_rows == "free" and self.facts["new_tokens"]
            known = min(self.facts["new_tokens"]) if free else None
            callbacks = [L2SPCallback(L2SP(model, recipe.adaptation.l2_sp, known_tokens=known))]
        else:
            callbacks = []
        trainer = RecipeTrainer(
            recipe,
            model,
            tokenizer,
            train_rows,
            encode(recipe, tokenizer, corpus.validation, training=False),
            collator(recipe, tokenizer),
            folder / "checkpoints",
            score=lambda scored: self._scores(scored, tokenizer),
            sampler=order,
            callbacks=callbacks,
        )
        if resume_from is None and trainer.is_world_process_zero():
            # After all that may be wrong: a run that cannot start leaves no folder.
            self._keep_start(model, tokenizer)
        return Prepared(corpus, tokenizer, model, trainer)

    def finish(self, prepared: Prepared, metrics: dict[str, Any]) -> None:
        """Measures the finished model, and writes and prints the course and the gain."""
        trainer = prepared.trainer
        after = self.perplexities.measure(trainer.model, prepared.tokenizer)
        if not trainer.is_world_process_zero():
            return
        texts = self.perplexities.encoded(prepared.tokenizer)
        records = read_metrics(self.folder / METRICS_FILE)
        course = course_of(
            self.facts["base_model"], self.facts["start"], records, after, trainer.state.global_step, texts
        )
        gain = gains(course, self.unit)
        for name in texts:
            metrics[f"validation_{name}_{self.unit}_before"] = course[0][name][self.unit]
            metrics[f"validation_{name}_{self.unit}_after"] = course[-1][name][self.unit]
        metrics["adaptation"] = {
            "base_model": self.recipe.adaptation.base_model,
            "lineage": self.facts["lineage"],
            "unit": self.unit,
            "gain": gain,
            "replay": self.recipe.adaptation.replay,
            "l2_sp": self.recipe.adaptation.l2_sp,
            "embeddings": self.recipe.adaptation.embeddings,
            "new_tokens": len(self.facts["new_tokens"]),
            "course": course,
        }
        write_text(self.folder / PERPLEXITY_TABLE, table(course, self.unit) + "\n")
        if self.recipe.output.plot:
            plot_perplexities(course, self.unit, self.folder / PERPLEXITY_PICTURE)
        print(table(course, self.unit), file=sys.stderr)
        print(gain_line(course, gain, self.unit), file=sys.stderr)

    # ---- Before the training

    def _start(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus
    ) -> PreTrainedTokenizerBase:
        """Measures the base model and extends it if it shall be; returns its tokenizer, or the extended one."""
        adaptation = self.recipe.adaptation
        model.to(default_device())
        extended = extend(self.recipe, tokenizer, corpus)
        logger.info("Measuring the base model %s ...", adaptation.base_model)
        before = self.perplexities.measure(model, tokenizer)
        self.facts = {
            "lineage": describe(lineage(adaptation.base_model)),
            "base_model": before,
            "start": None,
            "new_tokens": {},
        }
        logger.info("The base model: %s", _shown(before, self.unit))
        if extended is not None and extended.pieces:
            tokenizer = extended.tokenizer
            extend_embeddings(model, extended.pieces)
            self.facts["new_tokens"] = {token: list(parts) for token, parts in extended.pieces.items()}
            self.facts["new_words"] = [[word.text, word.count] for word in extended.words]
        if adaptation.embeddings == "cooccurrence":
            texts = whole_texts(tokenizer, corpus.train)
            turned = turn_embeddings(model.get_input_embeddings().weight, texts, seed=self.recipe.training.seed)
            logger.info("%s embeddings take the directions that the domain suggests.", f"{turned:,}")
        if self.facts["new_tokens"] or adaptation.embeddings != "base_model":
            self.facts["start"] = self.perplexities.measure(model, tokenizer)
            logger.info("Before the first update: %s", _shown(self.facts["start"], self.unit))
        return tokenizer

    def _keep_start(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        with folder_aside(self.folder / START_FOLDER) as aside:
            model.save_pretrained(aside)
            tokenizer.save_pretrained(aside)
        write_text(self.folder / ADAPTATION_FILE, json.dumps(self.facts, indent=2, ensure_ascii=False) + "\n")

    def _start_again(self, folder: Path, checkpoint: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The start of an interrupted run. The base model may be elsewhere by now, and is not asked again."""
        for needed in (folder / ADAPTATION_FILE, folder / START_FOLDER):
            if not needed.exists():
                raise FileNotFoundError(f"There is no {needed}, from which the run was started: it cannot be resumed.")
        facts = json.loads((folder / ADAPTATION_FILE).read_text(encoding="utf-8"))
        facts["new_tokens"] = {int(token): parts for token, parts in facts["new_tokens"].items()}
        self.facts = facts
        _, model_class = CLASSES[self.recipe.task]
        model = model_class.from_pretrained(
            folder / START_FOLDER, attn_implementation=self.recipe.model.attn_implementation
        )
        return model, AutoTokenizer.from_pretrained(checkpoint)

    def _scores(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
        """What an evaluation adds: general text, and the domain where it is measured otherwise than it is trained."""
        names = (GENERAL, DOMAIN) if self.perplexities.whole_words else (GENERAL,)
        found = {}
        for name, scores in self.perplexities.measure(model, tokenizer, names).items():
            found |= {f"{name}_loss": scores["loss"], f"{name}_{self.unit}": scores[self.unit]}
        return found


def load_texts(recipe: Recipe) -> tuple[Corpus, Corpus | None]:
    """The text of the domain, and the general one if the recipe names any.

    Raises:
        FileNotFoundError: a text or its training split is not there.
        ValueError: a text has no validation split to measure on, or no row that is not empty.
    """
    corpus = load_corpus(recipe)
    _require_validation(corpus, "data", recipe.data.path)
    general_data = recipe.adaptation.general
    if general_data.path is None:
        logger.warning(
            "What is forgotten is not measured: name general text, such as what the base model was trained on, with "
            "--adaptation.general.path."
        )
        return corpus, None
    fields = {field.name: getattr(general_data, field.name) for field in dataclasses.fields(general_data)}
    general_recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **fields))
    # Without replay only the measured split is read, but for texts that are held out of the training split.
    splits = ["train", "validation"] if recipe.adaptation.replay else ["validation"]
    try:
        general = load_corpus(general_recipe, splits)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"The general text, for which data is adaptation.general here: {error}") from error
    _require_validation(general, "adaptation.general", general_data.path)
    logger.info("General text: %s, %s texts to measure", general_data.path, f"{len(general.validation):,}")
    return corpus, general


def training_rows(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, general: Corpus | None
) -> tuple[Rows, Callable[[Recipe, Rows, int], Any]]:
    """The rows, and what makes their order, as `token_sampler` does: the domain's, with general ones among them."""
    share = recipe.adaptation.replay
    domain = encode(recipe, tokenizer, corpus.train, training=True)
    if not share or general is None:
        return domain, token_sampler

    def order(recipe: Recipe, rows: Rows, processes: int) -> ReplaySampler:
        def batches(chosen: Any) -> Any:
            return token_sampler(recipe, chosen, processes)

        return ReplaySampler(rows.lengths(), len(domain), share, batches, recipe.training.seed)

    return joined(domain, encode(recipe, tokenizer, general.train, training=True)), order


def extend(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> ExtendedTokenizer | None:
    """The base model's tokenizer with the frequent words of the domain; None if it shall stay as it is."""
    adaptation = recipe.adaptation
    if not adaptation.new_words:
        return None
    texts = corpus.train["text"]
    logger.info("Counting the words of %s texts ...", f"{len(texts):,}")
    words = frequent_words(texts, tokenizer, min_count=adaptation.min_count, progress=True)
    extended = extend_tokenizer(tokenizer, words, adaptation.new_words)
    if not extended.pieces:
        logger.warning(
            "No word stands %d times in the domain text and is taken apart by the base model's tokenizer, which "
            "stays as "
            "it is; lower adaptation.min_count for rarer ones.",
            adaptation.min_count,
        )
        return extended
    example = ", ".join(word.text for word in extended.words[:5])
    logger.info(
        "The tokenizer gets %d tokens for %d words of the domain (%s, ...)",
        len(extended.pieces), len(extended.words), example,
    )  # fmt: skip
    if extended.left_out:
        logger.warning("%d frequent words could not be added to the tokenizer.", len(extended.left_out))
    compared = list(texts[:_COMPARED])
    differing = differing_texts(compared, tokenizer, extended)
    if differing:
        logger.warning(
            "%d of %d texts are taken apart otherwise than before, and not by new words alone, such as %r.",
            len(differing), len(compared), differing[0][:80],
        )  # fmt: skip
    return extended


def gain_line(course: list[dict[str, Any]], gain: dict[str, float], unit: str) -> str:
    """One sentence: from which perplexity to which, on each text."""
    parts = []
    for name, part in gain.items():
        before, after = course[0][name][unit], course[-1][name][unit]
        parts.append(f"{name} {unit.replace('_', ' ')} {before:,.4g} -> {after:,.4g} ({-100 * part:+.1f} %)")
    return "Gain over the base model: " + "; ".join(parts)


def _require_validation(corpus: Corpus, section: str, path: str | None) -> None:
    if corpus.validation is None:
        raise ValueError(
            f"{section}.path={path!r} has no validation split to measure on: name one with {section}.validation, or "
            f"hold some texts out of training with {section}.hold_out, such as 200."
        )


def _shown(scores: dict[str, dict[str, float]], unit: str) -> str:
    return ", ".join(f"{name} {unit.replace('_', ' ')} {values[unit]:,.4g}" for name, values in scores.items())
