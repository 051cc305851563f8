"""The engines of the decoding benchmark: each loads a folder, and generates or encodes a batch of token ids.

An engine imports what its users import and nothing else, because its memory is measured.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

Rows = list[list[int]]


class Engine(Protocol):
    """A loaded model."""

    def generate(self, rows: Rows, beams: int, new_tokens: int | None, limit: int) -> Rows:
        """The new tokens of each row, up to and without the end token.

        Args:
            rows: sources or prompts.
            beams: width of the beam; 1 is greedy search.
            new_tokens: exact number of tokens to generate, or None for until the end token.
            limit: most tokens where `new_tokens` is None.
        """

    def encode(self, rows: Rows) -> Any:
        """The hidden states of each row, padded: (rows, longest, hidden), a tensor or an array."""


# Engine: the format of its folder, and the number format of that export.
FOLDERS = {
    "ours": ("vanilla", None),
    "transformers": ("transformers", None),
    "ctranslate2": ("ctranslate2", "float32"),
    "onnx": ("onnx", None),
    "ctranslate2 int8": ("ctranslate2", "int8"),
}
ENGINES = tuple(FOLDERS)
TITLES = {
    "ours": "ours",
    "transformers": "transformers",
    "ctranslate2": "CTranslate2",
    "onnx": "ONNX Runtime",
    "ctranslate2 int8": "CTranslate2 int8",
}
# The engines that compute in float32, ours first. Their tokens have to agree with those of transformers.
FLOAT32 = ("ours", "transformers", "ctranslate2", "onnx")


def folder_name(engine: str) -> str:
    """The folder of the model for an engine, beside those of the other formats."""
    form, numbers = FOLDERS[engine]
    return form if numbers is None else f"{form}-{numbers}"


def supports(engine: str, beams: int) -> bool:
    """Whether an engine has this search. ONNX Runtime runs graphs; beam search is left to its user."""
    return engine != "onnx" or beams == 1


def load(engine: str, folder: Path, stack: str, threads: int) -> Engine:
    """Loads the model in `folder` for an engine.

    Args:
        engine: one of `ENGINES`.
        folder: the model in the format of the engine.
        stack: "seq2seq", "decoder" or "encoder".
        threads: number of threads; torch takes it from OMP_NUM_THREADS.
    """
    if engine.startswith("ctranslate2"):
        return CTranslate2Engine(folder, stack, threads)
    if engine == "onnx":
        return OnnxEngine(folder, stack, threads)
    if engine == "ours":
        import hf_vanilla_transformer  # noqa: F401 - registers the models

        # Only states of tokens are compared. CTranslate2 leaves padding out, too.
        os.environ.setdefault("HF_VANILLA_ENCODER", "tokens")
    return TorchEngine(folder, stack)


class TorchEngine:
    """A model in torch: ours, or the class of transformers to which it was exported."""

    def __init__(self, folder: Path, stack: str) -> None:
        import torch
        import transformers

        auto = {"seq2seq": "AutoModelForSeq2SeqLM", "decoder": "AutoModelForCausalLM", "encoder": "AutoModel"}[stack]
        self.torch = torch
        self.model = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32).eval()
        self.pad_on_the_left = stack == "decoder"
        config = self.model.config
        self.pad, self.end = config.pad_token_id or 0, getattr(config, "eos_token_id", None)

    def _batch(self, rows: Rows) -> tuple[Any, Any]:
        longest = max(map(len, rows))
        ids = self.torch.full((len(rows), longest), self.pad)
        mask = self.torch.zeros_like(ids)
        for number, row in enumerate(rows):
            place = slice(longest - len(row), None) if self.pad_on_the_left else slice(0, len(row))
            ids[number, place] = self.torch.tensor(row)
            mask[number, place] = 1
        return ids, mask

    def generate(self, rows: Rows, beams: int, new_tokens: int | None, limit: int) -> Rows:
        """As `Engine.generate`."""
        ids, mask = self._batch(rows)
        length = {"max_new_tokens": new_tokens or limit} | ({"min_new_tokens": new_tokens} if new_tokens else {})
        output = self.model.generate(
            ids,
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            length_penalty=1.0,
            early_stopping=False,
            **length,
        )
        start = 1 if self.model.config.is_encoder_decoder else ids.shape[1]
        return [until(row, self.end) for row in output[:, start:].tolist()]

    def encode(self, rows: Rows) -> Any:
        """As `Engine.encode`."""
        ids, mask = self._batch(rows)
        with self.torch.inference_mode():
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


class CTranslate2Engine:
    """A Translator, Generator or Encoder of CTranslate2."""

    def __init__(self, folder: Path, stack: str, threads: int) -> None:
        import ctranslate2

        kind = {"seq2seq": "Translator", "decoder": "Generator", "encoder": "Encoder"}[stack]
        runner = getattr(ctranslate2, kind)
        self.stack = stack
        self.runner = runner(str(folder), device="cpu", inter_threads=1, intra_threads=threads)
        file = next(folder.glob("*vocabulary.json"))
        self.names = json.loads(file.read_text(encoding="utf-8"))
        self.ids = {name: number for number, name in enumerate(self.names)}

    def generate(self, rows: Rows, beams: int, new_tokens: int | None, limit: int) -> Rows:
        """As `Engine.generate`."""
        names = [[self.names[token] for token in row] for row in rows]
        least, most = new_tokens or 1, new_tokens or limit
        if self.stack == "decoder":
            results = self.runner.generate_batch(
                names, beam_size=beams, min_length=least, max_length=most, include_prompt_in_result=False
            )
            return [result.sequences_ids[0] for result in results]
        results = self.runner.translate_batch(
            names, beam_size=beams, length_penalty=1.0, min_decoding_length=least, max_decoding_length=most
        )
        return [[self.ids[name] for name in result.hypotheses[0]] for result in results]

    def encode(self, rows: Rows) -> Any:
        """As `Engine.encode`."""
        import numpy

        return numpy.array(self.runner.forward_batch(rows).last_hidden_state)


class OnnxEngine:
    """The graphs of an export in ONNX Runtime. The cache stays in its own memory and is not copied to Python."""

    def __init__(self, folder: Path, stack: str, threads: int) -> None:
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.numpy, self.value = numpy, onnxruntime.OrtValue.ortvalue_from_numpy
        self.sessions = {
            file.stem: onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            for file in folder.glob("*.onnx")
        }
        config = json.loads((folder / "model_config.json").read_text(encoding="utf-8"))
        self.start, self.end, self.pad = (config.get(f"{name}_token_id") for name in ("decoder_start", "eos", "pad"))
        self.pad_on_the_left = stack == "decoder"
        self.prefix = "decoder_" if stack == "seq2seq" else ""

    def _run(self, graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        session = self.sessions[graph]
        needed = {one.name for one in session.get_inputs()}
        # The keys and values of the source do not change; the graph would copy them.
        names = [
            one.name
            for one in session.get_outputs()
            if one.name != "encoder_last_hidden_state" and not (graph == "decode" and "cross_attention" in one.name)
        ]
        feeds = {name: value for name, value in inputs.items() if name in needed}
        return dict(zip(names, session.run_with_ort_values(names, feeds)))

    def _batch(self, rows: Rows) -> tuple[Any, Any]:
        longest = max(map(len, rows))
        ids = self.numpy.full((len(rows), longest), self.pad or 0)
        mask = self.numpy.zeros_like(ids)
        for number, row in enumerate(rows):
            place = slice(longest - len(row), None) if self.pad_on_the_left else slice(0, len(row))
            ids[number, place] = row
            mask[number, place] = 1
        return ids, mask

    def generate(self, rows: Rows, beams: int, new_tokens: int | None, limit: int) -> Rows:
        """As `Engine.generate`, only for greedy search."""
        numpy, value = self.numpy, self.value
        ids, mask = self._batch(rows)
        fixed: dict[str, Any] = {}
        if "encoder" in self.sessions:
            fixed = {"input_ids": value(ids), "attention_mask": value(mask)}
            states = self._run("encoder", fixed)["last_hidden_state"]
            fixed = {"attention_mask": fixed["attention_mask"], "encoder_outputs.last_hidden_state": states}
            ids = numpy.full((len(rows), 1), self.start)
            mask = numpy.ones_like(ids)
        tokens, cache, made = ids, {}, []
        ended = numpy.zeros(len(rows), dtype=bool)
        for step in range(new_tokens or limit):
            positions = numpy.maximum(mask.cumsum(-1) - 1, 0)[:, -tokens.shape[1] :]
            texts = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}
            inputs = {f"{self.prefix}{name}": value(numpy.ascontiguousarray(one)) for name, one in texts.items()}
            outputs = self._run("decode" if step else "prefill", inputs | fixed | cache)
            logits = outputs.pop("logits").numpy()[:, -1]
            if new_tokens:
                logits[:, self.end] = -numpy.inf
            chosen = logits.argmax(-1)
            made.append(chosen)
            ended |= chosen == self.end
            if not new_tokens and ended.all():
                break
            # An output has the name of the input of the next step, but for its first word.
            cache |= {f"input.{name.removeprefix('output.')}": one for name, one in outputs.items()}
            tokens = chosen[:, None]
            mask = numpy.concatenate([mask, numpy.ones_like(tokens)], axis=1)
        return [until(row, self.end) for row in numpy.stack(made, axis=1).tolist()]

    def encode(self, rows: Rows) -> Any:
        """As `Engine.encode`."""
        ids, mask = self._batch(rows)
        texts = {"input_ids": ids, "attention_mask": mask, "token_type_ids": self.numpy.zeros_like(ids)}
        outputs = self._run("model", {name: self.value(one) for name, one in texts.items()})
        return outputs["last_hidden_state"].numpy()


def until(row: list[int], end: int | None) -> list[int]:
    """The tokens before the first end token."""
    return row[: row.index(end)] if end in row else row
