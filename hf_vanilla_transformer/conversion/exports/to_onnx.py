"""Export to ONNX with transformers' own exporter. ONNX Runtime runs the graphs without torch and without this package.

A generating model becomes several graphs: `encoder` (of an encoder-decoder); `prefill`, which reads the prompt (or the
decoder's start token) and returns the cache; `decode`, which reads one token and the cache. Other models become
one graph.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ..output_difference import OUTPUTS
from .onnx_steps import OnnxSteps
from .protocol import Check, Exported, Request, require
from .reference import compare_sequences, end_token, greedy, prompts, step_limit
from .samples import Samples
from .saved_tokenizer import save_tokenizer

__all__ = ["QUANTIZATIONS", "export", "requirements"]

QUANTIZATIONS = ("float32",)
# Our config.json under another name: Auto classes do not know it without this package, and the graphs do not need it.
CONFIG_FILE = "model_config.json"

_TOLERANCE = 1e-4
# Sizes of the traced inputs. They differ from each other and from 1, which the tracer would take for constants.
_ROWS, _LENGTH, _TARGET, _CHOICES = 2, 7, 5, 3

Runner = Callable[..., Any]


def requirements() -> None:
    """Needs onnx, onnxscript, onnxruntime, and a version of transformers with the exporter."""
    require("onnx", "onnxscript", "onnxruntime", extra="onnx", purpose="to='onnx'")
    from transformers import __version__, exporters

    if not hasattr(exporters, "ExportedModel"):
        raise ImportError(
            f"to='onnx' needs transformers 5.23 or later, but {__version__} is installed: "
            "pip install --upgrade 'transformers>=5.23'"
        )


def export(request: Request, folder: Path) -> Exported:
    """Traces the model, writes its graphs, runs them in ONNX Runtime, and compares both models.

    Raises:
        ValueError: there are several end tokens, or the decoder has no start token, so that generated tokens cannot be
            compared.
    """
    from transformers.exporters import ExportedModel

    model = request.model
    generates = model.can_generate()
    if generates:
        end_token(model)
        if model.config.is_encoder_decoder and model.config.decoder_start_token_id is None:
            raise ValueError("decoder_start_token_id=None would have to be the id of the first decoder token.")
    with _quiet_tracing():
        graphs = _generation_graphs(model) if generates else _single_graph(model)
        graphs.save_pretrained(folder)
    _keep_configuration_without_code(folder)
    if request.tokenizer is not None:
        save_tokenizer(request.tokenizer, folder)
    received = ExportedModel.from_pretrained(
        folder, local_files_only=True, device="cpu", trust_remote_code=False
    ).runners
    if generates:
        checks = _check_generation(model, received, request.samples)
    else:
        checks = [_check_outputs(model, received["model"], request.samples)]
    note = f"texts are limited to max_position_embeddings={model.config.max_position_embeddings} tokens"
    return Exported(f"ONNX graphs {', '.join(received)}", tuple(checks), (note,))


@contextlib.contextmanager
def _quiet_tracing() -> Iterator[None]:
    """Hides the progress of torch.onnx and the notes of its optimizer, about 130 lines. Errors are still raised."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def _keep_configuration_without_code(folder: Path) -> None:
    """Renames config.json, and removes the Python code that transformers saves with it: the graphs need none."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("auto_map", None)
    (folder / "config.json").unlink()
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for code in folder.glob("*.py"):
        code.unlink()


def _exporter() -> tuple[Any, Any]:
    from transformers.exporters import OnnxConfig, OnnxExporter

    return OnnxExporter(), OnnxConfig(dynamic=True)


def _single_graph(model: PreTrainedModel) -> Any:
    exporter, settings = _exporter()
    return exporter.export(model, _traced_inputs(model), settings)


def _traced_inputs(model: PreTrainedModel) -> dict[str, Any]:
    config = model.config
    shape = (_ROWS, _CHOICES, _LENGTH) if "MultipleChoice" in type(model).__name__ else (_ROWS, _LENGTH)
    ids = torch.arange(_ROWS * _CHOICES * _LENGTH) % config.vocab_size
    ids = ids[: torch.Size(shape).numel()].reshape(shape)
    mask = torch.ones_like(ids)
    mask[0, ..., -2:] = 0
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if config.model_type == "vanilla_encoder" and config.type_vocab_size:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :_TARGET].clone()
    if config.model_type != "vanilla_encoder":
        inputs["use_cache"] = False
    return inputs


def _generation_graphs(model: PreTrainedModel) -> Any:
    from transformers.exporters import ExportedModel

    exporter, settings = _exporter()
    inputs = _traced_inputs(model)
    prompt = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    components = {}
    if model.config.is_encoder_decoder:
        components["encoder"] = exporter.export(model.get_encoder(), dict(prompt), settings).components["model"]
        # With the start token alone, the cache would have length 1, which the tracer takes for a constant.
        prompt["decoder_input_ids"] = inputs["decoder_input_ids"]
        prompt["decoder_input_ids"][:, 0] = model.config.decoder_start_token_id
    else:
        prompt["attention_mask"] = prompt["attention_mask"].flip(-1)  # prompts are padded on the left
    search = copy.deepcopy(model.generation_config)
    search.update(do_sample=False, num_beams=1)
    generation = exporter.export_for_generation(model, prompt, settings, generation_config=search)
    components.update(generation.components)
    return ExportedModel(
        components, generation.export_format, config=model.config, generation_config=model.generation_config
    )


@torch.no_grad()
def _check_outputs(model: PreTrainedModel, runner: Runner, samples: Samples) -> Check:
    """All outputs of a forward pass at positions without padding."""
    worst, largest = 0.0, 0.0
    for ids, mask in samples.batches(model.config.pad_token_id):
        inputs = {"input_ids": ids, "attention_mask": mask}
        kept = mask.bool()
        if "MultipleChoice" in type(model).__name__:
            inputs = {name: torch.stack([tensor, tensor.flip(0)], dim=1) for name, tensor in inputs.items()}
        if model.config.model_type == "vanilla_encoder" and model.config.type_vocab_size:
            inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = ids[:, : model.config.max_position_embeddings]
            kept = torch.ones_like(inputs["decoder_input_ids"], dtype=torch.bool)
        expected, actual = model(**inputs), runner(**inputs)
        for name in OUTPUTS:
            if expected.get(name) is None:
                continue
            mine, theirs = expected[name], actual[name]
            if mine.shape[:2] == kept.shape:
                mine, theirs = mine[kept], theirs[kept]
            worst = max(worst, float((mine - theirs).abs().max()))
            largest = max(largest, float(mine.abs().max()))
    return Check("outputs", difference=worst, tolerance=_TOLERANCE * max(1.0, largest))


@torch.no_grad()
def _check_generation(model: PreTrainedModel, runners: Mapping[str, Runner], samples: Samples) -> list[Check]:
    """Logits of each step along our greedy output, and the tokens that the graphs choose."""
    steps, rows = step_limit(model), prompts(model, samples.rows)
    worst, largest, ours, theirs = 0.0, 0.0, [], []
    for row in rows:
        output = greedy(model, row, steps)
        ours.append(output)
        expected = _logits(model, row, output)
        actual = _steps(model, runners, row, output)
        worst = max(worst, float((expected - actual).abs().max()))
        largest = max(largest, float(expected.abs().max()))
        chosen = actual[-len(output) - 1 :].argmax(-1).tolist()[:steps]
        eos = end_token(model)
        theirs.append(chosen[: chosen.index(eos)] if eos in chosen else chosen)
    return [
        Check("logits, step by step", difference=worst, tolerance=_TOLERANCE * max(1.0, largest)),
        *compare_sequences("greedy search", ours, theirs),
    ]


def _logits(model: PreTrainedModel, row: Sequence[int], output: Sequence[int]) -> torch.Tensor:
    """Our logits (positions, vocabulary) for a prompt and its continuation, without a cache."""
    if model.config.is_encoder_decoder:
        reads = [model.config.decoder_start_token_id, *output]
        return model(input_ids=torch.tensor([row]), decoder_input_ids=torch.tensor([reads])).logits[0]
    return model(input_ids=torch.tensor([[*row, *output]])).logits[0]


def _steps(
    model: PreTrainedModel, runners: Mapping[str, Runner], row: Sequence[int], output: Sequence[int]
) -> torch.Tensor:
    """The same logits by `prefill` and one `decode` per token of the output."""
    steps = OnnxSteps(runners, getattr(model.config, "decoder_start_token_id", None))
    ids = torch.tensor([row])
    logits = [steps.start(ids, torch.ones_like(ids))]
    logits += [steps.step(torch.tensor([[token]])) for token in output]
    return torch.cat(logits, dim=1)[0]
