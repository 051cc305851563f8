"""Export to ONNX with transformers' own exporter: graphs that ONNX Runtime runs without torch and without our package.

A model that generates becomes several graphs: the encoder of an encoder-decoder; `prefill`, which reads the prompt (or
the decoder's start token) and makes the cache; `decode`, which reads one token and the cache. Others become one graph.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ..comparison import OUTPUTS
from .extras import require
from .onnx_steps import OnnxSteps
from .reference import compare_sequences, end_token, greedy, prompts, step_limit
from .report import Check
from .samples import Samples
from .target import Exported, Request
from .to_transformers import save_tokenizer

__all__ = ["QUANTIZATIONS", "export", "requirements"]

QUANTIZATIONS = ("float32",)
# Our config.json under another name: no Auto class of a receiver knows it, and the graphs do not need it.
CONFIG_FILE = "model_config.json"

_TOLERANCE = 1e-4
# Sizes that the tracer sees. All differ, and none is 1, so that it takes none for a constant.
_ROWS, _LENGTH, _TARGET, _CHOICES = 2, 7, 5, 3

Runner = Callable[..., Any]


def requirements() -> None:
    """The exporter's libraries, ONNX Runtime, and a transformers that has the exporter."""
    require("onnx", "onnxscript", "onnxruntime", extra="onnx", purpose="to='onnx'")
    from transformers import __version__, exporters

    if not hasattr(exporters, "ExportedModel"):
        raise ImportError(
            f"to='onnx' needs the exporter of transformers 5.23 or later, and this is {__version__}: "
            "pip install --upgrade 'transformers>=5.23'"
        )


def export(request: Request, folder: Path) -> Exported:
    """Traces the model, writes its graphs, runs them in ONNX Runtime, and compares.

    Raises:
        ValueError: there is more than one end token, or no start token of the decoder, so the comparison of generated
            tokens cannot be made.
    """
    from transformers.exporters import ExportedModel

    model = request.model
    generates = model.can_generate()
    if generates:
        end_token(model)
        if model.config.is_encoder_decoder and model.config.decoder_start_token_id is None:
            raise ValueError("decoder_start_token_id=None would have to be the id that the decoder begins with.")
    graphs = _generation_graphs(model) if generates else _single_graph(model)
    graphs.save_pretrained(folder)
    (folder / "config.json").rename(folder / CONFIG_FILE)
    if request.tokenizer is not None:
        save_tokenizer(request.tokenizer, folder)
    received = ExportedModel.from_pretrained(folder, local_files_only=True, device="cpu").runners
    if generates:
        checks = _check_generation(model, received, request.samples)
    else:
        checks = [_check_outputs(model, received["model"], request.samples)]
    note = f"texts end at {model.config.max_position_embeddings} tokens, where the table of positions ends"
    return Exported(f"ONNX graphs {', '.join(received)}", tuple(checks), (note,))


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
        # After the start token alone the cache would have the length 1, which the tracer takes for a constant.
        prompt["decoder_input_ids"] = inputs["decoder_input_ids"]
        prompt["decoder_input_ids"][:, 0] = model.config.decoder_start_token_id
    else:
        prompt["attention_mask"] = prompt["attention_mask"].flip(-1)  # a prompt ends where its continuation begins
    search = copy.deepcopy(model.generation_config)
    search.update(do_sample=False, num_beams=1)
    generation = exporter.export_for_generation(model, prompt, settings, generation_config=search)
    components.update(generation.components)
    return ExportedModel(
        components, generation.export_format, config=model.config, generation_config=model.generation_config
    )


@torch.no_grad()
def _check_outputs(model: PreTrainedModel, runner: Runner, samples: Samples) -> Check:
    """Everything that a forward pass returns, where there is no padding."""
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
    """Logits of every step of greedy search on the tokens that our model chooses, and the tokens that the graphs do."""
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
    """Our logits (positions, vocabulary) for a prompt and what follows it, without a cache."""
    if model.config.is_encoder_decoder:
        reads = [model.config.decoder_start_token_id, *output]
        return model(input_ids=torch.tensor([row]), decoder_input_ids=torch.tensor([reads])).logits[0]
    return model(input_ids=torch.tensor([[*row, *output]])).logits[0]


def _steps(
    model: PreTrainedModel, runners: Mapping[str, Runner], row: Sequence[int], output: Sequence[int]
) -> torch.Tensor:
    """The same by `prefill` and one `decode` for each token of the output."""
    steps = OnnxSteps(runners, getattr(model.config, "decoder_start_token_id", None))
    ids = torch.tensor([row])
    logits = [steps.start(ids, torch.ones_like(ids))]
    logits += [steps.step(torch.tensor([[token]])) for token in output]
    return torch.cat(logits, dim=1)[0]
