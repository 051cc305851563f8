"""The sides of a comparison: the model, the collator and the loss of each.

The peer is initialized from a seed. Ours has the same weights (`from_transformers`), so both compute the same function.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hf_vanilla_transformer.data.packing import flatten, pack, pad, place_in_rows, shift_right

from .marian import tiny_marian
from .training_rows import BLOCK, CAUSAL_BLOCK, IGNORED, Row

PAD, END = 0, 1


@dataclass(frozen=True)
class Setting:
    """One comparison.

    Attributes:
        title: title in the table.
        rows: kind of rows (see `training_rows.make`).
        sides: the sides, the peer first.
        dropout: dropout of both sides in the timing; the losses are compared without dropout.
        attention_dropout: attention dropout of both sides in the timing.
        batches: number of steps in a turn.
        label_smoothing: label smoothing of both sides.
        precision: "float32", "bf16_loss" (language modeling head and loss in bf16) or "bf16" (autocast).
    """

    title: str
    rows: str
    sides: tuple[str, ...]
    dropout: float
    attention_dropout: float
    batches: int
    label_smoothing: float = 0.0
    precision: str = "float32"


_TRANSLATION = ("marian", "ours", "ours_packed")
SETTINGS = {
    "translation": Setting(
        "translation, 4+4 layers, 128, vocabulary 10k", "translation", _TRANSLATION, 0.1, 0.0, batches=15
    ),
    "translation_smoothed": Setting(
        "translation, label smoothing 0.1", "translation", _TRANSLATION, 0.1, 0.0, batches=15, label_smoothing=0.1
    ),
    "translation_bf16_loss": Setting(
        "translation, loss in bf16 on both sides",
        "translation",
        _TRANSLATION,
        0.1,
        0.0,
        batches=15,
        precision="bf16_loss",
    ),
    "translation_bf16": Setting(
        "translation, bf16 autocast on both sides", "translation", _TRANSLATION, 0.1, 0.0, batches=15, precision="bf16"
    ),
    "masked_full": Setting(
        "masked LM, 4 layers, 256, vocabulary 16k, full rows", "masked_full", ("bert", "ours"), 0.1, 0.1, batches=4
    ),
    "masked_padded": Setting(
        "masked LM, the peer padded to the longest row of each batch, ours packed",
        "masked_padded",
        ("bert", "ours_packed"),
        0.1,
        0.1,
        batches=4,
    ),
    "causal_gpt2": Setting(
        "causal LM, 4 layers, 128, block 64, batch 12 (nanoGPT's CPU setting)",
        "causal",
        ("gpt2", "ours"),
        0.0,
        0.0,
        batches=100,
    ),
    "causal_nanogpt": Setting(
        "causal LM as above, exact GELU as in nanoGPT", "causal", ("nanogpt", "ours"), 0.0, 0.0, batches=100
    ),
}


def choose(name: str, dropout: float | None = None, attention_dropout: float | None = None) -> Setting:
    """The setting of this name; `dropout` and `attention_dropout` override its values on both sides.

    Raises:
        ValueError: a rate is not in [0, 1).
    """
    rates = {"dropout": dropout, "attention_dropout": attention_dropout}
    given = {rate: value for rate, value in rates.items() if value is not None}
    for rate, value in given.items():
        if not 0 <= value < 1:
            raise ValueError(f"{rate}={value} must be at least 0 and below 1")
    return replace(SETTINGS[name], **given)


@dataclass
class Side:
    """A model with its collator and its loss.

    Attributes:
        model: the model in training mode.
        collate: maps rows to the keyword arguments of the model.
        loss: maps the model and the keyword arguments to the scalar loss.
    """

    model: nn.Module
    collate: Callable[[list[Row]], dict[str, torch.Tensor]]
    loss: Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor]


def build(
    setting: Setting, side: str, vocab_size: int, dropout: bool = True, nanogpt: Path | None = None, seed: int = 0
) -> Side:
    """Builds one side of a setting.

    Args:
        setting: the comparison.
        side: one of `setting.sides`.
        vocab_size: size of the vocabulary of the rows.
        dropout: False turns all dropout off, to compare losses.
        nanogpt: folder of a clone of nanoGPT, or its `model.py`; only for the side "nanogpt".
        seed: seed of the weights.

    Raises:
        ValueError: the setting has no such side.
        FileNotFoundError: `nanogpt` does not contain nanoGPT.
    """
    if side not in setting.sides:
        raise ValueError(f"side={side!r} must be one of {setting.sides}")
    peer = setting.sides[0]
    rates = (setting.dropout, setting.attention_dropout) if dropout else (0.0, 0.0)
    torch.manual_seed(seed)
    build_peer = {"marian": _marian, "bert": _bert, "gpt2": _gpt2, "nanogpt": _gpt2_exact_gelu}[peer]
    model = build_peer(vocab_size, *rates)
    if side == "nanogpt":
        model = _nanogpt(model, nanogpt)
    elif side != peer:
        from hf_vanilla_transformer import from_transformers

        model = from_transformers(model)
        model.config.label_smoothing = setting.label_smoothing
        if peer == "marian":
            # The bias of Marian's logits is a buffer of zeros that is not trained; the paper's head has no bias either.
            model.lm_head.bias, model.config.lm_head_bias = None, False
    model.train()
    collate = {
        ("translation", False): _pairs_padded,
        ("translation", True): _pairs_packed,
        ("masked_full", False): _rows_padded,
        ("masked_padded", False): _rows_padded,
        ("masked_padded", True): _rows_packed,
        ("causal", False): _nanogpt_rows if side == "nanogpt" else _rows_padded,
    }[setting.rows, side == "ours_packed"]
    return Side(model, collate, _loss(setting, side))


def _loss(setting: Setting, side: str) -> Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor]:
    ours = side.startswith("ours")
    if setting.precision == "bf16_loss":
        return _ours_bf16_loss if ours else _marian_bf16_loss
    if setting.label_smoothing and not ours:
        # Marian's own loss has no label smoothing. Its users write this loss, or Trainer computes it for them.
        return lambda model, batch: _smoothed(model, batch, setting.label_smoothing)
    if side == "nanogpt":
        return lambda model, batch: model(**batch)[1]
    if setting.precision == "bf16":
        return _autocast_loss
    return lambda model, batch: model(**batch).loss


def _smoothed(model: nn.Module, batch: dict[str, torch.Tensor], smoothing: float) -> torch.Tensor:
    labels = batch["labels"]
    logits = model(**{name: tensor for name, tensor in batch.items() if name != "labels"}).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing)


def _autocast_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return model(**batch).loss


def _ours_bf16_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = batch["labels"]
    hidden = model.model(**{name: tensor for name, tensor in batch.items() if name != "labels"}).last_hidden_state
    with torch.autocast("cpu", torch.bfloat16):
        return model.loss_and_logits(hidden, labels, return_logits=False)[0]


def _marian_bf16_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = batch["labels"]
    hidden = model.model(**{name: tensor for name, tensor in batch.items() if name != "labels"}).last_hidden_state
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.lm_head(hidden) + model.final_logits_bias
        return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


# ---- Models


def _marian(vocab_size: int, dropout: float, attention_dropout: float) -> nn.Module:
    return tiny_marian(vocab_size, PAD, END, dropout=dropout, attention_dropout=attention_dropout, use_cache=False)


def _bert(vocab_size: int, dropout: float, attention_dropout: float) -> nn.Module:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=BLOCK,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=attention_dropout,
        pad_token_id=PAD,
    )
    return BertForMaskedLM(config)


def _gpt2(vocab_size: int, dropout: float, attention_dropout: float, activation: str = "gelu_new") -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=CAUSAL_BLOCK,
        n_embd=128,
        n_layer=4,
        n_head=4,
        activation_function=activation,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=attention_dropout,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )
    return GPT2LMHeadModel(config)


def _gpt2_exact_gelu(vocab_size: int, dropout: float, attention_dropout: float) -> nn.Module:
    return _gpt2(vocab_size, dropout, attention_dropout, activation="gelu")


def _nanogpt(reference: nn.Module, path: Path | None) -> nn.Module:
    """nanoGPT's GPT with the weights of a GPT2LMHeadModel; the names are the same, four weights are transposed."""
    if path is None:
        raise ValueError("nanogpt=None: give the folder of a clone of nanoGPT with --nanogpt")
    file = path / "model.py" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: --nanogpt takes a clone of karpathy/nanoGPT or its model.py")
    specification = importlib.util.spec_from_file_location("nanogpt_model", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    config = reference.config
    model = module.GPT(
        module.GPTConfig(
            block_size=config.n_positions,
            vocab_size=config.vocab_size,
            n_layer=config.n_layer,
            n_head=config.n_head,
            n_embd=config.n_embd,
            dropout=config.resid_pdrop,
            bias=True,
        )
    )
    transposed = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    weights = {name: w.T if name.endswith(transposed) else w for name, w in reference.state_dict().items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith(("attn.bias", "attn.masked_bias"))]
    if missing or unexpected:
        raise ValueError(f"{file} is not the expected version of nanoGPT: missing {missing}, unexpected {unexpected}")
    return model


# ---- Batches


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _pairs_padded(rows: list[Row]) -> dict[str, torch.Tensor]:
    source, source_lengths = flatten([row["source"] for row in rows])
    target, target_lengths = flatten([row["target"] for row in rows])
    source_width, target_width = int(source_lengths.max()), int(target_lengths.max())
    return _tensors(
        {
            "input_ids": pad(source, source_lengths, PAD, source_width),
            "attention_mask": (np.arange(source_width) < source_lengths[:, None]).astype(np.int64),
            "decoder_input_ids": pad(shift_right(target, target_lengths, PAD), target_lengths, PAD, target_width),
            "labels": pad(target, target_lengths, IGNORED, target_width),
        }
    )


def _pairs_packed(rows: list[Row]) -> dict[str, torch.Tensor]:
    source, source_lengths = flatten([row["source"] for row in rows])
    target, target_lengths = flatten([row["target"] for row in rows])
    lengths = np.stack([source_lengths, target_lengths], axis=1)
    place = place_in_rows(lengths, None)
    sources = pack(source, source_lengths, place, PAD)
    inputs = pack(shift_right(target, target_lengths, PAD), target_lengths, place, PAD)
    return _tensors(
        {
            "input_ids": sources.values,
            "position_ids": sources.positions,
            "seq_idx": sources.sequences,
            "attention_mask": sources.kept.astype(np.int64),
            "decoder_input_ids": inputs.values,
            "decoder_position_ids": inputs.positions,
            "decoder_seq_idx": inputs.sequences,
            "labels": pack(target, target_lengths, place, IGNORED).values,
        }
    )


def _rows_padded(rows: list[Row]) -> dict[str, torch.Tensor]:
    ids, lengths = flatten([row["input_ids"] for row in rows])
    labels, _ = flatten([row["labels"] for row in rows])
    width = int(lengths.max())
    batch = {"input_ids": pad(ids, lengths, PAD, width), "labels": pad(labels, lengths, IGNORED, width)}
    if (lengths < width).any():
        batch["attention_mask"] = (np.arange(width) < lengths[:, None]).astype(np.int64)
    return _tensors(batch)


def _rows_packed(rows: list[Row]) -> dict[str, torch.Tensor]:
    ids, lengths = flatten([row["input_ids"] for row in rows])
    labels, _ = flatten([row["labels"] for row in rows])
    place = place_in_rows(lengths[:, None], None)
    packed = pack(ids, lengths, place, PAD)
    return _tensors(
        {
            "input_ids": packed.values,
            "position_ids": packed.positions,
            "seq_idx": packed.sequences,
            "attention_mask": packed.kept.astype(np.int64),
            "labels": pack(labels, lengths, place, IGNORED).values,
        }
    )


def _nanogpt_rows(rows: list[Row]) -> dict[str, torch.Tensor]:
    """nanoGPT expects shifted targets, and -1 where there is no target."""
    ids = np.array([row["input_ids"] for row in rows])
    targets = np.concatenate([ids[:, 1:], np.full((len(ids), 1), -1)], axis=1)
    return _tensors({"idx": ids, "targets": targets})
