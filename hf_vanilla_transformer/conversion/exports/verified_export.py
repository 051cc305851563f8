"""`export_to`: writes a model in another format and keeps the folder only if both models compute the same function."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...evaluation_mode import evaluation_mode
from ...files import folder_aside
from ..embedding_files import MODULES_FILE, embedding_files
from ..saved_model import check_tokenizer, load_saved_model, load_saved_tokenizer
from .output_folder import REPORT_FILE, check_output
from .protocol import ExportReport, Request
from .samples import make_samples
from .targets import MODULES, TARGETS

__all__ = ["REPORT_FILE", "export_to"]


def export_to(
    source: PreTrainedModel | str | Path,
    output: str | Path,
    to: str = "transformers",
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    family: str | None = None,
    quantization: str | None = None,
    sentences: Sequence[str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Writes a model of ours in another format, reads it back, runs it, and compares it with the original.

    ```python
    report = export_to("runs/tiny", "tiny-marian", "transformers")
    print(*report.lines(), sep="\\n")
    ```

    Args:
        source: a model, or a folder with a model and its tokenizer.
        output: the folder to write. It is created only if the export succeeds. An earlier export with the same content
            stays as it is.
        to: the format, one of `TARGETS`.
        tokenizer: the model's tokenizer if `source` is a model.
        family: for `to="transformers"`, the `model_type` to export to (`"opt"`); None chooses one.
        quantization: number format of the weights; None for the first one of the format, which is exact.
        sentences: text for the comparison; None for built-in sentences. Without a tokenizer, random tokens are used.
        overwrite: whether to replace an earlier export.

    Returns:
        The report with the measured differences, also saved as `export_report.json`.

    Raises:
        ImportError: a required library is missing; the message has the installation command.
        FileNotFoundError: there is no model in `source`.
        ValueError: the format cannot express the model (the message names the configuration field), the exported model
            computes another function, `output` is not empty, or an argument is invalid.
    """
    output = Path(output)
    if to not in MODULES:
        raise ValueError(f"to={to!r} is not a known format; choose from {', '.join(TARGETS)}.")
    name, libraries = MODULES[to]
    target = importlib.import_module(f".{name}", __package__)
    _check_options(target, to, family, quantization)
    target.requirements()
    check_output(output)
    embedding = None
    if isinstance(source, PreTrainedModel):
        model = source
    else:
        if tokenizer is not None:
            raise ValueError(f"tokenizer= is only for a model; the folder source={str(source)!r} has its own.")
        # The other formats rewrite the weights and start from float32.
        model = load_saved_model(source, "auto" if to == "transformers" else torch.float32)
        tokenizer = load_saved_tokenizer(source)
        embedding = embedding_files(source)
    check_tokenizer(model, tokenizer)
    samples = make_samples(model, tokenizer, sentences)
    occupied = f"output={str(output)!r} has another export; choose another folder, or pass overwrite (--overwrite)."
    with evaluation_mode(model), folder_aside(output, occupied=None if overwrite else occupied) as aside:
        request = Request(model, tokenizer, samples, family, quantization or target.QUANTIZATIONS[0], embedding)
        exported = target.export(request, aside)
        notes = exported.notes
        if embedding is not None and to != "transformers":
            steps = ", ".join(embedding.modules)
            notes += (
                f"the outputs are states of tokens; {MODULES_FILE} of the model makes one vector of them by {steps}",
            )
        report = ExportReport(output, to, exported.kind, samples.description, exported.checks, notes)
        _refuse_difference(report)
        versions = {library: metadata.version(library) for library in ("torch", "transformers", *libraries)}
        record = {**report.to_dict(), "quantization": request.quantization, "versions": versions}
        (aside / REPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return report


def _check_options(target: ModuleType, to: str, family: str | None, quantization: str | None) -> None:
    if family is not None and to != "transformers":
        raise ValueError(f"family={family!r} is only for to='transformers'; leave it out for to={to!r}.")
    if quantization is not None and quantization not in target.QUANTIZATIONS:
        raise ValueError(
            f"quantization={quantization!r} does not exist for to={to!r}; "
            + (f"choose from {', '.join(target.QUANTIZATIONS)}." if len(target.QUANTIZATIONS) > 1 else "leave it out.")
        )


def _refuse_difference(report: ExportReport) -> None:
    wrong = [check for check in report.checks if not check.passed]
    if wrong:
        raise ValueError(
            f"The exported {report.kind} computes something else than the model, so nothing was written: "
            f"{'; '.join(map(str, wrong))}. Check the weights for infinite and NaN values. If there are none, this "
            "is a bug of the export; please report it with the model's configuration."
        )
