"""The original BERT (github.com/google-research/bert): TensorFlow's names, kernels stored as (in, out).

A folder contains the variables in safetensors, `bert_config.json` and `vocab.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import BertTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..models import modeling_vanilla_encoder
from ..models.configuration_vanilla import VanillaEncoderConfig
from .model_tensors import load
from .original import HOW, OriginalFormat, dumped_tensors, read_settings
from .tensor_rules import Rule, Transpose, import_tensors, layers, tensor, within

__all__ = ["BERT_TENSORFLOW"]

CONFIG, VOCABULARY = "bert_config.json", "vocab.txt"
# Variables of the optimizer.
_TRAINING = ("/adam_m", "/adam_v", "global_step")

# bert_config.json: our field.
_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "hidden_act": "hidden_act",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "initializer_range": "initializer_range",
}


def _dense(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        tensor(f"{ours}.weight", f"{theirs}/kernel", Transpose()),
        tensor(f"{ours}.bias", f"{theirs}/bias"),
    )


def _norm(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        tensor(f"{ours}.weight", f"{theirs}/LayerNorm/gamma"),
        tensor(f"{ours}.bias", f"{theirs}/LayerNorm/beta"),
    )


def _output(ours: str, theirs: str) -> tuple[Rule, ...]:
    """A classifier, which BERT's scripts store as (out, in)."""
    return (
        tensor(f"{ours}.weight", f"{theirs}output_weights"),
        tensor(f"{ours}.bias", f"{theirs}output_bias"),
    )


_WORDS = "bert/embeddings/word_embeddings"
_EMBEDDINGS = (
    tensor("embed_tokens.weight", _WORDS),
    tensor("embed_positions.weight", "bert/embeddings/position_embeddings"),
    tensor("embed_token_types.weight", "bert/embeddings/token_type_embeddings"),
    *_norm("embed_norm", "bert/embeddings"),
)
_LAYER = (
    *_dense("self_attn.q_proj", "attention/self/query"),
    *_dense("self_attn.k_proj", "attention/self/key"),
    *_dense("self_attn.v_proj", "attention/self/value"),
    *_dense("self_attn.o_proj", "attention/output/dense"),
    *_norm("self_attn_norm", "attention/output"),
    *_dense("mlp.fc1", "intermediate/dense"),
    *_dense("mlp.fc2", "output/dense"),
    *_norm("mlp_norm", "output"),
)
_POOLER = _dense("pooler.dense", "bert/pooler/dense")
_MASKED_LM = (
    *_dense("lm_head_transform.dense", "cls/predictions/transform/dense"),
    *_norm("lm_head_transform.norm", "cls/predictions/transform"),
    tensor("lm_head.weight", _WORDS),
    tensor("lm_head.bias", "cls/predictions/output_bias"),
)


@dataclass(frozen=True)
class _Head:
    """A head of the original BERT.

    Attributes:
        ours: name of our class.
        rules: tensors of the head.
        pooler: whether it has the pooler.
        variable: a variable that only models with this head have.
    """

    ours: str
    rules: tuple[Rule, ...]
    pooler: bool
    variable: str


# In order of preference: models of run_classifier.py and run_squad.py have no pretraining heads any more.
_HEADS = {
    "sequence-classification": _Head(
        "VanillaEncoderForSequenceClassification", _output("classifier", ""), True, "output_weights"
    ),
    "question-answering": _Head(
        "VanillaEncoderForQuestionAnswering", _output("qa_outputs", "cls/squad/"), False, "cls/squad/output_weights"
    ),
    "pretraining": _Head(
        "VanillaEncoderForPreTraining",
        (*_MASKED_LM, *_output("seq_relationship", "cls/seq_relationship/")),
        True,
        "cls/seq_relationship/output_weights",
    ),
    "masked-lm": _Head("VanillaEncoderForMaskedLM", _MASKED_LM, False, "cls/predictions/output_bias"),
    "base": _Head("VanillaEncoderModel", (), True, _WORDS),
}


def _model(folder: Path, head: str | None) -> PreTrainedModel:
    """Loads the model in a folder.

    Raises:
        FileNotFoundError, ValueError: see `dumped_tensors` and `read_settings`; or the head does not exist; or the
            variables do not match bert_config.json.
    """
    variables = dumped_tensors(folder, "TensorFlow")
    variables = {name: value for name, value in variables.items() if not name.endswith(_TRAINING)}
    if _WORDS not in variables:
        raise ValueError(
            f"The tensors in {folder} have no {_WORDS!r}, so they are not from google-research/bert (found: "
            f"{', '.join(sorted(variables)[:3])}, ...); {HOW}."
        )
    chosen = _choose(variables, head)
    config = _config(read_settings(folder, CONFIG), variables, chosen)
    base = chosen.ours == "VanillaEncoderModel"
    rules = (*_EMBEDDINGS, *layers(config.num_hidden_layers, _LAYER, "layers.{}.", "bert/encoder/layer_{}/"))
    rules += _POOLER if chosen.pooler else ()
    rules = rules if base else (*within(rules, "model."), *chosen.rules)
    beyond = f"bert/encoder/layer_{config.num_hidden_layers}/"
    if any(variable.startswith(beyond) for variable in variables):
        raise ValueError(
            f"{folder / CONFIG} has num_hidden_layers={config.num_hidden_layers}, but the variables have more layers: "
            "use the file that was released with the checkpoint."
        )
    tensors = import_tensors(rules, variables, config)
    model = getattr(modeling_vanilla_encoder, chosen.ours)(config).eval()
    load(model, tensors, like=model)
    return model


def _choose(variables: Mapping[str, torch.Tensor], head: str | None) -> _Head:
    there = {name: candidate for name, candidate in _HEADS.items() if candidate.variable in variables}
    if head is None:
        return next(iter(there.values()))
    if head not in there:
        raise ValueError(f"head={head!r} is not in this checkpoint; choose from {', '.join(there)}.")
    return there[head]


def _config(settings: Mapping[str, Any], variables: Mapping[str, torch.Tensor], head: _Head) -> VanillaEncoderConfig:
    missing = [name for name in _FIELDS if name not in settings]
    if missing:
        raise ValueError(f"{CONFIG} has no {', '.join(missing)}; use the file that was released with the checkpoint.")
    values = {ours: settings[theirs] for theirs, ours in _FIELDS.items()}
    labels = len(variables["output_weights"]) if head.variable == "output_weights" else 2
    return VanillaEncoderConfig(**values, layer_norm_eps=1e-12, pad_token_id=0, num_labels=labels)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """BERT's tokenizer with the folder's vocabulary. It lowercases text unless the vocabulary has uppercase letters.

    Raises:
        FileNotFoundError: vocab.txt does not exist.
    """
    path = folder / VOCABULARY
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}; use the file that was released with the checkpoint.")
    # Unicode line separators can be tokens, so only line feeds separate tokens.
    words = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    cased = any(word != word.lower() for word in words if not (word.startswith("[") and word.endswith("]")))
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)}, do_lower_case=not cased)


BERT_TENSORFLOW = OriginalFormat(_model, _tokenizer)
