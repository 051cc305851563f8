"""`export_to`: a model of ours in the format of others, in a folder that exists only if it computes the same."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...evaluation_mode import evaluation_mode
from .report import ExportReport
from .samples import make_samples
from .source import load_source
from .target import Request

__all__ = ["REPORT_FILE", "TARGETS", "export_to"]

# Format: the module that exports to it, and libraries whose versions belong into the report.
_MODULES = {
    "transformers": ("to_transformers", ()),
    "ctranslate2": ("to_ctranslate2", ("ctranslate2",)),
    "onnx": ("to_onnx", ("onnx", "onnxscript", "onnxruntime")),
    "gguf": ("to_gguf", ("gguf",)),
}
TARGETS = tuple(_MODULES)
# Lies in every exported folder; by it an earlier export is known from a folder of something else.
REPORT_FILE = "export_report.json"


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
    """Writes a model of ours in the format of others, reads it back, runs it, and compares it with the model.

    ```python
    report = export_to("runs/tiny", "tiny-marian", "transformers")
    print(*report.lines(), sep="\\n")
    ```

    Args:
        source: a folder of ours, or a model.
        output: the folder to write; it is there when all went well, and not before.
        to: the format, one of `TARGETS`.
        tokenizer: the model's, where `source` is a model; a folder's own is found.
        family: for `to="transformers"`, transformers' name of the family wanted (`"opt"`), or None to choose.
        quantization: number format of the weights; None for the first that the format has, which is exact.
        sentences: what to compare on; None for some of our own. Without a tokenizer it is random tokens.
        overwrite: replace an earlier export.

    Returns:
        What was written and how large the differences are. It is saved as `export_report.json` too.

    Raises:
        ImportError: a library that the format needs is missing; the message says how to install it.
        FileNotFoundError: there is no model in `source`.
        ValueError: the format cannot express the model (the message names the field of the configuration), the
            exported model computes something else, `output` holds something, or an argument does not exist.
    """
    output = Path(output)
    if to not in _MODULES:
        raise ValueError(f"to={to!r} is no format to export to; choose from {', '.join(TARGETS)}.")
    name, libraries = _MODULES[to]
    target = importlib.import_module(f".{name}", __package__)
    _check_options(target, to, family, quantization)
    target.requirements()
    _check_output(output, overwrite)
    if isinstance(source, PreTrainedModel):
        model = source
    else:
        if tokenizer is not None:
            raise ValueError(f"The folder {source} has its own tokenizer; leave tokenizer= out, or give a model.")
        # Where weights are rewritten by others, they shall start from whole numbers.
        model, tokenizer = load_source(source, "auto" if to == "transformers" else torch.float32)
    _check_tokenizer(model, tokenizer)
    samples = make_samples(model, tokenizer, sentences)
    with evaluation_mode(model), _folder_aside(output) as aside:
        request = Request(model, tokenizer, samples, family, quantization or target.QUANTIZATIONS[0])
        exported = target.export(request, aside)
        report = ExportReport(output, to, exported.kind, samples.description, exported.checks, exported.notes)
        _refuse_difference(report)
        versions = {library: metadata.version(library) for library in ("torch", "transformers", *libraries)}
        record = {**report.to_dict(), "quantization": request.quantization, "versions": versions}
        (aside / REPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return report


def _check_options(target: ModuleType, to: str, family: str | None, quantization: str | None) -> None:
    if family is not None and to != "transformers":
        raise ValueError(f"family={family!r} chooses among transformers classes; it means nothing to to={to!r}.")
    if quantization is not None and quantization not in target.QUANTIZATIONS:
        raise ValueError(
            f"quantization={quantization!r} does not exist for to={to!r}; choose from "
            f"{', '.join(target.QUANTIZATIONS)}."
        )


def _check_output(output: Path, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise ValueError(f"{output} is a file, where a folder shall be written; choose another name.")
    if not (output / REPORT_FILE).is_file():
        raise ValueError(f"{output} holds something else than an exported model; choose another folder.")
    if not overwrite:
        raise ValueError(f"{output} holds an earlier export; choose another folder, or replace it with overwrite.")


def _check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
    if tokenizer is not None and len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"The tokenizer has {len(tokenizer)} entries, the model only {model.config.vocab_size}: this is another "
            "model's tokenizer, or model.resize_token_embeddings(len(tokenizer)) is missing."
        )


def _refuse_difference(report: ExportReport) -> None:
    wrong = [check for check in report.checks if not check.passed]
    if wrong:
        raise ValueError(
            f"The exported {report.kind} does not compute what the model does, so nothing was written: "
            f"{'; '.join(map(str, wrong))}. Are there infinite or not-a-number weights? If not, this is a fault of "
            "the export; please report it with the configuration of the model."
        )


@contextmanager
def _folder_aside(path: Path) -> Iterator[Path]:
    """A new folder beside `path`; it takes the place of `path` if all went well, and vanishes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield aside
        os.chmod(aside, 0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            os.replace(path, old)
            os.replace(aside, path)
            shutil.rmtree(old)
        else:
            os.replace(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
