"""Pretrain, adapt, fine-tune, as a user would: the commands of the package, with folders that are made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Body:
    """A small body, the same for all arms.

    Attributes:
        objective: ``causal`` is a decoder, ``masked`` an encoder.
        layers, hidden, heads: its size; the feed-forward layers are four times as wide.
        vocabulary: entries of its tokenizer.
        positions: the longest row it can read.
        row: tokens of a row in pretraining and adaptation.
        tokens: of an update in pretraining and adaptation.
        matrix_rate: learning rate of Muon, which trains the matrices of the layers, in both.
        rate: of all else, which is the embeddings above all, in pretraining.
        adapt_rate: the same in adaptation; small, so that `embeddings` are not lost again.
        embeddings: what the adaptation starts from: see `AdaptationRecipe.embeddings`.
        precision: of all training, the fine-tuning's too: see `TrainingRecipe.precision`.
    """

    objective: Literal["causal", "masked"] = "causal"
    layers: int = 4
    hidden: int = 128
    heads: int = 4
    vocabulary: int = 8000
    positions: int = 256
    row: int = 128
    tokens: int = 4096
    matrix_rate: float = 0.02
    rate: float = 4e-3
    adapt_rate: float = 2e-4
    embeddings: Literal["base_model", "cooccurrence"] = "cooccurrence"
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def template(self) -> Literal["decoder", "encoder"]:
        """Of its tokenizer."""
        return "decoder" if self.objective == "causal" else "encoder"


QUICK = Body(layers=2, hidden=32, heads=2, vocabulary=600, positions=64, row=32, tokens=512)


def command(arguments: Sequence[str | Path]) -> None:
    """`hf-vanilla ARGUMENTS` in this process.

    Raises:
        RuntimeError: it failed; what it said stands above.
        KeyboardInterrupt: it was interrupted, and has saved where it was.
    """
    from hf_vanilla_transformer.commands.main import main

    status = main([str(argument) for argument in arguments])
    if status == 130:
        raise KeyboardInterrupt
    if status:
        raise RuntimeError(f"hf-vanilla {' '.join(map(str, arguments))} ended with status {status}")


def make_tokenizer(folder: Path, body: Body, texts: Sequence[Path]) -> Path:
    """A lower-casing WordPiece tokenizer of unlabelled text, made once."""
    if not (folder / "tokenizer.json").is_file():
        import pyarrow.parquet as parquet

        from hf_vanilla_transformer.tokenization import train_tokenizer

        rows = [text for path in texts for text in parquet.read_table(path, columns=["text"])["text"].to_pylist()]
        tokenizer = train_tokenizer(
            rows, kind="wordpiece", vocab_size=body.vocabulary, template=body.template, lowercase=True
        )
        tokenizer.save_pretrained(folder)
    return folder


def pretrain(
    folder: Path, body: Body, data: Path, tokenizer: Path, steps: int, *, reverse: bool = False, seed: int = 0
) -> Path:
    """A body from random weights, made once; a run that was broken off goes on."""
    model = {
        "num_hidden_layers": body.layers,
        "hidden_size": body.hidden,
        "num_attention_heads": body.heads,
        "intermediate_size": 4 * body.hidden,
        "max_position_embeddings": body.positions,
    }
    fields = _language_model_fields(body, data, steps, body.rate, seed)
    fields |= {f"model.config.{name}": value for name, value in model.items()}
    fields |= {"tokenizer.path": tokenizer, "evaluation.eval_steps": max(1, steps // 5)}
    if reverse:
        fields["data.reverse"] = "true"
    return _once(folder, "pretrain", ["--objective", body.objective], fields)


def adapt(
    folder: Path, body: Body, parent: Path, data: Path, general: Path, steps: int, *, seed: int = 0, **adaptation: Any
) -> Path:
    """A body that has gone on with text of the domain, made once; `adaptation` are fields such as `replay`."""
    fields = _language_model_fields(body, data, steps, body.adapt_rate, seed)
    fields |= {"adaptation.general.path": general, "evaluation.eval_steps": max(1, steps // 5)}
    fields["adaptation.embeddings"] = body.embeddings
    fields |= {f"adaptation.{name}": value for name, value in adaptation.items()}
    if adaptation.get("l2_sp"):
        fields["training.weight_decay"] = 0.0
    return _once(folder, "adapt", [parent], fields)


def finetune(folder: Path, parent: Path, task: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fine-tunes anew and returns results.json; of what was there before nothing is left."""
    shutil.rmtree(folder, ignore_errors=True)
    command(["finetune", parent, "--task", task, "--output", folder, *dotted(fields)])
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def dotted(fields: dict[str, Any]) -> list[str]:
    """Fields of a recipe as arguments of a command."""
    words = []
    for name, value in fields.items():
        words += [f"--{name}", _yaml(value)] if "." in name else ["--set", f"{name}={_yaml(value)}"]
    return words


def _yaml(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _language_model_fields(body: Body, data: Path, steps: int, rate: float, seed: int) -> dict[str, Any]:
    return {
        "data.path": data,
        "data.max_length": body.row,
        "training.tokens_per_batch": body.tokens,
        "training.max_steps": steps,
        "training.num_train_epochs": None,
        "training.optim": "muon",
        "training.muon_learning_rate": body.matrix_rate,
        "training.learning_rate": rate,
        "training.warmup_steps": max(1, steps // 20),
        "training.seed": seed,
        "training.precision": body.precision,
        "checkpoint.save_steps": max(1, steps // 4),
        "checkpoint.save_total_limit": 1,
    }


def _once(folder: Path, name: str, arguments: list[Any], fields: dict[str, Any]) -> Path:
    if not (folder / "results.json").is_file():
        checkpoints = folder / "checkpoints"
        if checkpoints.is_dir() and any(checkpoints.iterdir()):
            command([name, "--resume", folder])
        else:
            shutil.rmtree(folder, ignore_errors=True)  # broken off before there was anything to go on with
            command([name, *arguments, "--output", folder, *dotted(fields)])
        shutil.rmtree(checkpoints, ignore_errors=True)
    return folder
