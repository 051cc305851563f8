"""Export to GGUF, the file format of llama.cpp, as its architecture `gpt2`: weights and tokenizer in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..exporting import to_transformers
from .protocol import Check, Exported, Request, require
from .reference import end_token
from .samples import Samples

__all__ = ["GGUF_FILE", "QUANTIZATIONS", "export", "requirements"]

QUANTIZATIONS = ("float32", "float16", "q8_0")
GGUF_FILE = "model.gguf"

_TOLERANCE = 1e-5
# llama.cpp computes GPT-2 with this activation only.
_ACTIVATIONS = ("gelu_new", "gelu_pytorch_tanh")
# GPT-2's modules in transformers: llama.cpp's tensors.
_OUTSIDE = {"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm"}
_INSIDE = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def requirements() -> None:
    """Needs gguf."""
    require("gguf", extra="gguf", purpose="to='gguf'")


def export(request: Request, folder: Path) -> Exported:
    """Writes the file, compares every tensor in it, and runs it with transformers' GGUF reader.

    Raises:
        ValueError: the model is not equivalent to a GPT-2, or its tokenizer is not a byte-level BPE like GPT-2's; the
            message has the reason.
    """
    model, tokenizer = request.model, request.tokenizer
    if not type(model).__name__.endswith("ForCausalLM"):
        raise ValueError(f"GGUF has no counterpart of {type(model).__name__}; it supports causal language models.")
    if model.config.hidden_act not in _ACTIVATIONS:
        raise ValueError(
            f"llama.cpp supports one activation for GPT-2: hidden_act={model.config.hidden_act!r} would have to be "
            f"{' or '.join(map(repr, _ACTIVATIONS))}."
        )
    if tokenizer is None:
        raise ValueError("tokenizer=None: a GGUF file contains the tokenizer; pass tokenizer=.")
    vocabulary = _vocabulary(model, tokenizer)
    gpt2 = to_transformers(model, "gpt2")
    tensors = _tensors(gpt2)
    _refuse_blocks(model, request.quantization)
    path = folder / GGUF_FILE
    _write(path, model, tokenizer, vocabulary, tensors, request.quantization)
    checks = [_check_tensors(path, tensors, request.quantization)]
    checks.append(_check_logits(model, gpt2, folder, request.samples, request.quantization))
    checks.append(_check_tokenizer(tokenizer, folder, request.samples))
    notes = ["compared with transformers' GGUF reader, not with llama.cpp"]
    if vocabulary["normalizer"]:
        notes.append("llama.cpp does not normalise text, but the tokenizer normalises it to NFC")
    return Exported(f"GGUF, architecture gpt2, in {request.quantization}", tuple(checks), tuple(notes))


def _vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Tokens, merges and special tokens of a tokenizer that splits text like llama.cpp's `gpt-2`."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"{type(tokenizer).__name__} has no tokenizer.json to read the vocabulary from.")
    parts = json.loads(backend.to_str())
    splitter, normalizer = parts["pre_tokenizer"] or {}, parts["normalizer"]
    reasons = {
        f"its kind is {parts['model']['type']}": parts["model"]["type"] != "BPE",
        f"it splits text by {splitter.get('type')}": splitter.get("type") != "ByteLevel",
        "it splits text without GPT-2's pattern": not splitter.get("use_regex", True),
        "it puts a space before a text": bool(splitter.get("add_prefix_space")),
        f"it normalises text by {(normalizer or {}).get('type')}": normalizer not in (None, {"type": "NFC"}),
    }
    wrong = [reason for reason, holds in reasons.items() if holds]
    if wrong:
        raise ValueError(
            "llama.cpp supports byte-level BPE that splits text like GPT-2, but for this tokenizer "
            f"{' and '.join(wrong)}. Train one with train_tokenizer(kind='byte_bpe', template='decoder')."
        )
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    unused = [f"[PAD{number}]" for number in range(len(tokens), model.config.vocab_size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in parts["model"]["merges"]]
    return {
        "tokens": tokens + unused,
        "merges": merges,
        "special": set(tokenizer.all_special_ids),
        "unused": len(unused),
        "normalizer": normalizer is not None,
    }


def _tensors(gpt2: PreTrainedModel) -> dict[str, np.ndarray]:
    """llama.cpp's tensors; matrices are (out, in), as in torch's linear layers."""
    state = gpt2.state_dict()
    names = dict(_OUTSIDE)
    for layer in range(gpt2.config.n_layer):
        names |= {f"transformer.h.{layer}.{name}": f"blk.{layer}.{theirs}" for name, theirs in _INSIDE.items()}
    if not gpt2.config.tie_word_embeddings:
        names["lm_head"] = "output"
    tensors = {}
    for name, theirs in names.items():
        for kind in ("weight", "bias"):
            if f"{name}.{kind}" in state:
                value = state[f"{name}.{kind}"].detach().to("cpu", torch.float32)
                transposed = kind == "weight" and ".c_" in name  # GPT-2 stores these (in, out)
                tensors[f"{theirs}.{kind}"] = (value.T if transposed else value).contiguous().numpy()
    return tensors


def _refuse_blocks(model: PreTrainedModel, quantization: str) -> None:
    """Raises ValueError if rows cannot be divided into the blocks of 32 numbers that q8_0 quantizes together."""
    for name in ("hidden_size", "intermediate_size"):
        value = getattr(model.config, name)
        if quantization == "q8_0" and value % 32:
            raise ValueError(f"q8_0 quantizes blocks of 32: {name}={value} would have to be a multiple of 32.")


def _number_format(name: str, tensor: np.ndarray, quantization: str) -> Any:
    """Matrices get the requested format; vectors and position embeddings, which are only added, stay in float32."""
    from gguf import GGMLQuantizationType

    if tensor.ndim == 1 or name.startswith("position_embd"):
        return GGMLQuantizationType.F32
    return {
        "float32": GGMLQuantizationType.F32,
        "float16": GGMLQuantizationType.F16,
        "q8_0": GGMLQuantizationType.Q8_0,
    }[quantization]


def _write(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: dict[str, Any],
    tensors: dict[str, np.ndarray],
    quantization: str,
) -> None:
    from gguf import GGUFWriter, LlamaFileType, TokenType
    from gguf.quants import quantize

    config = model.config
    writer = GGUFWriter(str(path), "gpt2")
    writer.add_name(Path(config.name_or_path).name or "gpt2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    kinds = {
        "float32": LlamaFileType.ALL_F32,
        "float16": LlamaFileType.MOSTLY_F16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_file_type(kinds[quantization])
    tokens, known = vocabulary["tokens"], len(vocabulary["tokens"]) - vocabulary["unused"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    types = [TokenType.CONTROL if number in vocabulary["special"] else TokenType.NORMAL for number in range(known)]
    writer.add_token_types([*types, *[TokenType.UNUSED] * vocabulary["unused"]])
    writer.add_token_merges(vocabulary["merges"])
    begin, end = config.bos_token_id, end_token(model)
    if begin is not None:
        writer.add_bos_token_id(begin)
    if end is not None:
        writer.add_eos_token_id(end)
    if config.pad_token_id is not None:
        writer.add_pad_token_id(config.pad_token_id)
    framed = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(begin is not None and framed[0] == begin)
    writer.add_add_eos_token(end is not None and framed[-1] == end)
    for name, tensor in tensors.items():
        number_format = _number_format(name, tensor, quantization)
        writer.add_tensor(name, quantize(tensor, number_format), raw_dtype=number_format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _check_tensors(path: Path, tensors: dict[str, np.ndarray], quantization: str) -> Check:
    """Every tensor in the file against the model's."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    stored = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in GGUFReader(str(path)).tensors}
    if stored.keys() != tensors.keys():
        raise ValueError(f"The file and the model have different tensors: {sorted(stored.keys() ^ tensors.keys())}.")
    for name, value in tensors.items():
        if stored[name].shape != value.shape:
            raise ValueError(f"{name} has the shape {stored[name].shape} in the file, {value.shape} in the model.")
    worst = max(float(np.abs(stored[name] - value).max()) for name, value in tensors.items())
    return Check("weights", difference=worst, tolerance=0.0 if quantization == "float32" else None)


@torch.no_grad()
def _check_logits(
    model: PreTrainedModel, gpt2: PreTrainedModel, folder: Path, samples: Samples, quantization: str
) -> Check:
    """Logits of the file, loaded by transformers, against ours."""
    # The configuration is passed, because transformers does not read n_positions and n_inner from GGUF files.
    received = (
        type(gpt2)
        .from_pretrained(
            folder,
            gguf_file=GGUF_FILE,
            config=gpt2.config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
        )
        .eval()
    )
    worst, largest = 0.0, 0.0
    for row in samples.rows:
        expected = model(input_ids=torch.tensor([row], device=model.device)).logits.float().cpu()
        actual = received(input_ids=torch.tensor([row])).logits.float()
        worst = max(worst, float((expected - actual).abs().max()))
        largest = max(largest, float(expected.abs().max()))
    exact = quantization == "float32" and model.dtype == torch.float32
    return Check("logits", difference=worst, tolerance=_TOLERANCE * max(1.0, largest) if exact else None)


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path, samples: Samples) -> Check:
    """Token ids of the tokenizer in the file, loaded by transformers, against ours."""
    received = AutoTokenizer.from_pretrained(
        folder, gguf_file=GGUF_FILE, local_files_only=True, trust_remote_code=False
    )
    texts = tokenizer.batch_decode([list(row) for row in samples.rows], skip_special_tokens=True)
    expected, actual = (kind(texts, add_special_tokens=False)["input_ids"] for kind in (tokenizer, received))
    same = sum(first == second for first, second in zip(expected, actual, strict=True))
    if same < len(texts):
        text, first, second = next(row for row in zip(texts, expected, actual) if row[1] != row[2])
        raise ValueError(f"For {text!r} the tokenizer in the GGUF file gives {second}, the model's {first}.")
    return Check("texts as tokens", same=same, total=len(texts))
