"""Pretraining, adaptation and fine-tuning with the commands of the package; finished folders are reused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Backbone:
    """Size and training of a small backbone, the same for all arms.

    Attributes:
        objective: ``causal`` trains a decoder, ``masked`` an encoder.
        layers: number of layers.
        hidden: hidden size; the feed-forward layers are four times as wide.
        heads: number of attention heads.
        vocabulary: vocabulary size of the tokenizer.
        positions: maximum number of positions.
        row: number of tokens of a row in pretraining and adaptation.
        tokens: number of tokens of an update in pretraining and adaptation.
        matrix_rate: learning rate of Muon, which trains the matrices of the layers, in pretraining and adaptation.
        rate: learning rate of the other parameters, mainly the embeddings, in pretraining.
        adapt_rate: the same in adaptation; small, to keep the initial `embeddings`.
        embeddings: initial embeddings of the adaptation: see `AdaptationRecipe.embeddings`.
        precision: precision of all training, fine-tuning included: see `TrainingRecipe.precision`.
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
        """The template of the tokenizer."""
        return "decoder" if self.objective == "causal" else "encoder"


QUICK = Backbone(layers=2, hidden=32, heads=2, vocabulary=600, positions=64, row=32, tokens=512)


def command(arguments: Sequence[str | Path]) -> None:
    """Runs `hf-vanilla ARGUMENTS` in this process.

    Raises:
        RuntimeError: the command failed; its output has the reason.
        KeyboardInterrupt: the command was interrupted, after it saved a checkpoint.
    """
    from hf_vanilla_transformer.commands.main import main

    status = main([str(argument) for argument in arguments])
    if status == 130:
        raise KeyboardInterrupt
    if status:
        raise RuntimeError(f"hf-vanilla {' '.join(map(str, arguments))} failed with status {status}")


def make_tokenizer(folder: Path, backbone: Backbone, texts: Sequence[Path]) -> Path:
    """Trains a lower-casing WordPiece tokenizer on unlabelled text, if it does not exist."""
    if not (folder / "tokenizer.json").is_file():
        import pyarrow.parquet as parquet

        from hf_vanilla_transformer.tokenization import train_tokenizer

        rows = [text for path in texts for text in parquet.read_table(path, columns=["text"])["text"].to_pylist()]
        tokenizer = train_tokenizer(
            rows, kind="wordpiece", vocab_size=backbone.vocabulary, template=backbone.template, lowercase=True
        )
        tokenizer.save_pretrained(folder)
    return folder


def pretrain(
    folder: Path, backbone: Backbone, data: Path, tokenizer: Path, steps: int, *, reverse: bool = False, seed: int = 0
) -> Path:
    """Pretrains a backbone from random weights, if it does not exist; an interrupted run is resumed."""
    model = {
        "num_hidden_layers": backbone.layers,
        "hidden_size": backbone.hidden,
        "num_attention_heads": backbone.heads,
        "intermediate_size": 4 * backbone.hidden,
        "max_position_embeddings": backbone.positions,
    }
    fields = _language_model_fields(backbone, data, steps, backbone.rate, seed)
    fields |= {f"model.config.{name}": value for name, value in model.items()}
    fields |= {"tokenizer.path": tokenizer, "evaluation.eval_steps": max(1, steps // 5)}
    if reverse:
        fields["data.reverse"] = "true"
    return _once(folder, "pretrain", ["--objective", backbone.objective], fields)


def adapt(
    folder: Path,
    backbone: Backbone,
    base_model: Path,
    data: Path,
    general: Path,
    steps: int,
    *,
    seed: int = 0,
    **adaptation: Any,
) -> Path:
    """Adapts a base model to domain text, if the result does not exist; `adaptation` has fields such as `replay`."""
    fields = _language_model_fields(backbone, data, steps, backbone.adapt_rate, seed)
    fields |= {"adaptation.general.path": general, "evaluation.eval_steps": max(1, steps // 5)}
    fields["adaptation.embeddings"] = backbone.embeddings
    fields |= {f"adaptation.{name}": value for name, value in adaptation.items()}
    if adaptation.get("l2_sp"):
        fields["training.weight_decay"] = 0.0
    return _once(folder, "adapt", [base_model], fields)


def finetune(folder: Path, base_model: Path, task: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fine-tunes a base model and returns results.json; an old `folder` is removed first."""
    shutil.rmtree(folder, ignore_errors=True)
    command(["finetune", base_model, "--task", task, "--output", folder, *dotted(fields)])
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def dotted(fields: dict[str, Any]) -> list[str]:
    """Fields of a recipe as command-line arguments."""
    words = []
    for name, value in fields.items():
        words += [f"--{name}", _yaml(value)] if "." in name else ["--set", f"{name}={_yaml(value)}"]
    return words


def _yaml(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _language_model_fields(backbone: Backbone, data: Path, steps: int, rate: float, seed: int) -> dict[str, Any]:
    return {
        "data.path": data,
        "data.max_length": backbone.row,
        "training.tokens_per_batch": backbone.tokens,
        "training.max_steps": steps,
        "training.num_train_epochs": None,
        "training.optim": "muon",
        "training.muon_learning_rate": backbone.matrix_rate,
        "training.learning_rate": rate,
        "training.warmup_steps": max(1, steps // 20),
        "training.seed": seed,
        "training.precision": backbone.precision,
        "checkpoint.save_steps": max(1, steps // 4),
        "checkpoint.save_total_limit": 1,
    }


def _once(folder: Path, name: str, arguments: list[Any], fields: dict[str, Any]) -> Path:
    if not (folder / "results.json").is_file():
        checkpoints = folder / "checkpoints"
        if checkpoints.is_dir() and any(checkpoints.iterdir()):
            command([name, "--resume", folder])
        else:
            shutil.rmtree(folder, ignore_errors=True)  # it was interrupted before its first checkpoint
            command([name, *arguments, "--output", folder, *dotted(fields)])
        shutil.rmtree(checkpoints, ignore_errors=True)
    return folder
