"""`from_checkpoint`: convert a published checkpoint, given by its name on the Hub or its folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedModel

from .checkpoint_files import CheckpointSource
from .exporting import COMPUTED
from .families import FAMILIES
from .family import Family, Head
from .importing import check_family_config, from_transformers
from .loading_report import no_loading_report
from .model_files import tensor_names
from .model_tensors import transformers_class
from .original import OriginalFormat
from .original_bert import BERT_TENSORFLOW
from .original_fairseq import FAIRSEQ
from .safe_loading import load_pretrained
from .unsupported_families import check_config
from .wrapped_names import key_mapping

__all__ = [
    "HEADS",
    "ORIGINAL_FORMATS",
    "MissingHeadError",
    "find_class",
    "from_checkpoint",
    "head_name",
    "load_original",
    "load_with_transformers",
]


class MissingHeadError(ValueError):
    """A checkpoint has no weights for the requested head; the weights of its base model are complete."""


# Formats older than the Hub.
ORIGINAL_FORMATS: dict[str, OriginalFormat] = {"bert-tf": BERT_TENSORFLOW, "fairseq": FAIRSEQ}

# Name of a head for users: suffix of our class name.
HEADS = {
    "base": "Model",
    "masked-lm": "ForMaskedLM",
    "pretraining": "ForPreTraining",
    "causal-lm": "ForCausalLM",
    "seq2seq-lm": "ForConditionalGeneration",
    "speech-seq2seq": "ForSpeechSeq2Seq",
    "sequence-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "multiple-choice": "ForMultipleChoice",
}
# Part of a tensor name that only layers have.
_LAYER = re.compile(r"(^|\.)(h|layer|layers)\.\d+\.")
# Buffers that old versions of transformers saved: causal masks of GPT, position ids, fairseq's version and device.
_OLD_BUFFERS = (".attn.bias", ".attn.masked_bias", "position_ids", "token_type_ids", ".version", "._float_tensor")
_POOLER = "pooler.dense.weight"
# These tensors are zero if the checkpoint does not contain them.
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
    """Converts a published checkpoint. Logits, generated tokens and generation settings stay the same.

    ```python
    model = from_checkpoint("google-bert/bert-base-uncased")  # VanillaEncoderForMaskedLM, the class in config.json
    model = from_checkpoint("google-bert/bert-base-uncased", head="base")
    model = from_checkpoint("Helsinki-NLP/opus-mt-en-de")
    ```

    Weights are read from safetensors only: one file, or shards with an index. No remote code runs.

    Args:
        source: `user/model` on the Hub, or a folder written by `save_pretrained`.
        head: `base`, `masked-lm`, `pretraining`, `causal-lm`, `seq2seq-lm`, `speech-seq2seq`,
            `sequence-classification`, `token-classification`, `question-answering` or `multiple-choice`; None for the
            head in config.json.
        dtype: type of the weights; `"auto"` keeps the saved type.
        format: the library that saved the checkpoint: `transformers`; for a folder also `bert-tf` (the original BERT)
            or `fairseq`, with tensors exported to safetensors (docs/conversion.md).
        revision: branch, tag or commit on the Hub.
        token: access token for private models; True for the saved login.
        cache_dir: cache folder for downloads; None for the default.
        local_files_only: whether to use the cache only, without network.

    Raises:
        FileNotFoundError: the folder or model does not exist, or one of its files is missing.
        ValueError: the family or a configuration field is not supported, the checkpoint does not contain the head, or
            the weights are not safetensors; the message has a remedy.
    """
    if format != "transformers":
        return load_original(source, format, head, dtype)
    where = CheckpointSource(str(source), revision, token, cache_dir, local_files_only)
    return from_transformers(load_with_transformers(where, head=head, dtype=dtype))


def load_with_transformers(
    source: CheckpointSource, *, head: str | None, dtype: torch.dtype | str = "auto"
) -> PreTrainedModel:
    """Loads the transformers model that `from_checkpoint` converts; same arguments and errors."""
    family, chosen, config = find_class(source, head)
    folder = source.folder()
    names = tensor_names(folder)
    arguments: dict[str, Any] = {}
    if chosen.base and chosen.pooler:
        # Checkpoints of masked language models have no pooler; transformers would add a random one.
        arguments["add_pooling_layer"] = any(name.endswith(_POOLER) for name in names)
    if renamed := key_mapping(names, family.base_prefix):
        arguments["key_mapping"] = renamed
    with no_loading_report():
        model, report = load_pretrained(
            transformers_class(chosen),
            folder,
            dtype=dtype,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # refused below, with a reason
            output_loading_info=True,
            **arguments,
        )
    for name in set(family.copies) & set(report["missing_keys"]):
        model.get_parameter(name).data.copy_(model.get_parameter(family.copies[name]).data)
        report["missing_keys"] = set(report["missing_keys"]) - {name}
    _check_loading_report(family, chosen, source.name, config, model.config, report)
    return model.eval()


def find_class(source: CheckpointSource, head: str | None) -> tuple[Family, Head, dict[str, Any]]:
    """Family, head and configuration of a checkpoint, from config.json alone, before weights are downloaded.

    Raises:
        FileNotFoundError, ValueError: see `from_checkpoint`.
    """
    config = source.config()
    check_config(source.name, config)
    family = FAMILIES[config["model_type"]]
    chosen = _choose_head(family, head, config.get("architectures") or (), source.name)
    try:
        their_config = getattr(transformers, family.config_class).from_dict(config)
    except StrictDataclassError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"config.json of source={source.name!r}: {reason}; correct the field.") from error
    check_family_config(family, their_config)
    return family, chosen, config


def load_original(
    source: str | Path, format: str, head: str | None, dtype: torch.dtype | str = "auto"
) -> PreTrainedModel:
    """Converts a checkpoint in a format older than the Hub; same arguments and errors as `from_checkpoint`."""
    if format not in ORIGINAL_FORMATS:
        raise ValueError(f"format={format!r} is not known; choose from transformers, {', '.join(ORIGINAL_FORMATS)}.")
    model = ORIGINAL_FORMATS[format].model(Path(source), head)
    return model if dtype == "auto" else model.to(dtype)


def head_name(head: Head) -> str:
    """The user's name of a head, one of `HEADS`."""
    return next(name for name, ending in HEADS.items() if re.search(rf"[a-z]{ending}$", head.ours))


def _choose_head(family: Family, wanted: str | None, architectures: Sequence[str], source: str) -> Head:
    # If several classes correspond to one head of ours, the preferred one comes first.
    heads: dict[str, Head] = {}
    for head in family.heads:
        heads.setdefault(head_name(head), head)
    available = ", ".join(heads)
    if wanted is not None:
        if wanted not in heads:
            known = "" if wanted in HEADS else f" (names of heads are {', '.join(HEADS)})"
            raise ValueError(f"head={wanted!r} does not exist for {family.model_type}{known}; choose from {available}.")
        return heads[wanted]
    for name in architectures:
        found = _head_of_class(family, heads, name)
        if found is not None:
            return found
    if not architectures:
        raise ValueError(
            f"config.json of source={source!r} has no architectures, so the saved class is unknown; give the head with "
            f"head= (--head), one of: {available}."
        )
    raise ValueError(
        f"{architectures[0]} of source={source!r} has no counterpart among our models. Supported classes "
        f"of {family.model_type}: {', '.join(head.theirs for head in family.heads)}. Or convert another head of the "
        f"checkpoint with head= (--head), one of: {available}; for example head={next(iter(heads))!r}."
    )


def _head_of_class(family: Family, heads: Mapping[str, Head], name: str) -> Head | None:
    """The head of a class in `architectures`, or None.

    Old checkpoints name the class of TensorFlow or Flax, or that of the related family which first had the model:
    XLM-R was saved as RobertaForMaskedLM, mBART as BartForConditionalGeneration.
    """
    name = re.sub(r"^(TF|Flax)(?=[A-Z])", "", name)
    exact = next((head for head in family.heads if head.theirs == name), None)
    if exact is not None:
        return exact
    if name in family.headless:
        return heads["base"]
    for related in FAMILIES.values():
        for head in related.heads:
            if head.theirs == name and related.stack == family.stack:
                return heads.get(head_name(head))
    return None


def _check_loading_report(
    family: Family, head: Head, source: str, config: dict[str, Any], their_config: Any, report: dict[str, Any]
) -> None:
    """Raises ValueError unless all tensors of the model were loaded with their shapes, and no layer is left over."""
    backbone = {name.split(".")[0] for rule in family.rules(their_config) for name in rule.theirs}
    computed = () if family.learned_positions else COMPUTED
    missing = sorted(name for name in report["missing_keys"] if not name.endswith((*computed, *_ZERO_IF_MISSING)))
    if missing:
        saved = ", ".join(config.get("architectures") or ()) or "unknown"
        of_head = not any(name.removeprefix(family.base_prefix).split(".")[0] in backbone for name in missing)
        raise (MissingHeadError if of_head else ValueError)(
            f"source={source!r} has no {_some(missing)}, which {head.theirs} needs and which would be random. "
            f"It was saved as: {saved}. Choose one of its heads, or convert it with head='base' (--head base), and "
            "train the head on the converted model (`hf-vanilla finetune`, or the Auto class of the head)."
        )
    if report["mismatched_keys"]:
        name, saved_shape, expected = sorted(report["mismatched_keys"])[0]
        raise ValueError(
            f"{name} of source={source!r} has the shape {tuple(saved_shape)}, but its config.json requires "
            f"{tuple(expected)}: they belong to different models, or config.json was edited."
        )
    adapters = sorted(name for name in report["unexpected_keys"] if ".lora_" in name)
    if adapters:
        raise ValueError(
            f"source={source!r} contains {_some(adapters)} of an unmerged adapter: call merge_and_unload(), save the "
            "model, and convert that folder."
        )
    superfluous = sorted(name for name in report["unexpected_keys"] if _changes_function(family, backbone, name))
    if superfluous:
        raise ValueError(
            f"source={source!r} contains {_some(superfluous)}, which {head.theirs} with this config.json does not "
            "have: they belong to different models, or config.json was edited."
        )


def _changes_function(family: Family, backbone: Collection[str], name: str) -> bool:
    """Whether a tensor that the class lacks belongs to the layers or the embeddings, not to another head or a buffer.

    `backbone` contains the first parts of the names of layers and embeddings, without the prefix of the base model.
    """
    if name.endswith(_OLD_BUFFERS) or (not family.learned_positions and ".embed_positions." in name):
        return False
    return _LAYER.search(name) is not None or name.removeprefix(family.base_prefix).split(".")[0] in backbone


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
