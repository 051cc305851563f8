"""`python -m benchmarks.gpu`: training speed, memory and MFU of the three stacks at base size on a GPU.

Model FLOPs utilization (MFU; Chowdhery et al. 2022, appendix B) is the rate of the matrix products that a model needs,
divided by the rate that the device reaches. The products are counted once, without padding's share; the rate of the
device is that of a large square product in the same precision, measured in the same process, or `--peak-tflops`.

Each stack trains on sequences of many lengths, beside transformers' own class with the same weights: the peer in padded
rows, ours in padded rows, in packed rows, and compiled. The sides take turns. On a machine without a GPU,
`--device cpu --quick` runs the same code with small sizes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import is_flash_attn_2_available

from hf_vanilla_transformer import from_transformers

from .records import RESULTS, machine, summary, write_json
from .training_worker import OperationCounter

IGNORED = -100
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Size:
    """Sizes of a measurement.

    Attributes:
        hidden: width of the layers; the feed-forward networks are four times as wide.
        layers: layers of an encoder or a decoder; a translation model has half of them on each side.
        heads: attention heads.
        vocabulary: entries of the vocabulary.
        longest: tokens of the longest sequence, and of a packed row.
        tokens: tokens of a batch, without padding.
        product: rows of the square product that measures the device.
    """

    hidden: int
    layers: int
    heads: int
    vocabulary: int
    longest: int
    tokens: int
    product: int


SIZES = {
    "base": Size(hidden=768, layers=12, heads=12, vocabulary=32_768, longest=512, tokens=32_768, product=8192),
    "quick": Size(hidden=32, layers=2, heads=2, vocabulary=128, longest=24, tokens=192, product=256),
}


def masked_peer(size: Size) -> nn.Module:
    """BERT with the head for masked language modeling."""
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(
            vocab_size=size.vocabulary,
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=4 * size.hidden,
            max_position_embeddings=size.longest,
        )
    )


def causal_peer(size: Size) -> nn.Module:
    """GPT-2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=size.vocabulary,
            n_embd=size.hidden,
            n_layer=size.layers,
            n_head=size.heads,
            n_positions=size.longest,
            bos_token_id=None,
            eos_token_id=None,
            use_cache=False,
        )
    )


def translation_peer(size: Size) -> nn.Module:
    """Marian, the paper's architecture."""
    from transformers import MarianConfig, MarianMTModel

    return MarianMTModel(
        MarianConfig(
            vocab_size=size.vocabulary,
            d_model=size.hidden,
            encoder_layers=size.layers // 2,
            decoder_layers=size.layers // 2,
            encoder_attention_heads=size.heads,
            decoder_attention_heads=size.heads,
            encoder_ffn_dim=4 * size.hidden,
            decoder_ffn_dim=4 * size.hidden,
            activation_function="relu",
            scale_embedding=True,
            max_position_embeddings=size.longest,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
            forced_eos_token_id=None,
            use_cache=False,
        )
    )


PEERS: dict[str, Callable[[Size], nn.Module]] = {
    "masked": masked_peer,
    "causal": causal_peer,
    "translation": translation_peer,
}


def lengths_of_sequences(size: Size, seed: int = 0) -> list[int]:
    """Lengths between an eighth of the longest and the longest, until the batch has its tokens."""
    generator = torch.Generator().manual_seed(seed)
    shortest, lengths = max(2, size.longest // 8), []
    while sum(lengths) < size.tokens:
        lengths.append(int(torch.randint(shortest, size.longest + 1, (), generator=generator)))
    return lengths


def rows_of_sequences(lengths: list[int], width: int, packed: bool) -> list[list[int]]:
    """The numbers of the sequences in each row: one, or as many in their order as fit in the width."""
    rows: list[list[int]] = [[]]
    for number, length in enumerate(lengths):
        used = sum(lengths[other] for other in rows[-1])
        if rows[-1] and (not packed or used + length > width):
            rows.append([])
        rows[-1].append(number)
    return rows


def make_batch(stack: str, size: Size, packed: bool, device: torch.device) -> dict[str, torch.Tensor]:
    """The sequences of a batch as padded or packed rows, equal in both forms.

    Args:
        stack: a key of `PEERS`.
        size: the sizes.
        packed: several sequences a row, told by `seq_idx`.
        device: where the tensors go.
    """
    lengths = lengths_of_sequences(size)
    generator = torch.Generator().manual_seed(1)
    sequences = [torch.randint(4, size.vocabulary, (2, length), generator=generator) for length in lengths]
    masked = [torch.rand(length, generator=generator) < 0.15 for length in lengths]
    rows = rows_of_sequences(lengths, size.longest, packed)
    width = max(sum(lengths[number] for number in row) for row in rows)
    batch = {name: torch.zeros(len(rows), width, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    batch["labels"] = torch.full((len(rows), width), IGNORED)
    numbers = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        start = 0
        for position, number in enumerate(row):
            here = slice(start, start + lengths[number])
            tokens, targets = sequences[number]
            batch["input_ids"][index, here] = tokens
            batch["attention_mask"][index, here] = 1
            if stack == "masked":
                batch["labels"][index, here] = torch.where(masked[number], targets, IGNORED)
            elif stack == "causal":
                # The first token of a sequence is not the next one of the sequence before it.
                batch["labels"][index, here] = tokens.index_fill(0, torch.tensor([0]), IGNORED)
            else:
                batch["labels"][index, here] = targets
            numbers[index, here.start :] = position
            start = here.stop
    if packed:
        batch["seq_idx"] = numbers
        if stack == "translation":
            batch["decoder_seq_idx"] = numbers.clone()
    return {name: tensor.to(device) for name, tensor in batch.items()}


@dataclass
class Side:
    """One side of a comparison.

    Attributes:
        name: its name in the table.
        model: the model in training mode; compiled or not.
        batch: the keyword arguments of the model.
    """

    name: str
    model: Any
    batch: dict[str, torch.Tensor]


def sides_of(
    stack: str, size: Size, device: torch.device, attention: str, compiled: bool
) -> Iterator[tuple[str, Callable[[], Side]]]:
    """The sides of a stack, by their names; a side is built when it is called, so that one model exists at a time.

    Args:
        attention: the attention kernel of all sides.
        compiled: also measure ours compiled, in padded rows.
    """

    def build(name: str, ours: bool, packed: bool, by_compiler: bool) -> Callable[[], Side]:
        def make() -> Side:
            torch.manual_seed(0)
            model = PEERS[stack](size)
            if ours:
                model = from_transformers(model)
            model.set_attn_implementation(attention)
            model.to(device).train()
            used = torch.compile(model) if by_compiler else model
            return Side(name, used, make_batch(stack, size, packed, device))

        return make

    yield "peer", build("peer", False, False, False)
    yield "ours", build("ours", True, False, False)
    yield "ours, packed", build("ours, packed", True, True, False)
    if compiled:
        yield "ours, compiled", build("ours, compiled", True, False, True)


def wait(device: torch.device) -> None:
    """Waits until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of a piece of work on the device."""
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin


def peak_rate(size: Size, device: torch.device, dtype: torch.dtype, repeats: int = 10) -> float:
    """Operations per second of a large square product: the most that a step can hope for."""
    square = torch.randn(size.product, size.product, device=device, dtype=dtype)
    square @ square
    timings = [seconds_of(lambda: square @ square, device) for _ in range(repeats)]
    return 2 * size.product**3 / statistics.median(timings)


def measure(side: Side, device: torch.device, precision: str, steps: int, repeats: int) -> dict[str, Any]:
    """Labelled and all tokens per second of training steps, peak memory, and how often the compiler compiled.

    Args:
        side: the side.
        device: its device.
        precision: a key of `PRECISIONS`; weights stay float32, and 16-bit types are used by autocast.
        steps: updates in a measurement.
        repeats: number of measurements.
    """
    optimizer = torch.optim.AdamW(side.model.parameters(), lr=1e-4, fused=True)
    lower = precision != "float32"

    def step() -> None:
        with torch.autocast(device.type, PRECISIONS[precision], enabled=lower):
            loss = side.model(**side.batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def several() -> None:
        for _ in range(steps):
            step()

    torch._dynamo.utils.counters.clear()
    for _ in range(3):  # memory is allocated and kernels are chosen, or compiled
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    tokens = int(side.batch["attention_mask"].sum())
    rates = [tokens * steps / seconds_of(several, device) for _ in range(repeats)]
    return {
        "tokens_per_second": summary(rates),
        "peak_memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
        "graph_breaks": sum(torch._dynamo.utils.counters["graph_break"].values()),
    }


def operations_per_token(side: Side) -> float:
    """Operations of the matrix products in forward and backward, for each token that is not padding.

    The step is counted with packed rows and the attention written out, so that no padding is counted. Attention is
    counted as if every token of a row saw every other, as PaLM's formula counts it.
    """
    model = getattr(side.model, "_orig_mod", side.model)
    model.set_attn_implementation("eager")
    with torch.backends.mkldnn.flags(enabled=False), OperationCounter() as counter:
        model(**side.batch).loss.backward()
    model.zero_grad(set_to_none=True)
    return counter.operations / int(side.batch["attention_mask"].sum())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All measurements.

    Raises:
        ValueError: the device is not there, or `flash_attention_2` without its library.
    """
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda' is not there; on a machine without a GPU, --device cpu --quick tries the code")
    if options.attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise ValueError("attention='flash_attention_2' needs the package flash-attn; install it, or use sdpa")
    size = SIZES["quick" if options.quick else "base"]
    record: dict[str, Any] = {
        "benchmark": "gpu",
        "machine": machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": options.precision,
        "attention": options.attention,
        "steps": options.steps,
        "peak_given": options.peak_tflops is not None,
        "stacks": {},
    }
    dtype = PRECISIONS[options.precision]
    given = options.peak_tflops
    record["peak"] = given * 1e12 if given is not None else peak_rate(size, device, dtype)
    for stack in options.stacks:
        results: dict[str, Any] = {}
        builders = dict(sides_of(stack, size, device, options.attention, options.compile))
        counted = builders["ours, packed"]()
        operations = operations_per_token(counted)
        parameters = sum(parameter.numel() for parameter in counted.model.parameters())
        del counted
        for name, make in builders.items():
            print(f"{stack}: {name}", flush=True)
            results[name] = measure(make(), device, options.precision, options.steps, options.repeats)
            results[name]["mfu"] = operations * results[name]["tokens_per_second"]["median"] / record["peak"]
        record["stacks"][stack] = {"parameters": parameters, "operations_per_token": operations, "sides": results}
    return record


def table(record: dict[str, Any]) -> str:
    """The record as a Markdown table."""
    peak = "as given" if record["peak_given"] else "measured with a square product"
    lines = [
        f"{record['device']}, {record['precision']}, attention `{record['attention']}`; "
        f"100 % MFU is {record['peak'] / 1e12:.3g} TFLOP/s ({peak}).",
        "",
        "| stack | side | tokens/s | range | ratio | MFU | peak memory | graphs | graph breaks |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for stack, result in record["stacks"].items():
        peer = result["sides"]["peer"]["tokens_per_second"]["median"]
        for name, side in result["sides"].items():
            rate, memory = side["tokens_per_second"], side["peak_memory"]
            lines.append(
                f"| {stack}, {result['parameters'] / 1e6:.3g} M | {name} | {rate['median']:,.0f} "
                f"| {rate['low']:,.0f} to {rate['high']:,.0f} | {rate['median'] / peer:.2f} | {side['mfu']:.1%} "
                f"| {'not measured' if memory is None else f'{memory / 2**30:.1f} GiB'} "
                f"| {side['graphs'] or '–'} | {side['graph_breaks'] if side['graphs'] else '–'} |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark, prints the table and writes the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu (default: %(default)s)")
    parser.add_argument("--stacks", nargs="+", choices=PEERS, default=list(PEERS), help="which stacks (default: all)")
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16", help="(default: %(default)s)")
    parser.add_argument("--attention", choices=("sdpa", "flash_attention_2", "eager"), default="sdpa")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="also measure compiled")
    parser.add_argument("--steps", type=int, default=20, help="updates in a measurement (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of a side (default: %(default)s)")
    parser.add_argument("--peak-tflops", type=float, help="the rate that counts as 100 %% (default: measured)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the command")
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json", help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    for name in ("steps", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(options, name)}")
    try:
        record = run(options)
    except ValueError as error:
        parser.error(str(error))
    print(table(record))
    print(f"written: {write_json(options.output, record)}")


if __name__ == "__main__":
    main()
