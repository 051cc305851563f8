"""`python -m benchmarks.multi30k_marian`: BLEU over training time of transformers' Marian on raw Multi30k, en-de.

The peer of our recipe: a MarianMTModel of the same size (4+4 layers, 128, 256, 4 heads, 10k shared BPE) in a plain but
good PyTorch loop: batches of a number of tokens, grouped by length, fused Adam, inverse square root schedule with
warm-up, label smoothing, and the tuned allocator. One seed, without a search over its settings.

Time is training time: batching and steps are included, evaluation is not (the record has its seconds).
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections import deque
from pathlib import Path
from typing import Any

from .allocator import is_tuned, restart_tuned
from .marian import tiny_marian
from .records import RESULTS, machine, write_json


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi30k_marian", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the parquet files (default: HF_VANILLA_DATA/multi30k)")
    parser.add_argument("--output", type=Path, default=RESULTS / "multi30k_marian.json")
    parser.add_argument("--checkpoints", type=Path, default=Path("runs/multi30k-marian"), help="folder of the weights")
    parser.add_argument(
        "--minutes", type=float, nargs="+", default=[5, 10, 20, 25], help="minutes after which to score"
    )
    parser.add_argument("--average", type=int, default=5, help="number of epochs whose weights are averaged at the end")
    parser.add_argument(
        "--max-tokens", type=int, default=2048, help="maximum padded tokens of a batch on its longer side"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--warmup-steps", type=int, default=1000)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--vocab-size", type=int, default=10_000)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="maximum number of pairs of each split, for a trial")
    options = parser.parse_args(arguments)
    if any(minute <= 0 for minute in options.minutes):
        parser.error(f"--minutes {options.minutes} must be positive")
    options.minutes = sorted(options.minutes)
    return options


def batches(lengths, max_tokens: int, generator) -> list:
    """The batches of one epoch in random order: rows of similar length, at most `max_tokens` padded tokens."""
    import numpy as np

    # Noise below 1 orders rows of equal length differently in each epoch.
    order = np.argsort(lengths + generator.uniform(0, 1, len(lengths)), kind="stable")
    result, start, longest = [], 0, 0
    for position, row in enumerate(order):
        longest = max(longest, int(lengths[row]))
        if position > start and longest * (position - start + 1) > max_tokens:
            result.append(order[start:position])
            start, longest = position, int(lengths[row])
    result.append(order[start:])
    generator.shuffle(result)
    return result


def pad(rows: list, value: int):
    """Pads lists of ids to a tensor `(rows, longest)`."""
    import torch

    return torch.nn.utils.rnn.pad_sequence(
        [torch.as_tensor(row) for row in rows], batch_first=True, padding_value=value
    )


def translate(model, tokenizer, sources: list[list[int]], beams: int, batch_size: int = 50) -> list[str]:
    """Translates all sources by beam search, in batches from the shortest; returns texts in the original order."""
    import torch

    model.eval()
    order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
    texts = [""] * len(sources)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        ids = pad([sources[row] for row in rows], tokenizer.pad_token_id)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids,
                attention_mask=(ids != tokenizer.pad_token_id).long(),
                num_beams=beams,
                max_new_tokens=ids.shape[1] + 50,
                suppress_tokens=[tokenizer.pad_token_id],
                length_penalty=1.0,
                early_stopping=False,
            )
        for row, text in zip(rows, tokenizer.batch_decode(output, skip_special_tokens=True)):
            texts[row] = text.strip()
    return texts


def score(model, tokenizer, encoded, pairs, beams: int) -> dict[str, Any]:
    """sacreBLEU (13a, cased) of one split, and the seconds of the search."""
    import sacrebleu

    begin = time.perf_counter()
    hypotheses = translate(model, tokenizer, [source for source, _ in encoded], beams)
    metric = sacrebleu.BLEU(tokenize="13a")
    bleu = metric.corpus_score(hypotheses, [[target for _, target in pairs]]).score
    return {"bleu": bleu, "seconds": time.perf_counter() - begin, "signature": str(metric.get_signature())}


def average(states: list[dict]) -> dict:
    """The mean of each parameter over several states."""
    import torch

    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}


class Run:
    """The training of Marian with its training time and its scores."""

    def __init__(self, options: argparse.Namespace):
        import numpy as np
        import torch

        from .corpora import load_multi30k, train_byte_bpe

        begin = time.perf_counter()
        torch.manual_seed(options.seed)
        self.options = options
        self.generator = np.random.default_rng(options.seed)
        self.pairs = load_multi30k(options.data, limit=options.limit)
        texts = [text for pair in self.pairs["train"] for text in pair]
        self.tokenizer = train_byte_bpe(texts, options.vocab_size)
        self.encoded = {
            split: list(
                zip(
                    self.tokenizer([source for source, _ in pairs])["input_ids"],
                    self.tokenizer([target for _, target in pairs])["input_ids"],
                )
            )
            for split, pairs in self.pairs.items()
        }
        self.lengths = np.array([max(len(source), len(target)) for source, target in self.encoded["train"]])
        self.model = tiny_marian(
            len(self.tokenizer),
            self.tokenizer.pad_token_id,
            self.tokenizer.eos_token_id,
            bos_token_id=self.tokenizer.bos_token_id,
            dropout=options.dropout,
            attention_dropout=0.0,
        )
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=options.learning_rate, betas=(0.9, 0.98), eps=1e-9, fused=True
        )
        self.criterion = torch.nn.CrossEntropyLoss(
            ignore_index=self.tokenizer.pad_token_id, label_smoothing=options.label_smoothing
        )
        self.steps = self.tokens = self.epochs = 0
        self.seconds = 0.0
        self.last_epochs: deque = deque(maxlen=options.average)
        self.recent_loss = 0.0
        setup = time.perf_counter() - begin
        self.record = {
            "benchmark": "multi30k_marian",
            "machine": machine(),
            "allocator": "tuned" if is_tuned() else "default",
            # Without paths, which differ between machines.
            "options": {name: value for name, value in vars(options).items() if not isinstance(value, Path)},
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "setup_seconds": setup,
            "threads": torch.get_num_threads(),
            "points": [],
            "complete": False,
        }

    def step(self, rows) -> None:
        """One update on these rows of the training split."""
        import torch

        pad_id = self.tokenizer.pad_token_id
        source = pad([self.encoded["train"][row][0] for row in rows], pad_id)
        target = pad([self.encoded["train"][row][1] for row in rows], pad_id)
        start = torch.full((len(rows), 1), self.model.config.decoder_start_token_id)
        rate = min(
            (self.steps + 1) / self.options.warmup_steps, math.sqrt(self.options.warmup_steps / (self.steps + 1))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * rate
        logits = self.model(
            input_ids=source,
            attention_mask=(source != pad_id).long(),
            decoder_input_ids=torch.cat([start, target[:, :-1]], dim=1),
            use_cache=False,
        ).logits
        loss = self.criterion(logits.flatten(0, 1), target.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, foreach=True)
        self.optimizer.step()
        self.steps += 1
        self.tokens += int((target != pad_id).sum())
        self.recent_loss += 0.02 * (loss.item() - self.recent_loss) if self.steps > 1 else loss.item()

    def weights(self) -> dict:
        """A copy of the current parameters."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def point(self, name: str, weights: dict) -> None:
        """Scores `weights` on the validation split, saves them for the test at the end, and writes the record."""
        import torch

        self.options.checkpoints.mkdir(parents=True, exist_ok=True)
        file = self.options.checkpoints / f"{name}.pt"
        torch.save(weights, file)
        scored = copy.deepcopy(self.model)
        scored.load_state_dict(weights)
        validation = score(
            scored, self.tokenizer, self.encoded["validation"], self.pairs["validation"], self.options.beams
        )
        self.record["points"].append(
            {
                "name": name,
                "minutes": self.seconds / 60,
                "steps": self.steps,
                "epochs": self.epochs,
                "target_tokens": self.tokens,
                "target_tokens_per_second": self.tokens / self.seconds,
                "training_loss": self.recent_loss,
                "validation": validation,
                "file": str(file),
            }
        )
        write_json(self.options.output, self.record)
        print(
            f"{name:>12}  {self.seconds / 60:6.2f} min  step {self.steps}  epoch {self.epochs}  "
            f"{self.tokens / self.seconds:,.0f} target tokens/s  loss {self.recent_loss:.3f}  "
            f"validation BLEU {validation['bleu']:.2f} ({validation['seconds']:.0f} s)",
            flush=True,
        )

    def train(self) -> None:
        """Trains until the last of the minutes; scoring is not part of the training time."""
        remaining = deque(self.options.minutes)
        since = time.perf_counter()
        while remaining:
            for rows in batches(self.lengths, self.options.max_tokens, self.generator):
                self.model.train()
                self.step(rows)
                elapsed = self.seconds + time.perf_counter() - since
                if elapsed >= remaining[0] * 60:
                    self.seconds = elapsed
                    self.point(f"minute-{remaining.popleft():g}", self.weights())
                    since = time.perf_counter()
                    if not remaining:
                        return
            self.epochs += 1
            self.last_epochs.append(self.weights())

    def finish(self) -> None:
        """Scores the average of the last epochs, then all points on the test split."""
        import torch

        if self.last_epochs:
            self.point(f"average-{len(self.last_epochs)}", average(list(self.last_epochs)))
        for point in self.record["points"]:
            self.model.load_state_dict(torch.load(point["file"], weights_only=True))
            split = "test_2016_flickr"
            point[split] = score(self.model, self.tokenizer, self.encoded[split], self.pairs[split], self.options.beams)
            print(f"{point['name']:>12}  {split} BLEU {point[split]['bleu']:.2f}", flush=True)
            write_json(self.options.output, self.record)
        self.record["complete"] = True
        write_json(self.options.output, self.record)


def main(arguments: list[str] | None = None) -> None:
    """Trains, scores, and writes the record."""
    options = parse(arguments)
    restart_tuned()
    import transformers

    transformers.utils.logging.set_verbosity_error()
    run = Run(options)
    print(
        f"Marian: {run.record['parameters']:,} parameters, {len(run.lengths):,} pairs, "
        f"setup {run.record['setup_seconds']:.0f} s, allocator {run.record['allocator']}",
        flush=True,
    )
    run.train()
    run.finish()
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
