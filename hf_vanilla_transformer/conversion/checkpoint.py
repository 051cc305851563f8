"""`from_checkpoint`: a published checkpoint, by its name on the Hub or its folder, as a model of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import PreTrainedModel

from .checkpoint_files import CheckpointSource, tensor_names
from .exporting import COMPUTED
from .families import FAMILIES
from .family import Family, Head
from .importing import from_transformers, refuse_other_functions
from .model_tensors import transformers_class
from .original import OriginalFormat
from .original_bert import BERT_TENSORFLOW
from .original_fairseq import FAIRSEQ
from .refusals import refuse_config

__all__ = [
    "HEADS",
    "ORIGINAL_FORMATS",
    "find_class",
    "from_checkpoint",
    "head_name",
    "load_original",
    "load_with_transformers",
]

# Formats from before the Hub.
ORIGINAL_FORMATS: dict[str, OriginalFormat] = {"bert-tf": BERT_TENSORFLOW, "fairseq": FAIRSEQ}

# The heads as a user names them, by the end of our class's name.
HEADS = {
    "base": "Model",
    "masked-lm": "ForMaskedLM",
    "pretraining": "ForPreTraining",
    "causal-lm": "ForCausalLM",
    "seq2seq-lm": "ForConditionalGeneration",
    "sequence-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "multiple-choice": "ForMultipleChoice",
}
# A part of a name that only a layer of the model has.
_LAYER = re.compile(r"(^|\.)(h|layer|layers)\.\d+\.")
# Causal masks, which GPT and GPT-2 used to save with each layer.
_OLD_MASKS = (".attn.bias", ".attn.masked_bias")
_POOLER = "pooler.dense.weight"
# Zero wherever a checkpoint was saved without it.
_ZERO_IF_MISSING = ("final_logits_bias",)


def from_checkpoint(
    source: str | Path,
    *,
    head: str | None = None,
    dtype: torch.dtype | str = "auto",
    format: Literal["transformers", "bert-tf", "fairseq"] = "transformers",
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> PreTrainedModel:
    """A published checkpoint as a model of ours: same logits, same generated tokens, generation settings included.

    ```python
    model = from_checkpoint("google-bert/bert-base-uncased")  # VanillaEncoderForMaskedLM, as its config.json says
    model = from_checkpoint("google-bert/bert-base-uncased", head="base")
    model = from_checkpoint("Helsinki-NLP/opus-mt-en-de")
    ```

    Weights are read from safetensors only: one file, or shards with their index. No code of the checkpoint runs.

    Args:
        source: `user/model` on the Hub, or a folder that `save_pretrained` wrote.
        head: `base`, `masked-lm`, `pretraining`, `causal-lm`, `seq2seq-lm`, `sequence-classification`,
            `token-classification`, `question-answering` or `multiple-choice`; None for what config.json says.
        dtype: of the weights; `"auto"` for that of the file.
        format: what wrote it: `transformers`; or, for a folder, `bert-tf` (the original BERT) or `fairseq`, whose
            tensors somebody wrote to safetensors (docs/conversion.md).
        revision: branch, tag or commit on the Hub.
        token: for private models; True for the one that is logged in.
        cache_dir: where downloads are kept, None for the usual place.
        local_files_only: take what was downloaded before, and ask nobody.

    Raises:
        FileNotFoundError: no such folder or model, or a file of it is missing.
        ValueError: a family or a configuration that our models do not have, a head that the checkpoint does not have,
            or weights that are no safetensors; the message says what would work.
    """
    if format != "transformers":
        return load_original(source, format, head, dtype)
    where = CheckpointSource(str(source), revision, token, cache_dir, local_files_only)
    return from_transformers(load_with_transformers(where, head=head, dtype=dtype))


def load_with_transformers(
    source: CheckpointSource, *, head: str | None, dtype: torch.dtype | str = "auto"
) -> PreTrainedModel:
    """The model of transformers that `from_checkpoint` converts; arguments and errors as there."""
    family, chosen, config = find_class(source, head)
    folder = source.folder()
    names = tensor_names(folder)
    arguments: dict[str, Any] = {}
    if chosen.base and chosen.pooler:
        # Checkpoints of a masked language model have no pooler, and a random one would be no part of them.
        arguments["add_pooling_layer"] = any(name.endswith(_POOLER) for name in names)
    model, report = transformers_class(chosen).from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # they are refused below, with the reason
        output_loading_info=True,
        **arguments,
    )
    for name in set(family.copies) & set(report["missing_keys"]):
        model.get_parameter(name).data.copy_(model.get_parameter(family.copies[name]).data)
        report["missing_keys"] = set(report["missing_keys"]) - {name}
    _refuse_other_weights(family, chosen, source.name, config, report)
    return model.eval()


def find_class(source: CheckpointSource, head: str | None) -> tuple[Family, Head, dict[str, Any]]:
    """Family, head and config.json of a checkpoint, from config.json alone, before gigabytes are downloaded.

    Raises:
        FileNotFoundError, ValueError: as `from_checkpoint`.
    """
    config = source.config()
    refuse_config(source.name, config)
    family = FAMILIES[config["model_type"]]
    chosen = _choose_head(family, head, config.get("architectures") or (), source.name)
    refuse_other_functions(family, getattr(transformers, family.config_class).from_dict(config))
    return family, chosen, config


def load_original(
    source: str | Path, format: str, head: str | None, dtype: torch.dtype | str = "auto"
) -> PreTrainedModel:
    """A checkpoint from before the Hub; arguments and errors as for `from_checkpoint`."""
    if format not in ORIGINAL_FORMATS:
        raise ValueError(f"format={format!r} is not known; choose from transformers, {', '.join(ORIGINAL_FORMATS)}.")
    model = ORIGINAL_FORMATS[format].model(Path(source), head)
    return model if dtype == "auto" else model.to(dtype)


def head_name(head: Head) -> str:
    """The name of a head as a user gives it."""
    return next(name for name, ending in HEADS.items() if re.search(rf"[a-z]{ending}$", head.ours))


def _choose_head(family: Family, wanted: str | None, architectures: Sequence[str], source: str) -> Head:
    # Of several classes that are one head of ours, the preferred one is first.
    heads: dict[str, Head] = {}
    for head in family.heads:
        heads.setdefault(head_name(head), head)
    available = ", ".join(heads)
    if wanted is not None:
        if wanted not in heads:
            known = "" if wanted in HEADS else f" (heads are called {', '.join(HEADS)})"
            raise ValueError(f"head={wanted!r} does not exist for {family.model_type}{known}; it has: {available}.")
        return heads[wanted]
    for name in architectures:
        for head in family.heads:
            if head.theirs == name:
                return head
        if name in family.headless:
            return heads["base"]
    if not architectures:
        raise ValueError(
            f"config.json of source={source!r} does not say which class was saved (architectures); choose with head=, "
            f"one of: {available}."
        )
    without = " Or leave its head behind: head='base'." if "base" in heads else ""
    raise ValueError(
        f"{architectures[0]} of source={source!r} has no counterpart among our models. Of {family.model_type} these "
        f"convert: {', '.join(head.theirs for head in family.heads)}.{without}"
    )


def _refuse_other_weights(
    family: Family, head: Head, source: str, config: dict[str, Any], report: dict[str, Any]
) -> None:
    """Raise ValueError unless every tensor of the model came from the file, in its size, and no layer was left over."""
    computed = () if family.learned_positions else COMPUTED
    missing = sorted(name for name in report["missing_keys"] if not name.endswith((*computed, *_ZERO_IF_MISSING)))
    if missing:
        saved = ", ".join(config.get("architectures") or ()) or "unknown"
        raise ValueError(
            f"source={source!r} has no {_some(missing)}, which {head.theirs} needs and which would be random numbers. "
            f"It was saved as: {saved}. Choose a head that it has, or convert it with head='base', save it, and load "
            "the folder with the Auto class of the head, which is then trained."
        )
    if report["mismatched_keys"]:
        name, saved_shape, expected = sorted(report["mismatched_keys"])[0]
        raise ValueError(
            f"{name} of source={source!r} has the shape {tuple(saved_shape)}, but its config.json says "
            f"{tuple(expected)}: the two belong to different models, or config.json was edited."
        )
    adapters = sorted(name for name in report["unexpected_keys"] if ".lora_" in name)
    if adapters:
        raise ValueError(
            f"source={source!r} contains {_some(adapters)} of an adapter that was not merged: call merge_and_unload(), "
            "save, and convert that folder."
        )
    layers = sorted(name for name in report["unexpected_keys"] if _LAYER.search(name) and not name.endswith(_OLD_MASKS))
    if layers:
        raise ValueError(
            f"source={source!r} contains {_some(layers)}, which {head.theirs} with this config.json does not have: the "
            "two belong to different models, or config.json was edited."
        )


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
