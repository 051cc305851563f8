"""Compare our models with their exports: outputs and speed. `python -m benchmarks.exports`

Without folders, it runs one model of each stack with random weights, which give the same speed as trained ones, because
all sides generate the same number of tokens. `python -m benchmarks.exports runs/tiny runs/gpt` runs trained models.
Each model is exported to all formats that support it, and every export is compared with the model. Then all sides run
the same batches with the same number of threads: greedy search for a fixed number of tokens, or one forward pass for a
model that does not generate (CTranslate2 exports no heads; use the base encoder to compare speeds). Every side runs
once per round. The tables have medians of the rounds, and ratios within a round. GGUF files are compared with the model
but not timed, because llama.cpp is not installed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.records import RESULTS, machine, summary, write_json
from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderConfig,
    VanillaEncoderModel,
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    to_transformers,
)
from hf_vanilla_transformer.conversion.exports import export_to
from hf_vanilla_transformer.conversion.exports.samples import SENTENCES
from hf_vanilla_transformer.conversion.exports.sentence_file import read_sentences
from hf_vanilla_transformer.conversion.saved_model import load_saved_model, load_saved_tokenizer
from hf_vanilla_transformer.tokenization import train_tokenizer

# Format and number format of the exports.
EXPORTS = (
    ("transformers", "none"),
    ("ctranslate2", "float32"),
    ("ctranslate2", "int8"),
    ("onnx", "float32"),
    ("gguf", "float32"),
    ("gguf", "q8_0"),
)
LIBRARIES = ("ctranslate2", "onnxruntime", "gguf")
# A side runs one batch: ids and mask (batch, sequence), number of tokens to generate.
Side = Callable[[torch.Tensor, torch.Tensor, int], Any]


def random_models(size: dict[str, int], depth: int) -> dict[str, tuple[PreTrainedModel, PreTrainedTokenizerBase]]:
    """An untrained model of each stack with a tokenizer."""
    made: dict[str, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = {}
    classes = {
        "encoder": (VanillaEncoderConfig, VanillaEncoderModel, {"num_hidden_layers": depth}),
        "decoder": (VanillaDecoderConfig, VanillaDecoderForCausalLM, {"num_hidden_layers": depth}),
        "seq2seq": (
            VanillaTransformerConfig,
            VanillaTransformerForConditionalGeneration,
            {"encoder_layers": depth, "decoder_layers": depth},
        ),
    }
    torch.manual_seed(0)
    for stack, (config_class, model_class, layers) in classes.items():
        tokenizer = train_tokenizer(SENTENCES, vocab_size=400, template=stack, min_frequency=1)
        tokens = {"pad_token_id": tokenizer.pad_token_id}
        if stack != "encoder":
            tokens |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        if stack == "seq2seq":
            tokens |= {"decoder_start_token_id": tokenizer.bos_token_id}
        else:
            tokens |= {"positions_from_mask": False}
        made[f"random {stack}"] = model_class(config_class(**{**size, **layers, **tokens})).eval(), tokenizer
    return made


def batches(
    tokenizer: PreTrainedTokenizerBase, sentences: list[str], rows: int, longest: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and masks of full batches without padding; all rows of a batch have the same length."""
    made = []
    for start in range(0, len(sentences) - rows + 1, rows):
        ids = [row[:longest] for row in tokenizer(sentences[start : start + rows])["input_ids"]]
        shortest = min(len(row) for row in ids)
        made.append(torch.tensor([row[:shortest] for row in ids]))
    return [(ids, torch.ones_like(ids)) for ids in made]


def torch_side(model: PreTrainedModel) -> Side:
    """A model in torch: ours or that of transformers."""

    @torch.inference_mode()
    def run(ids: torch.Tensor, mask: torch.Tensor, tokens: int) -> Any:
        if not model.can_generate():
            return model(input_ids=ids, attention_mask=mask)
        return model.generate(
            ids, attention_mask=mask, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False, num_beams=1
        )

    return run


def ctranslate2_side(folder: Path, model: PreTrainedModel, threads: int) -> Side:
    """An export to CTranslate2."""
    import json

    import ctranslate2

    options = {"device": "cpu", "inter_threads": 1, "intra_threads": threads}
    if model.config.model_type == "vanilla_encoder":
        encoder = ctranslate2.Encoder(str(folder), **options)
        return lambda ids, mask, tokens: encoder.forward_batch(ids.tolist())
    names = [name for name in ("shared_vocabulary.json", "vocabulary.json") if (folder / name).is_file()]
    vocabulary = json.loads((folder / names[0]).read_text(encoding="utf-8"))

    def texts(ids: torch.Tensor) -> list[list[str]]:
        return [[vocabulary[token] for token in row] for row in ids.tolist()]

    if model.config.is_encoder_decoder:
        translator = ctranslate2.Translator(str(folder), **options)
        return lambda ids, mask, tokens: translator.translate_batch(
            texts(ids), beam_size=1, min_decoding_length=tokens, max_decoding_length=tokens
        )
    generator = ctranslate2.Generator(str(folder), **options)
    return lambda ids, mask, tokens: generator.generate_batch(
        texts(ids), beam_size=1, min_length=tokens, max_length=tokens, include_prompt_in_result=False
    )


def onnx_side(folder: Path, model: PreTrainedModel, threads: int) -> Side:
    """An export to ONNX, in ONNX Runtime."""
    import onnxruntime
    from transformers.exporters import ExportedModel

    from hf_vanilla_transformer.conversion.exports.onnx_steps import OnnxSteps

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    graphs = ExportedModel.from_pretrained(folder, local_files_only=True, device="cpu", session_options=options).runners
    if not model.can_generate():
        segments = model.config.model_type == "vanilla_encoder" and model.config.type_vocab_size

        def read(ids: torch.Tensor, mask: torch.Tensor, tokens: int) -> Any:
            more = {"token_type_ids": torch.zeros_like(ids)} if segments else {}
            return graphs["model"](input_ids=ids, attention_mask=mask, **more)

        return read
    steps = OnnxSteps(graphs, getattr(model.config, "decoder_start_token_id", None))

    def run(ids: torch.Tensor, mask: torch.Tensor, tokens: int) -> None:
        logits = steps.start(ids, mask)
        for _ in range(tokens - 1):
            logits = steps.step(logits[:, -1:].argmax(-1))

    return run


def sides(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, aside: Path, threads: int
) -> tuple[dict[str, Side], dict[str, Any]]:
    """All sides that run the model, and the report or the error of each export."""
    found: dict[str, Side] = {"ours": torch_side(model)}
    reports: dict[str, Any] = {}
    for target, quantization in EXPORTS:
        name = target if quantization == "none" else f"{target} {quantization}"
        folder = aside / name.replace(" ", "-")
        try:
            report = export_to(model, folder, target, tokenizer=tokenizer, quantization=quantization)
        except (ValueError, ImportError) as error:
            reports[name] = {"refused": str(error)}
            continue
        reports[name] = report.to_dict()
        if target == "transformers":
            found[name] = torch_side(to_transformers(model))
        elif target == "ctranslate2":
            found[name] = ctranslate2_side(folder, model, threads)
        elif target == "onnx":
            found[name] = onnx_side(folder, model, threads)
        # llama.cpp, which runs GGUF files, is not installed; the report has the differences.
    return found, reports


def _installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True


def measure(
    found: dict[str, Side], work: list[tuple[torch.Tensor, torch.Tensor]], tokens: int, repeats: int, reads: bool
) -> dict[str, Any]:
    """Tokens per second of each side: generated tokens, or input tokens with `reads`.

    Raises:
        ValueError: there is no batch.
    """
    if not work:
        raise ValueError(
            "There are fewer sentences than rows in a batch: give more with --sentences, or a smaller --rows."
        )
    total = sum(ids.numel() if reads else len(ids) * tokens for ids, _ in work)
    rates: dict[str, list[float]] = {name: [] for name in found}
    for round_number in range(repeats + 1):
        for name, run in found.items():
            begin = time.perf_counter()
            for ids, mask in work:
                run(ids, mask, tokens)
            if round_number:  # the first warms up
                rates[name].append(total / (time.perf_counter() - begin))
    return {name: summary(values) for name, values in rates.items()}


def lines(name: str, record: dict[str, Any]) -> list[str]:
    """The table of one model."""
    table = [f"\n{name}: {record['what']} a second", f"{'side':<20}{'median':>10}{'low':>10}{'high':>10}  against ours"]
    for side, report in record["exports"].items():
        if "refused" in report:
            table.append(f"{side:<20}{'-':>10}{'-':>10}{'-':>10}  {report['refused'].splitlines()[0][:60]}")
            continue
        speed = record["speed"].get(side)
        numbers = [f"{speed[key]:>10.0f}" for key in ("median", "low", "high")] if speed else ["         -"] * 3
        # The last numeric difference is that of the side as timed.
        last = [check for check in report["checks"] if check["difference"] is not None][-1]
        table.append(f"{side:<20}{''.join(numbers)}  {last['what']} differ by {last['difference']:.1e}")
    speed = record["speed"]["ours"]
    table.insert(2, f"{'ours':<20}" + "".join(f"{speed[key]:>10.0f}" for key in ("median", "low", "high")))
    return table


def table(record: dict[str, Any]) -> str:
    """Markdown table with the speeds of all sides and their differences from our model."""
    rows = [
        "| model | side | tokens/s (low – high) | ratio to ours (low – high) | largest difference |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, result in record["results"].items():
        config = result["model"]
        label = f"{name}, {config['layers']} layers, {config['hidden_size']}: {result['what']}"
        own = result["speed"]["ours"]
        rows.append(f"| {label} | ours | {_range(own, ',.0f')} | 1 | – |")
        for side, report in result["exports"].items():
            if "refused" in report:
                rows.append(f"| {label} | {side} | – | – | not supported: {_reason(report['refused'])} |")
                continue
            speed = result["speed"].get(side)
            cells = ["–", "–"]
            if speed:
                ratios = [one / other for one, other in zip(speed["values"], own["values"])]
                summed = {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
                cells = [_range(speed, ",.0f"), _range(summed, ".2f")]
            differences = "; ".join(
                f"{check['what']} {check['difference']:.1e}"
                if check["difference"] is not None
                else f"{check['what']} {check['same']} of {check['total']}"
                for check in report["checks"]
            )
            rows.append(f"| {label} | {side} | {cells[0]} | {cells[1]} | {differences} |")
    versions = ", ".join(f"{name} {version}" for name, version in record["libraries"].items())
    return "\n".join([*rows, "", f"With {versions}."])


def _range(numbers: dict[str, float], style: str) -> str:
    return f"{numbers['median']:{style}} ({numbers['low']:{style}} – {numbers['high']:{style}})"


def _reason(message: str) -> str:
    """The first sentence of an error, for a cell of a Markdown table."""
    return message.splitlines()[0].split(". ")[0].rstrip(".").replace("|", "\\|")


def main(arguments: list[str] | None = None) -> None:
    """Exports, measures, prints, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", help="models of this package (default: random models)")
    parser.add_argument("--sentences", help="file with one sentence per line (default: the samples of the exports)")
    parser.add_argument("--rows", type=int, default=8, help="rows in a batch (default: 8)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens to generate for each row (default: 32)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every side (default: 2)")
    parser.add_argument("--repeats", type=int, default=4, help="timed rounds (default: 4)")
    parser.add_argument("--hidden-size", type=int, default=512, help="of the random models (default: 512)")
    parser.add_argument("--layers", type=int, default=6, help="of the random models (default: 6)")
    parser.add_argument("--output", default=str(RESULTS / "exports.json"), help="file for the record")
    given = parser.parse_args(arguments)

    torch.set_num_threads(given.threads)
    sentences = read_sentences(given.sentences) if given.sentences else list(SENTENCES) * 2
    size = {
        "vocab_size": 32000,
        "hidden_size": given.hidden_size,
        "num_attention_heads": max(1, given.hidden_size // 64),
        "intermediate_size": 4 * given.hidden_size,
        "max_position_embeddings": 256,
    }
    models = {
        folder: (load_saved_model(folder, torch.float32), load_saved_tokenizer(folder)) for folder in given.folders
    }
    models = models or random_models(size, given.layers)
    results = {}
    for name, (model, tokenizer) in models.items():
        reads = not model.can_generate()
        with tempfile.TemporaryDirectory() as aside:
            found, reports = sides(model, tokenizer, Path(aside), given.threads)
            work = batches(tokenizer, sentences, given.rows, max(1, model.config.max_position_embeddings // 2))
            speed = measure(found, work, given.tokens, given.repeats, reads)
        config = {field: getattr(model.config, field) for field in ("model_type", "hidden_size", "vocab_size")}
        config["layers"] = model.config.num_hidden_layers
        what = "tokens read" if reads else "tokens made"
        results[name] = {"model": config, "what": what, "exports": reports, "speed": speed}
        print(*lines(name, results[name]), sep="\n")
    libraries = {name: metadata.version(name) for name in LIBRARIES if _installed(name)}
    # The record does not contain its own path.
    settings = {name: value for name, value in vars(given).items() if name != "output"}
    record = {"machine": machine(), "libraries": libraries, "settings": settings, "results": results}
    print(f"\n{write_json(given.output, record)}")


if __name__ == "__main__":
    main()
