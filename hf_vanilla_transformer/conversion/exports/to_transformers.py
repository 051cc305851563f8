"""Export to a class of transformers: the folder loads without this package and without remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..exporting import padding_note, to_transformers
from ..output_difference import OUTPUTS
from .protocol import Check, Exported, Request
from .samples import Samples
from .saved_tokenizer import save_tokenizer

__all__ = ["QUANTIZATIONS", "export", "requirements"]

# The weights keep their type.
QUANTIZATIONS = ("none",)

# Rounding error of sums in another order, relative to the largest output.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
_TOLERANCE_OF_HALF = 0.1
_NEW_TOKENS = 24


def requirements() -> None:
    """Needs no library beyond the dependencies of the package."""


def export(request: Request, folder: Path) -> Exported:
    """Writes model, tokenizer and generation settings, loads them as a user of transformers would, and compares.

    Raises:
        ValueError: no class of transformers computes the same function; the message names the fields that differ.
    """
    exported = to_transformers(request.model, request.family)
    exported.save_pretrained(folder)
    if request.tokenizer is not None:
        save_tokenizer(request.tokenizer, folder)
    if request.embedding is not None:
        request.embedding.copy_to(folder)
    # Auto classes find the same class in transformers; trust_remote_code is not needed.
    received = getattr(transformers, type(exported).__name__).from_pretrained(
        folder, local_files_only=True, dtype="auto", trust_remote_code=False
    )
    checks = [_compare_outputs(request.model, received.eval(), request.samples)]
    if received.can_generate():
        checks += [_compare_generated(request.model, received, request.samples, beams) for beams in (1, 4)]
    if request.tokenizer is not None:
        _compare_tokenizers(request.tokenizer, folder, request.samples)
    notes = tuple(note for note in [padding_note(request.model, exported)] if note)
    return Exported(type(exported).__name__, tuple(checks), notes)


@torch.no_grad()
def _compare_outputs(ours: PreTrainedModel, exported: PreTrainedModel, samples: Samples) -> Check:
    """All outputs of a forward pass at positions without padding."""
    worst, largest = 0.0, 0.0
    for ids, mask in samples.batches(ours.config.pad_token_id):
        arguments: dict[str, Any] = {"input_ids": ids.to(ours.device), "attention_mask": mask.to(ours.device)}
        kept = mask.bool()
        if "MultipleChoice" in type(ours).__name__:
            arguments = {name: torch.stack([tensor, tensor.flip(0)], dim=1) for name, tensor in arguments.items()}
        if ours.config.is_encoder_decoder:
            arguments["decoder_input_ids"] = _targets(ours, ids)
            # Some families recognise padding by its id and give it no position.
            started = torch.cat([torch.ones(len(kept), 1, dtype=torch.bool), kept], dim=1)
            kept = started[:, : arguments["decoder_input_ids"].shape[1]]
        expected, actual = (
            ours(**arguments),
            exported(**{name: value.to(exported.device) for name, value in arguments.items()}),
        )
        for name in OUTPUTS:
            if expected.get(name) is None:
                continue
            theirs, mine = actual[name].float().cpu(), expected[name].float().cpu()
            if mine.shape[:2] == kept.shape:
                theirs, mine = theirs[kept.cpu()], mine[kept.cpu()]
            worst = max(worst, float((theirs - mine).abs().max()))
            largest = max(largest, float(mine.abs().max()))
    tolerance = _TOLERANCE.get(ours.dtype, _TOLERANCE_OF_HALF) * max(1.0, largest)
    return Check(f"outputs in {str(ours.dtype).removeprefix('torch.')}", difference=worst, tolerance=tolerance)


def _targets(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Input of the decoder, (batch, target length): the start token and the source. Any tokens would do."""
    start = model.config.decoder_start_token_id
    length = min(ids.shape[1] + 1, model.config.max_position_embeddings)
    first = torch.full((len(ids), 1), 0 if start is None else start)
    return torch.cat([first, ids], dim=1)[:, :length].to(model.device)


@torch.no_grad()
def _compare_generated(ours: PreTrainedModel, exported: PreTrainedModel, samples: Samples, beams: int) -> Check:
    """Complete outputs of `generate`, row by row, with the saved generation settings except those below."""
    same = 0
    for row in samples.rows:
        limit = ours.config.max_position_embeddings - 1
        if not ours.config.is_encoder_decoder:
            row = row[: max(1, limit // 2)]
            limit -= len(row)
        ids = torch.tensor([row])
        settings = {"num_beams": beams, "do_sample": False, "max_new_tokens": max(1, min(_NEW_TOKENS, limit))}
        outputs = [
            model.generate(ids.to(model.device), attention_mask=torch.ones_like(ids).to(model.device), **settings).cpu()
            for model in (ours, exported)
        ]
        same += torch.equal(*outputs)
    return Check("greedy search" if beams == 1 else f"beam search, {beams} beams", same=same, total=len(samples.rows))


def _compare_tokenizers(tokenizer: PreTrainedTokenizerBase, folder: Path, samples: Samples) -> None:
    """Raises ValueError if the saved tokenizer gives other ids than the model's."""
    received = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    texts = tokenizer.batch_decode([list(row) for row in samples.rows], skip_special_tokens=True)
    expected, actual = tokenizer(texts)["input_ids"], received(texts)["input_ids"]
    for text, first, second in zip(texts, expected, actual, strict=True):
        if first != second:
            raise ValueError(
                f"The exported tokenizer, a {type(received).__name__}, gives the ids {second} for {text!r}, but the "
                f"model's {type(tokenizer).__name__} gives {first}. Save the tokenizer as transformers' generic "
                "PreTrainedTokenizerFast(tokenizer_object=...) and export again."
            )
