"""A run: from a recipe to a folder with a model, its tokenizer, its scores and the recipe."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..device import hardware
from ..evaluation import load_metric
from ..files import folder_aside, write_text
from ..reports.curves import plot_curves, trim_metrics
from .averaging import checkpoints as finished_checkpoints
from .averaging import load_weights, save_average
from .batches import Rows
from .callbacks import BestModel, Progress, RunCallback, Schedule, StopConditions
from .collators import collator
from .corpus import Corpus, encode, encode_with_dropout, get_tokenizer, load_corpus, scored_data
from .folder import (
    CURVES_FILE,
    METRICS_FILE,
    RECIPE_FILE,
    RESULTS_FILE,
    TRANSLATIONS_FILE,
    check_new,
    check_resumable,
    command_of,
)
from .initial_embeddings import evenly_spaced, start_from_cooccurrence, whole_texts
from .model import build_config, build_model
from .recipes.objective import OBJECTIVES
from .recipes.training_recipe import Recipe
from .split_scores import score_translations
from .streaming import StreamedRows, is_streamed
from .trainer import RecipeTrainer

logger = logging.getLogger(__name__)


@dataclass
class TrainingResult:
    """What a run made.

    Attributes:
        folder: the output folder.
        model: the finished model: averaged, best or last (`chosen` says which).
        tokenizer: its tokenizer.
        metrics: final scores on the validation and the test split.
        chosen: where the finished weights come from.
        interrupted: the run was stopped by a signal; `metrics` is empty, and a resume goes on.
        steps: updates made in all.
        main_process: of several processes, whether this one writes files.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, Any] = field(default_factory=dict)
    chosen: str = "last"
    interrupted: bool = False
    steps: int = 0
    main_process: bool = True


@dataclass
class Prepared:
    """Everything a run needs before the first update."""

    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    trainer: RecipeTrainer


def prepare(recipe: Recipe, folder: Path, *, resume_from: Path | None = None) -> Prepared:
    """Reads the data, makes the tokenizer and the model, and builds the trainer.

    Args:
        recipe: what to do.
        folder: the output folder; the tokenizer of a resumed run is read from its checkpoint.
        resume_from: checkpoint of an interrupted run.
    """
    if recipe.model.start_from is None:
        # Built again with the real vocabulary; what is wrong with it should be known before the text is read. The
        # marks of a preset may lie beyond the recipe's vocabulary, but the tokenizer will replace them.
        marks = {"bos_token_id": 0, "eos_token_id": 0}
        build_config(recipe, {"vocab_size": recipe.tokenizer.vocab_size, **marks})
    corpus = load_corpus(recipe)
    for report in corpus.reports:
        if not report.skipped:  # the reader itself warns of bad rows
            logger.info("%s", report)
    if recipe.evaluation.eval_steps is not None and corpus.validation is None:
        raise ValueError(
            f"evaluation.eval_steps={recipe.evaluation.eval_steps} needs a validation split, but "
            f"{scored_data(recipe).path} has "
            f"none of {recipe.data.validation}: name one with data.validation, hold out some training text with "
            "data.hold_out (language models), or set evaluation.eval_steps to null."
        )
    if resume_from is not None:
        tokenizer = AutoTokenizer.from_pretrained(resume_from)
    else:
        tokenizer = get_tokenizer(recipe, corpus)
    if is_streamed(recipe):
        train_rows: Rows | StreamedRows = StreamedRows(recipe, tokenizer, corpus.held_out)
    else:
        train_rows = encode(recipe, tokenizer, corpus.train, training=True)
    validation_rows = None
    if corpus.validation is not None:
        validation_rows = encode(recipe, tokenizer, corpus.validation, training=False)
    set_seed(recipe.training.seed)
    model = build_model(recipe, tokenizer)
    seconds = 0.0
    if recipe.model.initial_embeddings == "cooccurrence" and resume_from is None:
        seconds = _start_embeddings(recipe, model, tokenizer, corpus, train_rows)
    reencode = None
    if recipe.tokenizer.dropout:
        reencode = partial(encode_with_dropout, recipe, tokenizer, corpus.train, train_rows)
    trainer = RecipeTrainer(
        recipe,
        model,
        tokenizer,
        train_rows,
        validation_rows,
        collator(recipe, tokenizer),
        folder / "checkpoints",
        reencode=reencode,
        score=translation_score(recipe, tokenizer, corpus.validation),
    )
    # What the data tells a model before the first update is training too.
    trainer.clock.load_state_dict({"wall": seconds, "training": seconds})
    return Prepared(corpus, tokenizer, model, trainer)


def _start_embeddings(
    recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, rows: Rows
) -> float:
    """Embeddings from which tokens share a pair of sentences, or a text; returns the seconds it took."""
    began = time.monotonic()
    embedding = model.get_input_embeddings().weight
    if recipe.task == "translation":
        together = rows.joined(evenly_spaced(len(rows)))
    else:
        together = whole_texts(tokenizer, corpus.train)
    known = start_from_cooccurrence(embedding, together, seed=recipe.training.seed)
    logger.info("%s of %s tokens start from what they occur with.", f"{known:,}", f"{len(embedding):,}")
    return time.monotonic() - began


def translation_score(
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


def run_training(
    recipe: Recipe,
    *,
    resume: bool = False,
    preparation: Callable[..., Prepared] = prepare,
    finish: Callable[[Prepared, dict[str, Any]], None] | None = None,
) -> TrainingResult:
    """Trains as the recipe says and writes the finished model to ``output.output_dir``.

    Args:
        recipe: what to do; `output.output_dir` must be set.
        resume: go on with the interrupted run in that folder.
        preparation: makes everything that a run needs, with the arguments of `prepare`.
        finish: adds to the metrics what belongs to this kind of run, when the model has its final weights.

    Raises:
        ValueError, FileNotFoundError: something does not fit; raised before the long work.
        OSError: a checkpoint could not be written; those before it are whole.
    """
    if recipe.output.output_dir is None:
        raise ValueError("output.output_dir is not set: say where the model goes, for example --output runs/my-model.")
    if recipe.adaptation.base_model is not None and preparation is prepare:
        raise ValueError(
            f"adaptation.base_model={recipe.adaptation.base_model!r} makes this the recipe of an adaptation: "
            "run it, or go on "
            "with it, by hf-vanilla adapt (run_adaptation)."
        )
    reporter = recipe.output.report_to
    if reporter != "none" and find_spec(reporter) is None:
        raise ValueError(
            f"output.report_to={reporter!r} needs that package: pip install 'hf_vanilla_transformer[{reporter}]', "
            "or set output.report_to to none."
        )
    folder = Path(recipe.output.output_dir)
    resume_from = check_resumable(folder, recipe) if resume else None
    if not resume and _main_process():
        check_new(folder)
    prepared = preparation(recipe, folder, resume_from=resume_from)
    trainer, tokenizer = prepared.trainer, prepared.tokenizer
    if _main_process():
        folder.mkdir(parents=True, exist_ok=True)
        recipe.save(folder / RECIPE_FILE)

    stop = StopConditions(trainer)
    best = BestModel(trainer, lambda: _save_best(trainer, folder / "best"))
    if resume_from is not None and _main_process():
        trim_metrics(folder / METRICS_FILE, int(resume_from.name.rpartition("-")[2]))
    restore = [_Restore(trainer, resume_from)] if resume_from is not None else []
    for callback in (*restore, Schedule(trainer), stop, Progress(trainer, folder / METRICS_FILE), best):
        trainer.add_callback(callback)
    try:
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    finally:
        stop.release()
    steps = trainer.state.global_step
    if recipe.output.plot and _main_process() and (folder / METRICS_FILE).is_file():  # a short run logs nothing
        plot_curves(folder / METRICS_FILE, folder / CURVES_FILE)
    if stop.interrupted:
        again = f"hf-vanilla {command_of(recipe)} --resume {folder}"
        print(f"Interrupted after {steps:,} updates. Go on with: {again}", file=sys.stderr)
        return TrainingResult(
            folder, trainer.model, tokenizer, interrupted=True, steps=steps, main_process=_main_process()
        )

    spent = trainer.clock.state_dict()  # the scores of the finished model are no part of its training
    chosen = _choose_weights(trainer, folder)
    metrics = _final_scores(recipe, prepared, folder)
    metrics |= {"steps": steps, "tokens": trainer.tokens_seen, "weights": chosen}
    metrics |= {f"{name}_seconds": value for name, value in spent.items()}
    metrics |= {
        "hardware": hardware(trainer.args.world_size),
        "finished": datetime.now(timezone.utc).date().isoformat(),
    }
    if finish is not None:
        finish(prepared, metrics)
    if _main_process():
        _save_result(trainer, folder, metrics)
    return TrainingResult(folder, trainer.model, tokenizer, metrics, chosen, steps=steps, main_process=_main_process())


class _Restore(RunCallback):
    """Puts back what Trainer itself does not save, after Trainer has set up everything else."""

    def __init__(self, trainer: RecipeTrainer, checkpoint: Path) -> None:
        super().__init__(trainer)
        self.checkpoint = checkpoint

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer.load_run_state(self.checkpoint)


def _main_process() -> bool:
    """Whether this process writes files; before torch.distributed starts, the launcher's environment says so."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return int(os.environ.get("RANK", "0")) == 0


def _save_best(trainer: RecipeTrainer, folder: Path) -> None:
    if not trainer.args.should_save:
        return
    with trainer.clock.paused(), folder_aside(folder) as aside:
        average = trainer.average
        weights = average.applied() if average is not None and average.count else nullcontext()
        with weights:
            trainer.model.save_pretrained(aside)
        trainer.processing_class.save_pretrained(aside)


def _choose_weights(trainer: RecipeTrainer, folder: Path) -> str:
    """Gives the model its final weights: the average if the recipe asks for one, else the best, else the last."""
    recipe = trainer.recipe
    last = recipe.checkpoint.average_last
    if last:
        found = finished_checkpoints(folder)[-last:]
        if trainer.args.should_save:
            save_average(found, folder / "averaged")
        trainer.barrier()
        _load(trainer.model, folder / "averaged")
        return f"average of the last {len(found)} checkpoints"
    if trainer.average is not None and trainer.average.count:
        trainer.average.copy_to_model()
        kept = len(trainer.average.snapshots)
        return "moving average" if recipe.training.average == "ema" else f"average of the last {kept} snapshots"
    if trainer.best is not None:
        trainer.barrier()
        _load(trainer.model, folder / "best")
        return f"best, of update {trainer.best['step']}"
    return "last"


def _load(model: PreTrainedModel, folder: Path) -> None:
    """Weights of a folder into a model that exists; tied weights are stored once."""
    model.load_state_dict(load_weights(folder), strict=False)
    model.tie_weights()


def _final_scores(recipe: Recipe, prepared: Prepared, folder: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    trainer, model = prepared.trainer, prepared.trainer.model
    model.eval()
    for split in ("validation", "test"):
        rows = getattr(prepared.corpus, split)
        if rows is None:
            continue
        encoded = encode(recipe, prepared.tokenizer, rows, training=False)
        loss, tokens = trainer.total_loss(encoded)
        scores: dict[str, Any] = load_metric("perplexity").compute(losses=[loss], tokens=[tokens])
        if recipe.task not in OBJECTIVES.values():
            del scores["perplexity"]
        if recipe.task == "translation":
            translations: list[str] = []
            scores |= score_translations(recipe, model, prepared.tokenizer, rows, keep=translations)
            if _main_process():
                write_text(folder / TRANSLATIONS_FILE.format(split=split), "\n".join(translations) + "\n")
        metrics |= {f"{split}_{name}": value for name, value in scores.items()}
        if _main_process():
            print(
                f"{split}: " + "  ".join(f"{name} {_number(value)}" for name, value in scores.items()), file=sys.stderr
            )
    return metrics


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _save_result(trainer: RecipeTrainer, folder: Path, metrics: dict[str, Any]) -> None:
    """The finished model, straight into the output folder; each file takes its place when it is whole."""
    with folder_aside(folder / ".finished") as aside:
        trainer.model.save_pretrained(aside)
        trainer.processing_class.save_pretrained(aside)
    for file in sorted((folder / ".finished").iterdir()):
        os.replace(file, folder / file.name)
    (folder / ".finished").rmdir()
    write_text(folder / RESULTS_FILE, json.dumps(metrics, indent=2) + "\n")
