"""fairseq's `transformer` models (Ott et al. 2019), whose tensor names BART, M2M100 and FSMT share.

A folder contains the state dict in safetensors, the model's arguments in `args.json`, and the dictionaries
`dict.*.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from ..models.configuration_vanilla import VanillaTransformerConfig
from ..models.modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, VanillaTransformerModel
from .families.fairseq_names import encoder_decoder_tensors
from .model_tensors import load
from .original import HOW, OriginalFormat, dumped_tensors, read_settings
from .tensor_rules import Rule, import_tensors, tensor, within

__all__ = ["FAIRSEQ"]

SETTINGS = "args.json"
# The first tokens of every fairseq dictionary; the file does not contain them.
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
BOS, PAD, EOS, _ = range(len(SPECIAL_TOKENS))

# We have one value for both stacks, so these must be equal.
_PAIRS = (
    ("encoder_embed_dim", "decoder_embed_dim"),
    ("encoder_ffn_embed_dim", "decoder_ffn_embed_dim"),
    ("encoder_attention_heads", "decoder_attention_heads"),
    ("encoder_normalize_before", "decoder_normalize_before"),
    ("encoder_learned_pos", "decoder_learned_pos"),
)
# Settings that our models do not support, with the inactive value.
_OFF = {
    "no_token_positional_embeddings": False,
    "adaptive_input": False,
    "adaptive_softmax_cutoff": None,
    "no_cross_attention": False,
    "cross_self_attention": False,
    "decoder_layers_to_keep": None,
    "encoder_layers_to_keep": None,
    "quant_noise_pq": 0,
    "base_layers": 0,
    "moe_freq": 0,
    "scale_fc": False,
    "scale_attn": False,
    "scale_heads": False,
    "scale_resids": False,
}
# Names of the layers' norms, which fairseq numbered before version 0.6.
_OLD_NORMS = {
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
}
_OLD_NORM = re.compile(r"^(encoder|decoder)\.layers\.(\d+)\.layer_norms\.(\d)\.(weight|bias)$")
_FUSED = re.compile(r"^(.*)\.in_proj_(weight|bias)$")
# Tensors that are not weights: the version of the format, and a scalar with the data type.
_BOOKKEEPING = re.compile(r"\.version$|\._float_tensor$|^_ema|^encoder\.embed_positions\.weights$")


def _model(folder: Path, head: str | None) -> PreTrainedModel:
    """Loads the model in a folder.

    Raises:
        FileNotFoundError, ValueError: see `dumped_tensors` and `read_settings`; or a setting is not supported; or the
            tensors do not match the settings.
    """
    if head not in (None, "seq2seq-lm", "base"):
        raise ValueError(f"head={head!r} does not exist for fairseq's transformer; choose from seq2seq-lm, base.")
    state = _modern_names(dumped_tensors(folder, "fairseq"))
    settings = read_settings(folder, SETTINGS)
    config, learned = _config(settings, state, folder)
    rules = within(
        partial(
            encoder_decoder_tensors,
            learned_positions=learned,
            layernorm_embedding=config.layernorm_embedding,
            norm_first=config.norm_first,
            shared_matrix=False,
        )(SimpleNamespace(encoder_layers=config.encoder_layers, decoder_layers=config.decoder_layers)),
        "" if head == "base" else "model.",
    )
    if head != "base":
        rules += (_output_matrix(config, state),)
    read = {name for rule in rules for name in rule.theirs}
    unread = sorted(name for name in state if name not in read and not name.startswith("decoder.output_projection"))
    if unread:
        raise ValueError(
            f"The tensors in {folder} contain {', '.join(unread[:3])}{', ...' if len(unread) > 3 else ''}, which "
            f"fairseq's transformer with the settings in {SETTINGS} does not have: the model has another "
            "architecture (arch), or the settings belong to another model."
        )
    tensors = import_tensors(rules, state, SimpleNamespace(pad_token_id=PAD))
    model_class = VanillaTransformerModel if head == "base" else VanillaTransformerForConditionalGeneration
    model = model_class(config).eval()
    load(model, tensors, like=model)
    return model


def _modern_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict under current names. Old versions numbered the norms and stored q, k and v in one matrix."""
    modern: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if _BOOKKEEPING.search(name):
            continue
        if match := _OLD_NORM.match(name):
            stack, layer, number, kind = match.groups()
            modern[f"{stack}.layers.{layer}.{_OLD_NORMS[stack][int(number)]}.{kind}"] = value
        elif match := _FUSED.match(name):
            module, kind = match.groups()
            for part, values in zip("qkv", value.chunk(3), strict=True):
                modern[f"{module}.{part}_proj.{kind}"] = values
        elif name == "decoder.embed_out":
            modern["decoder.output_projection.weight"] = value
        else:
            modern[name] = value
    return modern


def _output_matrix(config: VanillaTransformerConfig, state: Mapping[str, torch.Tensor]) -> Rule:
    own = "decoder.output_projection.weight"
    return tensor("lm_head.weight", own if own in state else "decoder.embed_tokens.weight")


def _config(
    settings: Mapping[str, Any], state: Mapping[str, torch.Tensor], folder: Path
) -> tuple[VanillaTransformerConfig, bool]:
    """The configuration, and whether positions are learned."""
    _refuse_settings(settings, folder)
    source, target = (_embeddings(state, stack, folder) for stack in ("encoder", "decoder"))
    if len(source) != len(target):
        raise ValueError(
            f"The source vocabulary has {len(source)} entries, the target vocabulary {len(target)}; our models have "
            "one size for both, so the model needs a joined dictionary (or two of the same size)."
        )
    own = state.get("decoder.output_projection.weight")
    tied = own is None or torch.equal(own, target)
    learned = bool(settings.get("encoder_learned_pos", False))
    if learned:
        positions = len(state.get("encoder.embed_positions.weight", ())) - (PAD + 1)
    else:
        positions = max(settings.get(name) or 1024 for name in ("max_source_positions", "max_target_positions"))
    config = VanillaTransformerConfig(
        vocab_size=len(source),
        hidden_size=settings["encoder_embed_dim"],
        encoder_layers=settings["encoder_layers"],
        decoder_layers=settings["decoder_layers"],
        num_attention_heads=settings["encoder_attention_heads"],
        intermediate_size=settings["encoder_ffn_embed_dim"],
        hidden_act=settings.get("activation_fn") or "relu",
        max_position_embeddings=positions,
        position_embedding_type="learned" if learned else "sinusoidal_t2t",
        position_offset=0 if learned else PAD + 1,
        positions_from_mask=True,
        norm_first=bool(settings.get("encoder_normalize_before", False)),
        layernorm_embedding=bool(settings.get("layernorm_embedding", False)),
        scale_embedding=not settings.get("no_scale_embedding", False),
        dropout=settings.get("dropout", 0.1),
        attention_dropout=settings.get("attention_dropout") or 0.0,
        activation_dropout=settings.get("activation_dropout") or settings.get("relu_dropout") or 0.0,
        label_smoothing=settings.get("label_smoothing") or 0.0,
        tie_word_embeddings=tied,
        share_encoder_decoder_embeddings=tied and torch.equal(source, target),
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
    )
    return config, learned


def _refuse_settings(settings: Mapping[str, Any], folder: Path) -> None:
    needed = [name for pair in _PAIRS[:3] for name in pair] + ["encoder_layers", "decoder_layers"]
    missing = [name for name in needed if name not in settings]
    if missing:
        raise ValueError(f"{folder / SETTINGS} has no {', '.join(missing)}; {HOW}.")
    for first, second in _PAIRS:
        if settings.get(first, False) != settings.get(second, False):
            raise ValueError(
                f"{SETTINGS} has {first}={settings.get(first)} but {second}={settings.get(second)}; our models have "
                "one value for both, so they must be equal."
            )
    for name, off in _OFF.items():
        if settings.get(name, off) not in (off, None):
            raise ValueError(
                f"{SETTINGS} has {name}={settings[name]!r}, which our models do not support; only {off!r} is supported."
            )


def _embeddings(state: Mapping[str, torch.Tensor], stack: str, folder: Path) -> torch.Tensor:
    name = f"{stack}.embed_tokens.weight"
    if name not in state:
        raise ValueError(
            f"The tensors in {folder} have no {name}, so this is not an encoder-decoder transformer of fairseq "
            f"(found: {', '.join(sorted(state)[:3])}, ...); {HOW}."
        )
    return state[name]


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """A tokenizer with fairseq's dictionary: splits at spaces and appends `</s>`.

    Like fairseq, it needs segmented text (by BPE, for instance).

    Raises:
        FileNotFoundError: there is no dictionary.
        ValueError: source and target have different dictionaries, or a line is invalid.
    """
    paths = sorted(folder.glob("dict*.txt"))
    if not paths:
        raise FileNotFoundError(
            f"There is no dictionary in {folder}: add dict.txt, or dict.LANGUAGE.txt for both languages."
        )
    dictionaries = [_words(path) for path in paths]
    if any(words != dictionaries[0] for words in dictionaries):
        raise ValueError(
            f"{' and '.join(path.name for path in paths)} differ, but a tokenizer has one vocabulary; convert with "
            "--without-tokenizer, and use these files."
        )
    vocabulary = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *dictionaries[0]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", EOS)]
    )
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


def _words(path: Path) -> list[str]:
    """The tokens of a dictionary file: one per line, with a count and an optional flag."""
    words = []
    # Unicode line separators can be tokens, so only line feeds separate tokens.
    for number, line in enumerate(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), start=1):
        word, _, count = line.removesuffix(" #fairseq:overwrite").rpartition(" ")
        if not word or not count.isdigit():
            raise ValueError(f"Line {number} of {path} is {line!r}, but must have a token and its count.")
        words.append(word)
    return words


FAIRSEQ = OriginalFormat(_model, _tokenizer)
