"""`python -m benchmarks predecessors`: recurrent and convolutional translation models beside the Transformer.

All models have about the same number of parameters and train for the same processor time on one thread, on a task of
copying and on Multi30k. Time is processor time without evaluation, so that other programs on the machine matter less.
The record is written after each measurement; a run continues where an earlier one with the same options stopped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .records import RESULTS, machine, read_json, write_json

MODELS = ("rnn", "lstm", "gru", "bahdanau", "luong", "convs2s", "bytenet", "transformer")
IMAGES = Path(__file__).parents[1] / "docs" / "images"
PAD, START, END, FIRST = 0, 1, 2, 3
PATH_MODELS = ("gru", "convs2s", "bytenet", "transformer")


def config_of(name: str, vocab_size: int, parameters: int, **fields: Any) -> Any:
    """The configuration of a model whose width gives it about this many parameters, the table of tokens included."""
    import torch

    def make(width: int) -> Any:
        from hf_vanilla_transformer import PredecessorConfig, VanillaTransformerConfig

        ids = {"pad_token_id": PAD, "bos_token_id": START, "eos_token_id": END, "decoder_start_token_id": START}
        common = {"vocab_size": vocab_size, "hidden_size": width, "max_position_embeddings": 256, **ids, **fields}
        if name == "transformer":
            own = {"intermediate_size": 2 * width, "num_attention_heads": 4, "encoder_layers": 2, "decoder_layers": 2}
            return VanillaTransformerConfig(**{**own, "norm_first": True, **common})
        return getattr(PredecessorConfig, name)(**common)

    best, nearest = None, None
    for width in range(16, 513, 8):
        config = make(width)
        with torch.device("meta"):
            count = model_of(config).num_parameters()
        if nearest is None or abs(count - parameters) < nearest:
            best, nearest = config, abs(count - parameters)
        elif count > parameters:
            break
    return best


def model_of(config: Any) -> Any:
    """A new model of a configuration, with random weights."""
    from transformers import AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM.from_config(config)


def copies(rows: int, length: int, seed: int) -> Iterator[dict[str, Any]]:
    """Endless batches of random sequences of this length over 20 symbols, to be copied."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    end = torch.full((rows, 1), END)
    while True:
        source = torch.cat([torch.randint(FIRST, FIRST + 20, (rows, length), generator=generator), end], 1)
        yield {"input_ids": source, "attention_mask": torch.ones_like(source), "labels": source}


def train(
    model: Any, batches: Iterator[dict[str, Any]], seconds: float, at: Callable[[float], Any] | None = None
) -> int:
    """Adam with warmup and a linear schedule for this processor time; `at` is called at a half and at the end.

    Returns:
        The number of updates.
    """
    import torch

    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    used, updates, marks = 0.0, 0, [0.5, 1.0]
    model.train()
    while marks:
        began = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((updates + 1) / 50, max(0.02, 1 - used / seconds))
        loss = model(**next(batches)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        updates += 1
        used += time.process_time() - began
        if used >= marks[0] * seconds:
            mark = marks.pop(0)
            if at is not None:
                model.eval()
                at(mark)
                model.train()
    model.eval()
    return updates


def copy_task(name: str, length: int, parameters: int, seconds: float) -> dict[str, Any]:
    """Trains on copying sequences of one length; the share of symbols in place in new sequences, decoded greedily."""
    import torch

    torch.manual_seed(0)
    model = model_of(config_of(name, FIRST + 20, parameters, dropout=0.0))
    updates = train(model, copies(32, length, 0), seconds)
    test = next(copies(64, length, 1))
    written = model.generate(
        test["input_ids"], attention_mask=test["attention_mask"], max_new_tokens=length + 1, num_beams=1
    )[:, 1:]
    right = torch.zeros(len(written))
    shared = min(written.shape[1], length)
    right = (written[:, :shared] == test["input_ids"][:, :shared]).sum(-1) / length
    return {
        "accuracy": float(right.mean()),
        "whole": float((right == 1).float().mean()),
        "updates": updates,
        "parameters": model.num_parameters(),
    }


def path_length(name: str, distance: int) -> int:
    """Layers, or for a recurrent model steps, through which a token reaches another of the source, by formula.

    Recurrent: one step for each position. ConvS2S: the kernel of 3 reaches one position a block. ByteNet: the dilation
    doubles from block to block. Self-attention: one layer.
    """
    if name == "transformer":
        return 1
    if name == "bytenet":
        reach, blocks = 0, 0
        while reach < distance:
            reach, blocks = reach + 2**blocks, blocks + 1
        return blocks
    return distance


def measured_path(name: str, distance: int) -> int:
    """The same by the gradient: the smallest number of layers for which the last state depends on the first token.

    For a recurrent model, the states between that cut the dependence when they are held constant, and one.
    """
    import torch

    from hf_vanilla_transformer import PredecessorConfig, VanillaTransformerConfig

    torch.manual_seed(0)
    sizes = {"vocab_size": 8, "hidden_size": 8, "dropout": 0.0, "max_position_embeddings": distance + 1}
    vectors = torch.randn(1, distance + 1, 8, dtype=torch.float64, requires_grad=True)

    def depends(state: Any) -> bool:
        # Not the plain sum: layer normalisation makes it a constant.
        (gradient,) = torch.autograd.grad((state * torch.arange(1.0, 9.0)).sum(), vectors)
        return bool(gradient[0, 0].abs().sum() > 1e-12)

    if name == "gru":
        cell = torch.nn.GRU(8, 8, batch_first=True).double()
        cuts = 0
        for cut in range(1, distance + 1):
            _, before = cell(vectors[:, :cut])
            after, _ = cell(vectors[:, cut:], before.detach())
            cuts += not depends(after[0, -1])
        return cuts
    for layers in range(1, distance + 1):
        if name == "transformer":
            config = VanillaTransformerConfig(
                **sizes, encoder_layers=layers, num_attention_heads=2, intermediate_size=8, position_embedding_type=
                "sinusoidal",
            )  # fmt: skip
        else:
            config = getattr(PredecessorConfig, name)(**sizes, encoder_layers=layers, dilation_cycle=20)
        encoder = model_of(config).double().eval().get_encoder()
        if depends(encoder(inputs_embeds=vectors).last_hidden_state[0, -1]):
            return layers
    raise AssertionError(f"{name}: no dependence over {distance} positions with {distance} layers")


def update_time(name: str, length: int, parameters: int, repetitions: int = 5) -> dict[str, Any]:
    """Processor milliseconds of an update on 16 sequences of this length."""
    import torch

    torch.manual_seed(0)
    model = model_of(config_of(name, FIRST + 20, parameters)).train()
    batches, times = copies(16, length, 0), []
    for _ in range(repetitions + 1):
        batch, began = next(batches), time.process_time()
        model(**batch).loss.backward()
        model.zero_grad()
        times.append(1000 * (time.process_time() - began))
    times = times[1:]
    return {"milliseconds": statistics.median(times), "low": min(times), "high": max(times)}


def multi30k_rows(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The sentence pairs of the splits, as they are in the files.

    Raises:
        FileNotFoundError: the folder has no Multi30k.
    """
    import pandas

    rows = {}
    for split in ("train", "validation"):
        path = folder / f"{split}.parquet"
        if not path.is_file():
            raise FileNotFoundError(f"There is no {path}: give the folder of Multi30k with --data.")
        table = pandas.read_parquet(path)
        if "translation" in table:
            rows[split] = list(table["translation"])
        else:
            rows[split] = table[["en", "de"]].to_dict("records")
    return rows


def multi30k_batches(tokenizer: Any, rows: list[dict[str, str]], tokens: int) -> Iterator[dict[str, Any]]:
    """Endless padded batches of up to this many tokens, of sentences of similar length, in random order."""
    import random

    import torch

    sources = tokenizer([row["en"] for row in rows])["input_ids"]
    targets = tokenizer([row["de"] for row in rows])["input_ids"]
    order = sorted(range(len(rows)), key=lambda row: (len(targets[row]), len(sources[row])))
    groups, group = [], []
    for row in order:
        longest = max(len(sources[row]), len(targets[row]), *(len(sources[one]) for one in group))
        if group and longest * (len(group) + 1) > tokens:
            groups.append(group)
            group = []
        group.append(row)
    groups.append(group)
    chance = random.Random(0)

    def padded(ids: list[list[int]], fill: int) -> Any:
        width = max(map(len, ids))
        return torch.tensor([one + [fill] * (width - len(one)) for one in ids])

    while True:
        chance.shuffle(groups)
        for group in groups:
            source = padded([sources[row] for row in group], PAD)
            labels = padded([targets[row] for row in group], -100)
            yield {"input_ids": source, "attention_mask": (source != PAD).long(), "labels": labels}


def translation(
    name: str, data: Path, parameters: int, minutes: float, sentences: int, vocab_size: int
) -> dict[str, Any]:
    """Trains on Multi30k; BLEU at a half and at the end, by length of the source, and the attention of a sentence."""
    import sacrebleu
    import torch

    from hf_vanilla_transformer.generation.translation import translate
    from hf_vanilla_transformer.tokenization import train_tokenizer

    rows = multi30k_rows(data)
    tokenizer = train_tokenizer(
        (text for row in rows["train"] for text in (row["en"], row["de"])), template="seq2seq", kind="byte_bpe",
        vocab_size=vocab_size,
    )  # fmt: skip
    torch.manual_seed(0)
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.bos_token_id,
    }
    model = model_of(config_of(name, len(tokenizer), parameters, label_smoothing=0.1, **ids))
    tested = rows["validation"][:sentences]
    sources, references = [row["en"] for row in tested], [row["de"] for row in tested]
    points: list[dict[str, float]] = []
    translations: list[str] = []

    def score(share: float) -> None:
        translations[:] = translate(model, tokenizer, sources, num_beams=1)
        bleu = sacrebleu.corpus_bleu(translations, [references])
        points.append({"minutes": share * minutes, "bleu": bleu.score})

    updates = train(model, multi30k_batches(tokenizer, rows["train"], 1024), 60 * minutes, score)
    order = sorted(range(len(tested)), key=lambda row: len(sources[row].split()))
    lengths = []
    for part in range(4):
        chosen = order[len(order) * part // 4 : len(order) * (part + 1) // 4]
        bleu = sacrebleu.corpus_bleu([translations[row] for row in chosen], [[references[row] for row in chosen]])
        words = statistics.mean(len(sources[row].split()) for row in chosen)
        lengths.append({"words": words, "bleu": bleu.score})
    cell = {"points": points, "lengths": lengths, "updates": updates, "parameters": model.num_parameters()}
    if name in ("bahdanau", "transformer"):
        cell["attention"] = attention_of(model, tokenizer, sources[order[len(order) // 2]])
    return cell


def attention_of(model: Any, tokenizer: Any, sentence: str) -> dict[str, Any]:
    """The tokens of a sentence and of its translation, and the last cross-attention, the mean of its heads."""
    import torch

    inputs = tokenizer(sentence, return_tensors="pt")
    ids = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    written = model.generate(**ids, max_new_tokens=40, num_beams=1)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model(**ids, decoder_input_ids=written[:, :-1], output_attentions=True)
    return {
        "source": [tokenizer.decode([one]) for one in ids["input_ids"][0].tolist()],
        "target": [tokenizer.decode([one]) for one in written[0, 1:].tolist()],
        "weights": outputs.cross_attentions[-1][0].mean(0).tolist(),
    }


def plot(record: dict[str, Any], folder: Path) -> list[Path]:
    """Draws what the record has: copying, time, BLEU by length and minutes, and the attention."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells, written = record["cells"], []
    figure, ((copying, times), (lengths, minutes)) = pyplot.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    for name in MODELS:
        for axes, part, value in ((copying, "copy", "accuracy"), (times, "time", "milliseconds")):
            found = [(int(key.split("/")[2]), cell[value]) for key, cell in cells.items() if f"{part}/{name}/" in key]
            if found:
                axes.plot(*zip(*sorted(found)), ".-", label=name)
        if (cell := cells.get(f"multi30k/{name}")) is not None:
            lengths.plot(*zip(*((one["words"], one["bleu"]) for one in cell["lengths"])), ".-", label=name)
            minutes.plot(*zip(*((one["minutes"], one["bleu"]) for one in cell["points"])), ".-", label=name)
    for axes, x, y in (
        (copying, "length of the sequence to copy", "share of symbols in place"),
        (times, "length", "ms of processor time per update, 16 sequences"),
        (lengths, "words of the source (mean of a quarter)", "BLEU, Multi30k validation"),
        (minutes, "minutes of processor time", "BLEU, Multi30k validation"),
    ):
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(alpha=0.3)
        axes.set_visible(bool(axes.lines))  # what is not measured yet has no picture
    times.set_yscale("log")
    times.legend(fontsize=8)
    written.append(_saved(figure, folder / "predecessors.png"))
    pictures = [(name, cells.get(f"multi30k/{name}", {}).get("attention")) for name in ("bahdanau", "transformer")]
    pictures = [(name, picture) for name, picture in pictures if picture]
    if pictures:
        figure, grid = pyplot.subplots(1, len(pictures), figsize=(6 * len(pictures), 5.5), layout="constrained")
        for axes, (name, picture) in zip([grid] if len(pictures) == 1 else grid, pictures):
            axes.imshow(picture["weights"], cmap="Blues", vmin=0)
            axes.set_xticks(range(len(picture["source"])), picture["source"], rotation=90)
            axes.set_yticks(range(len(picture["target"])), picture["target"])
            axes.set_xlabel("read")
            axes.set_ylabel("written")
            axes.set_title(name)
        written.append(_saved(figure, folder / "predecessors_attention.png"))
    return written


def _saved(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.png")
    figure.savefig(aside, dpi=110)
    pyplot.close(figure)
    aside.replace(path)
    return path


def table(record: dict[str, Any]) -> str:
    """Markdown: one row per model, then the paths."""
    options, cells = record["options"], record["cells"]
    header = ["model", *(f"copy {length}" for length in options["copy_lengths"])]
    header += [f"ms at {length}" for length in options["time_lengths"]]
    header += ["updates", "BLEU", "BLEU, shortest quarter", "longest quarter"]
    lines = ["| " + " | ".join(header) + " |", "| --- " * len(header) + "|"]
    for name in options["models"]:
        row = [name]
        row += [f"{cells[f'copy/{name}/{n}']['accuracy']:.1%}" for n in options["copy_lengths"]]
        row += [f"{cells[f'time/{name}/{n}']['milliseconds']:.1f}" for n in options["time_lengths"]]
        if (cell := cells.get(f"multi30k/{name}")) is None:
            row += [""] * 4
        else:
            row += [f"{cell['updates']:,}", f"{cell['points'][-1]['bleu']:.1f}"]
            row += [f"{cell['lengths'][0]['bleu']:.1f}", f"{cell['lengths'][-1]['bleu']:.1f}"]
        lines.append("| " + " | ".join(row) + " |")
    if not options["distances"]:
        return "\n".join(lines)
    lines += ["", "| distance | " + " | ".join(PATH_MODELS) + " |", "| --- " * (1 + len(PATH_MODELS)) + "|"]
    for distance in options["distances"]:
        found = [str(cells[f"path/{name}/{distance}"]["measured"]) for name in PATH_MODELS]
        lines.append(f"| {distance} | " + " | ".join(found) + " |")
    return "\n".join(lines)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Makes the measurements that the record lacks, and writes it after each.

    Raises:
        ValueError: the record was made with other options.
    """
    import torch

    torch.set_num_threads(1)
    free = ("models", "copy_lengths", "time_lengths", "distances")  # they only add measurements
    kept = ("parameters", "copy_seconds", "minutes", "multi30k_parameters", "sentences", "vocab_size")
    chosen = {name: getattr(options, name) for name in (*free, *kept)}
    record = {"benchmark": "predecessors", "machine": machine(), "options": chosen, "cells": {}}
    if options.output.is_file():
        record = read_json(options.output)
        record["options"] |= {name: chosen[name] for name in free}
        if not record["options"]["minutes"]:  # it has no Multi30k yet, so its minutes are free
            record["options"] |= {name: chosen[name] for name in ("minutes", "multi30k_parameters", "sentences")}
            record["options"]["vocab_size"] = chosen["vocab_size"]
        different = [name for name in kept if record["options"].get(name) != chosen[name]]
        if different:
            raise ValueError(
                f"{options.output} was made with another {different[0]} ({record['options'].get(different[0])}, not "
                f"{chosen[different[0]]}): give the same options to continue it, or another --output."
            )
    steps: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for distance in options.distances:
        for name in PATH_MODELS:
            steps.append((f"path/{name}/{distance}", lambda name=name, distance=distance: {
                "formula": path_length(name, distance), "measured": measured_path(name, distance)
            }))  # fmt: skip
    for name in options.models:
        for n in options.time_lengths:
            steps.append((f"time/{name}/{n}", lambda name=name, n=n: update_time(name, n, options.parameters)))
    if options.minutes:
        for name in options.models:
            steps.append((f"multi30k/{name}", lambda name=name: translation(
                name, options.data, options.multi30k_parameters, options.minutes, options.sentences, options.vocab_size
            )))  # fmt: skip
    for name in options.models:
        for n in options.copy_lengths:
            steps.append((f"copy/{name}/{n}", lambda name=name, n=n: copy_task(
                name, n, options.parameters, options.copy_seconds
            )))  # fmt: skip
    for key, step in steps:
        if key not in record["cells"]:
            record["cells"][key] = step()
            write_json(options.output, record)
            print(key, flush=True)
    return record


def main(arguments: list[str] | None = None) -> None:
    """Measures, writes record and plots, and prints the table."""
    data = Path(os.environ.get("HF_VANILLA_DATA", "data")) / "multi30k"
    parser = argparse.ArgumentParser(prog="python -m benchmarks predecessors", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0, help="of training on Multi30k a model; 0 leaves it out")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--data", type=Path, default=data, help="folder with Multi30k as Parquet")
    parser.add_argument("--parameters", type=int, default=100_000, help="of a model that copies")
    parser.add_argument("--multi30k-parameters", type=int, default=1_500_000, help="of a model that translates")
    parser.add_argument("--vocab-size", type=int, default=6000, help="of the tokenizer of Multi30k")
    parser.add_argument("--sentences", type=int, default=500, help="validation sentences that are translated")
    parser.add_argument("--copy-lengths", type=int, nargs="*", default=[5, 10, 20, 40])
    parser.add_argument("--copy-seconds", type=float, default=20.0, help="of training for each model and length")
    parser.add_argument("--time-lengths", type=int, nargs="*", default=[16, 64, 128])
    parser.add_argument("--distances", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--output", type=Path, default=RESULTS / "predecessors.json")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder for the plots")
    options = parser.parse_args(arguments)
    if options.minutes < 0 or options.copy_seconds <= 0:
        parser.error("--minutes must not be negative, and --copy-seconds must be positive")
    if options.minutes:
        multi30k_rows(options.data)
    record = measure(options)
    print(table(record))
    print("written:", options.output, *plot(record, options.images))


if __name__ == "__main__":
    main()
