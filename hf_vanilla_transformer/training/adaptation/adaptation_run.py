"""The run of `adapt`: trains a base model on domain text and measures its perplexity on domain and general text."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ...conversion.safe_loading import load_pretrained
from ...device import default_device
from ...files import folder_aside, write_text
from ...hub import ModelCardText
from ...hub.local_paths import strip_path
from ...hub_names import is_hub_name
from ...reports.perplexity_curves import plot_perplexities
from ..batches import Rows
from ..collators import collator
from ..corpus import Corpus, encode, load_corpus
from ..finetuning.base_model import describe, lineage
from ..history import read_history
from ..initial_embeddings import untruncated_texts
from ..model import CLASSES
from ..recipes.training_recipe import Recipe
from ..run import TrainingResult, carry_out
from ..run_folder import METRICS_FILE, Resume
from ..saved_tokenizer import remove_traces
from ..token_trainer import TokenTrainer, token_sampler
from ..training_run import TrainingRun
from .embeddings import extend_embeddings, rotate_embeddings
from .l2_sp import L2SP, L2SPCallback
from .language_model import open_language_model
from .perplexities import DOMAIN, GENERAL, Perplexities, gains, perplexity_history, table
from .replay import ReplaySampler, joined
from .vocabulary import ExtendedTokenizer, differing_texts, extend_tokenizer, frequent_words

logger = logging.getLogger(__name__)

# Facts measured before the first update; a resumed run reads them instead of measuring again.
ADAPTATION_FILE = "adaptation.json"
PERPLEXITY_PICTURE = "perplexity.png"
PERPLEXITY_TABLE = "perplexity.md"
START_FOLDER = "start"
# Number of texts on which the extended tokenizer is compared with the old one.
_COMPARED = 1000


def run_adaptation(
    recipe: Recipe, *, resume: Resume = False, accept_changes: bool = False, command: str = ""
) -> TrainingResult:
    """Adapts a base model to the text of ``data`` and writes the result to ``output.output_dir``, like `run_training`.

    In addition to the files of every run, it writes the history of the perplexities as a table (perplexity.md), a
    picture (perplexity.png) and numbers (results.json, under ``adaptation``), and the model before the first update
    (start/).

    Args:
        recipe: of the adaptation; ``adaptation.base_model`` and ``output.output_dir`` must be set.
        resume, accept_changes: what to do with an unfinished run in ``output.output_dir``, see `carry_out`.
        command: the command line, for the model card.

    Raises:
        ValueError, FileNotFoundError: recipe, base model or data do not fit; raised before training starts.
    """
    if recipe.adaptation.base_model is None:
        raise ValueError("adaptation.base_model is not set: give the model to adapt, as in hf-vanilla adapt MODEL.")
    return carry_out(AdaptationRun, recipe, resume=resume, accept_changes=accept_changes, command=command)


@dataclass
class AdaptationRun(TrainingRun):
    """A prepared adaptation: the base model is measured and extended, domain text and general text are read.

    Attributes:
        order: returns the sampler of the training rows, which may replay general text.
        perplexities: measures a model on domain text and on general text.
        general: the splits of the general text; None if the recipe names no general text.
        facts_before: facts measured before the first update; a resumed run reads them from adaptation.json.
    """

    order: Callable[[Recipe, Rows, int], Any] = token_sampler
    perplexities: Perplexities | None = None
    general: Corpus | None = None
    facts_before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls, recipe: Recipe, folder: Path, *, resume_from: Path | None = None, measure: bool = True
    ) -> AdaptationRun:
        """Opens the base model, measures it (unless `measure` is false), and extends it as the recipe says."""
        if resume_from is None:
            base = open_language_model(recipe)  # first, because it fails fastest
            model, tokenizer = base.model, base.tokenizer
        else:
            facts, model, tokenizer = _open_start(recipe, folder, resume_from)
        corpus, general = load_texts(recipe)
        texts = {DOMAIN: corpus.validation} | ({} if general is None else {GENERAL: general.validation})
        perplexities = Perplexities(recipe, texts)
        if resume_from is None:
            facts, tokenizer = _measure_and_extend(recipe, model, tokenizer, corpus, perplexities if measure else None)
            facts["new_head"] = base.new_head
        train_rows, order = training_rows(recipe, tokenizer, corpus, general)
        validation_rows = encode(recipe, tokenizer, corpus.validation, training=False)
        test_rows = None if corpus.test is None else encode(recipe, tokenizer, corpus.test, training=False)
        set_seed(recipe.training.seed)
        return cls(
            recipe, corpus, tokenizer, model, train_rows, validation_rows, test_rows,
            order=order, perplexities=perplexities, general=general, facts_before=facts,
        )  # fmt: skip

    def make_trainer(self, folder: Path) -> TokenTrainer:
        """A `TokenTrainer` with replay in its sampler and L2-SP as a callback."""
        recipe = self.recipe
        callbacks = []
        if recipe.adaptation.l2_sp:
            new_tokens = self.facts_before["new_tokens"]
            free = recipe.adaptation.l2_sp_new_rows == "free" and new_tokens
            l2_sp = L2SP(self.model, recipe.adaptation.l2_sp, known_tokens=min(new_tokens) if free else None)
            callbacks.append(L2SPCallback(l2_sp))
        return TokenTrainer(
            recipe,
            self.model,
            self.tokenizer,
            self.train_rows,
            self.validation_rows,
            collator(recipe, self.tokenizer),
            folder,
            score=self._scores,
            sampler=self.order,
            callbacks=callbacks,
        )

    def begin(self, folder: Path) -> None:
        """Saves the model before the first update: the base model may have moved when the run is resumed."""
        remove_traces(self.tokenizer)
        with folder_aside(folder / START_FOLDER) as aside:
            self.model.save_pretrained(aside)
            self.tokenizer.save_pretrained(aside)
        write_text(folder / ADAPTATION_FILE, json.dumps(self.facts_before, indent=2, ensure_ascii=False) + "\n")

    def facts(self, trainer: TokenTrainer, folder: Path) -> dict[str, Any]:
        """Adds the history of the perplexities and the gain over the base model; writes the table and the picture."""
        facts = super().facts(trainer, folder)
        after = self.perplexities.measure(trainer.model, self.tokenizer)
        if not trainer.is_world_process_zero():
            return facts
        adaptation, unit, before = self.recipe.adaptation, self.perplexities.unit, self.facts_before
        texts = self.perplexities.encoded(self.tokenizer)
        records = read_history(folder / METRICS_FILE)
        history = perplexity_history(
            before["base_model"], before["start"], records, after, trainer.state.global_step, texts
        )
        gain = gains(history, unit)
        for name in texts:
            facts[f"validation_{name}_{unit}_before"] = history[0][name][unit]
            facts[f"validation_{name}_{unit}_after"] = history[-1][name][unit]
        facts["adaptation"] = {
            "base_model": adaptation.base_model,
            "lineage": before["lineage"],
            "unit": unit,
            "gain": gain,
            "replay": adaptation.replay,
            "l2_sp": adaptation.l2_sp,
            "embeddings": adaptation.embeddings,
            "new_head": before.get("new_head", False),  # older files lack it
            "new_tokens": len(before["new_tokens"]),
            "history": history,
        }
        write_text(folder / PERPLEXITY_TABLE, table(history, unit) + "\n")
        if self.recipe.output.plot:
            plot_perplexities(history, unit, folder / PERPLEXITY_PICTURE)
        print(table(history, unit), file=sys.stderr)
        start = "the base model with a random head" if before.get("new_head") else "the base model"
        print(gain_line(history, gain, unit, start), file=sys.stderr)
        return facts

    def card_text(self, result: TrainingResult) -> ModelCardText:
        """Adds the base model and the data of both trainings to the card."""
        recipe, adaptation = self.recipe, self.recipe.adaptation
        data = f"Adapted to `{strip_path(str(recipe.data.path))}`"
        if adaptation.replay:
            data += f", mixed with {adaptation.replay:.0%} of `{strip_path(str(adaptation.general.path))}`"
        data += f". The base model: {self.facts_before['lineage']}."
        base_model = adaptation.base_model
        if Path(base_model).exists():
            base_model = Path(base_model).resolve().name
        texts = (recipe.data.path, adaptation.general.path if adaptation.replay else None)
        datasets = tuple(dict.fromkeys(path for path in texts if is_hub_name(path)))
        return dataclasses.replace(super().card_text(result), data=data, base_model=base_model, datasets=datasets)

    def card_plots(self, folder: Path) -> dict[str, Path]:
        """The curves of the perplexities."""
        picture = folder / PERPLEXITY_PICTURE
        return {"Perplexity on domain text and on general text.": picture} if picture.is_file() else {}

    def _scores(self, model: PreTrainedModel) -> dict[str, float]:
        """Scores on general text; also on the domain, if validation masks whole words and training masks tokens."""
        names = (GENERAL, DOMAIN) if self.perplexities.whole_words else (GENERAL,)
        unit = self.perplexities.unit
        metrics = {}
        for name, scores in self.perplexities.measure(model, self.tokenizer, names).items():
            metrics |= {f"{name}_loss": scores["loss"], f"{name}_{unit}": scores[unit]}
        return metrics


def _measure_and_extend(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    perplexities: Perplexities | None,
) -> tuple[dict[str, Any], PreTrainedTokenizerBase]:
    """Measures the base model, extends its vocabulary and rotates its embeddings by the recipe, and measures it again.

    Args:
        perplexities: measures the model; with None, it is only extended.

    Returns:
        The facts before the first update, and the tokenizer of the extended model.
    """
    adaptation = recipe.adaptation
    extended = extend(recipe, tokenizer, corpus)
    facts: dict[str, Any] = {
        "lineage": describe(lineage(adaptation.base_model)),
        "base_model": None,
        "start": None,
        "new_tokens": {},
    }
    if perplexities is not None:
        model.to(default_device())
        logger.info("Measuring the base model %s ...", adaptation.base_model)
        facts["base_model"] = perplexities.measure(model, tokenizer)
        logger.info("The base model: %s", _shown(facts["base_model"], perplexities.unit))
    if extended is not None and extended.pieces:
        tokenizer = extended.tokenizer
        extend_embeddings(model, extended.pieces)
        facts["new_tokens"] = {token: list(parts) for token, parts in extended.pieces.items()}
        facts["new_words"] = [[word.text, word.count] for word in extended.words]
    if perplexities is None:
        return facts, tokenizer
    if adaptation.embeddings == "cooccurrence":
        texts = untruncated_texts(tokenizer, corpus.train)
        rotated = rotate_embeddings(model.get_input_embeddings().weight, texts, seed=recipe.training.seed)
        logger.info("Rotated %s embeddings towards their co-occurrence directions in the domain.", f"{rotated:,}")
    if facts["new_tokens"] or adaptation.embeddings != "base_model":
        facts["start"] = perplexities.measure(model, tokenizer)
        logger.info("Before the first update: %s", _shown(facts["start"], perplexities.unit))
    return facts, tokenizer


def _open_start(
    recipe: Recipe, folder: Path, checkpoint: Path
) -> tuple[dict[str, Any], PreTrainedModel, PreTrainedTokenizerBase]:
    """The facts and the start model of an interrupted run, and the tokenizer of its checkpoint."""
    for needed in (folder / ADAPTATION_FILE, folder / START_FOLDER):
        if not needed.exists():
            raise FileNotFoundError(f"The run in {folder} cannot be resumed: {needed} is missing. Start a new run.")
    facts = json.loads((folder / ADAPTATION_FILE).read_text(encoding="utf-8"))
    facts["new_tokens"] = {int(token): parts for token, parts in facts["new_tokens"].items()}
    _, model_class = CLASSES[recipe.task]
    model = load_pretrained(model_class, folder / START_FOLDER, attn_implementation=recipe.model.attn_implementation)
    return facts, model, AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)


def load_texts(recipe: Recipe) -> tuple[Corpus, Corpus | None]:
    """Reads the domain text, and the general text if the recipe names one.

    Raises:
        FileNotFoundError: a text or its training split does not exist.
        ValueError: a text has no validation split, or only empty rows.
    """
    corpus = load_corpus(recipe)
    _require_validation(corpus, "data", recipe.data.path)
    general_data = recipe.adaptation.general
    if general_data.path is None:
        logger.warning(
            "Forgetting is not measured: adaptation.general.path is not set. Set it to general text, such as the base "
            "model's training text, with --adaptation.general.path."
        )
        return corpus, None
    fields = {field.name: getattr(general_data, field.name) for field in dataclasses.fields(general_data)}
    general_recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **fields))
    # Without replay the training split is not needed, except for validation texts held out of it.
    splits = ["train", "validation"] if recipe.adaptation.replay else ["validation"]
    try:
        general = load_corpus(general_recipe, splits)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"Reading the general text (adaptation.general, here called data) failed: {error}") from error
    _require_validation(general, "adaptation.general", general_data.path)
    logger.info("General text: %s, %s validation texts", general_data.path, f"{len(general.validation):,}")
    return corpus, general


def training_rows(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, general: Corpus | None
) -> tuple[Rows, Callable[[Recipe, Rows, int], Any]]:
    """The training rows of the domain and the replayed general text, and a function like `token_sampler` for them."""
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
    """Adds frequent words of the domain to the base model's tokenizer; None if the recipe asks for no new words."""
    adaptation = recipe.adaptation
    if not adaptation.new_words:
        return None
    texts = corpus.train["text"]
    logger.info("Counting the words of %s texts ...", f"{len(texts):,}")
    words = frequent_words(texts, tokenizer, min_count=adaptation.min_count, progress=True)
    extended = extend_tokenizer(tokenizer, words, adaptation.new_words)
    if not extended.pieces:
        logger.warning(
            "The tokenizer is unchanged: it splits no word that occurs adaptation.min_count=%d times in the domain "
            "text. Lower adaptation.min_count to add rarer words.",
            adaptation.min_count,
        )
        return extended
    example = ", ".join(word.text for word in extended.words[:5])
    logger.info(
        "Adding %d tokens for %d words of the domain to the tokenizer (%s, ...)",
        len(extended.pieces), len(extended.words), example,
    )  # fmt: skip
    if extended.left_out:
        logger.warning("%d frequent words could not be added to the tokenizer.", len(extended.left_out))
    compared = list(texts[:_COMPARED])
    differing = differing_texts(compared, tokenizer, extended)
    if differing:
        logger.warning(
            "The extended tokenizer splits %d of %d texts differently, beyond the new words, for example %r.",
            len(differing), len(compared), differing[0][:80],
        )  # fmt: skip
    return extended


def gain_line(history: list[dict[str, Any]], gain: dict[str, float], unit: str, start: str) -> str:
    """One line: perplexity before and after on each text; `start` describes the model before."""
    parts = []
    for name, part in gain.items():
        before, after = history[0][name][unit], history[-1][name][unit]
        parts.append(f"{name} {unit.replace('_', ' ')} {before:,.4g} -> {after:,.4g} ({-100 * part:+.1f} %)")
    return f"Gain over {start}: " + "; ".join(parts)


def _require_validation(corpus: Corpus, section: str, path: str | None) -> None:
    if corpus.validation is None:
        raise ValueError(
            f"{section}.path={path!r} has no validation split to measure on: set {section}.validation to a split, or "
            f"{section}.hold_out to a number of texts to hold out of training, such as 200."
        )


def _shown(scores: dict[str, dict[str, float]], unit: str) -> str:
    return ", ".join(f"{name} {unit.replace('_', ' ')} {values[unit]:,.4g}" for name, values in scores.items())
