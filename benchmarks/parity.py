"""Compare our models with those of transformers with the same weights. `python -m benchmarks.parity`

For each family and head, three models are compared: a small model of transformers with perturbed random weights, our
model from `from_transformers`, and its export by `to_transformers`. The comparison covers the logits of all three; the
loss and the gradients of all parameters of the first two (converted by the same table as the weights); rows without
padding, padded on the right and on the left; eager attention and torch's kernel; and the tokens of greedy search and of
4 beams, with and without cache. The table has the largest differences.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import PreTrainedModel

from benchmarks.records import machine, write_json
from hf_vanilla_transformer.conversion import from_transformers, to_transformers
from hf_vanilla_transformer.conversion.families import FAMILIES
from hf_vanilla_transformer.conversion.family import Family, Head
from hf_vanilla_transformer.conversion.model_tensors import model_rules
from hf_vanilla_transformer.conversion.output_difference import OUTPUTS
from hf_vanilla_transformer.conversion.tensor_rules import import_tensors

Padding = Literal["none", "right", "left"]

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
ROWS, LENGTH, VOCABULARY, PAD = 3, 9, 67, 1
FRAMES, MEL = 22, 5

_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": 2}
_ENCODER = _TOKENS | {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "num_labels": 3,
}
_ROBERTA = _ENCODER | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}
_GPT = _TOKENS | {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 40,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "num_labels": 3,
}
_ENCODER_DECODER = _TOKENS | {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "decoder_start_token_id": 3,
}
# Settings of published models that differ from the defaults of the class and change the function.
SMALL_CONFIGS: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _TOKENS
    | {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 48,
        "max_position_embeddings": 40,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "seq_classif_dropout": 0.0,
        "qa_dropout": 0.0,
        "num_labels": 3,
    },
    # Like the small models, whose embeddings are narrower than their layers.
    "electra": _ENCODER | {"embedding_size": 16},
    "gpt2": _GPT | {"n_inner": 48, "classifier_dropout": 0.0},
    "openai-gpt": _GPT,
    "opt": _TOKENS
    | {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 48,
        "max_position_embeddings": 40,
        "dropout": 0.0,
        "num_labels": 3,
    },
    "biogpt": {name: value for name, value in _ENCODER.items() if name != "type_vocab_size"}
    | {"scale_embedding": True},
    "xglm": _TOKENS
    | {
        "d_model": 32,
        "num_layers": 2,
        "attention_heads": 4,
        "ffn_dim": 48,
        "max_position_embeddings": 40,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "marian": _ENCODER_DECODER
    | {
        "scale_embedding": True,
        "activation_function": "swish",
        "decoder_start_token_id": PAD,
        "forced_eos_token_id": 2,
    },
    "pegasus": {name: value for name, value in _ENCODER_DECODER.items() if name != "bos_token_id"}
    | {"scale_embedding": True, "activation_function": "relu", "forced_eos_token_id": 2},
    "bart": _ENCODER_DECODER | {"forced_eos_token_id": 2},
    "mbart": _ENCODER_DECODER | {"scale_embedding": True, "activation_function": "relu", "forced_eos_token_id": 2},
    "m2m_100": _ENCODER_DECODER,
    "fsmt": {name: value for name, value in _ENCODER_DECODER.items() if name != "vocab_size"}
    | {"src_vocab_size": VOCABULARY, "tgt_vocab_size": VOCABULARY, "decoder_start_token_id": 2},
    "speech_to_text": {name: value for name, value in _ENCODER_DECODER.items() if name != "max_position_embeddings"}
    | {"max_target_positions": 40, "input_feat_per_channel": MEL, "conv_channels": 24},
}
# With labels only, these do not start the target with `decoder_start_token_id`, but with its last token (mBART) or the
# source (FSMT).
OTHER_SHIFT = ("mbart", "fsmt")


@dataclass(frozen=True)
class Difference:
    """The largest differences between a model of transformers and ours.

    Attributes:
        logits: logits of the model of transformers and of ours.
        loss, gradients: loss and gradients of the same two models in training.
        logits_out: logits of ours and of its export.
    """

    logits: float = 0.0
    loss: float = 0.0
    gradients: float = 0.0
    logits_out: float = 0.0

    def __or__(self, other: Difference) -> Difference:
        return Difference(
            max(self.logits, other.logits),
            max(self.loss, other.loss),
            max(self.gradients, other.gradients),
            max(self.logits_out, other.logits_out),
        )


def all_heads() -> Iterator[tuple[Family, Head]]:
    """All supported pairs of classes."""
    for family in FAMILIES.values():
        for head in family.heads:
            yield family, head


def small_transformers_model(
    family: Family, head: Head, *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any
) -> PreTrainedModel:
    """A model of transformers with a few thousand parameters. All are perturbed, so that none is 0 or 1.

    Args:
        family: the family.
        head: the head.
        seed: seed of the weights.
        dtype: type of the weights.
        changes: fields of the family's configuration that differ from `SMALL_CONFIGS`.
    """
    fields = SMALL_CONFIGS[family.model_type] | changes
    if "QuestionAnswering" in head.theirs:
        fields = {name: value for name, value in fields.items() if name != "num_labels"}
    config = getattr(transformers, family.config_class)(**fields)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, head.theirs)(config)
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                if family.learned_positions or not name.endswith("embed_positions.weight"):
                    tensor.add_(0.2 * torch.randn_like(tensor))
    return model.to(dtype).eval()


def inputs(family: Family, head: Head, padding: Padding, seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Inputs of both models, with labels if the head has a loss.

    Returns:
        The keyword arguments, and a mask (batch, sequence) of the output positions to compare.
    """
    generator = torch.Generator().manual_seed(seed)

    def random_ids(*shape: int, low: int = 5, high: int = VOCABULARY) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=generator)

    choices = 2 if "MultipleChoice" in head.theirs else 1
    mask = torch.ones(ROWS * choices, LENGTH, dtype=torch.long)
    if padding != "none":
        for row in range(ROWS * choices):
            padded = row % 4
            mask[row, slice(LENGTH - padded, None) if padding == "right" else slice(None, padded)] = 0
    source = random_ids(ROWS * choices, LENGTH).masked_fill(mask == 0, PAD)
    arguments = {"input_ids": source, "attention_mask": mask}
    if family.model_type == "speech_to_text":
        arguments = _speech(padding, generator)
    kept = mask.bool()
    if family.model_type in ("bert", "electra"):
        arguments["token_type_ids"] = (torch.arange(LENGTH) > 4).long().expand_as(source).contiguous()
    if family.stack == "vanilla_transformer":
        targets = random_ids(ROWS, LENGTH - 2)
        for row in range(ROWS if padding != "none" else 0):
            targets[row, LENGTH - 2 - row :] = PAD
        kept = targets != PAD
        start = torch.full((ROWS, 1), 3)
        if head.base or family.model_type in OTHER_SHIFT:
            arguments["decoder_input_ids"] = torch.cat([start, targets[:, :-1]], dim=1)
        if not head.base:
            arguments["labels"] = targets.masked_fill(~kept, -100)
    elif head.language_model or "TokenClassification" in head.theirs:
        labels = source.clone() if head.language_model else random_ids(ROWS, LENGTH, low=0, high=3)
        if family.stack == "vanilla_encoder" and head.language_model:
            labels = random_ids(ROWS, LENGTH).masked_fill(torch.arange(LENGTH) % 2 == 0, -100)
        labels = labels.masked_fill(~kept, -100)
        if family.stack == "vanilla_decoder" and head.language_model and padding == "left":
            # Predictions at padding, including that of the first token after it, are not defined.
            labels[torch.arange(ROWS), mask.argmax(1)] = -100
        arguments["labels"] = labels
        if head.theirs == "BertForPreTraining":
            arguments["next_sentence_label"] = torch.arange(ROWS) % 2
    elif "QuestionAnswering" in head.theirs:
        arguments["start_positions"], arguments["end_positions"] = torch.tensor([4, 5, 4]), torch.tensor([5, 5, 30])
    elif "SequenceClassification" in head.theirs:
        arguments["labels"] = torch.tensor([0, 2, 1])
    elif choices > 1:
        arguments = {name: value.view(ROWS, choices, LENGTH) for name, value in arguments.items()}
        arguments["labels"] = torch.tensor([0, 1, 0])
    return arguments, kept


def _speech(padding: Padding, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Features and mask. Speech is padded on the right; Speech2Text does not support another side."""
    mask = torch.ones(ROWS, FRAMES, dtype=torch.long)
    for row in range(ROWS if padding != "none" else 0):
        mask[row, FRAMES - 3 * row :] = 0
    features = torch.randn(ROWS, FRAMES, MEL, generator=generator)
    return {"input_features": features.masked_fill(mask[..., None] == 0, 0.0), "attention_mask": mask}


def compare(
    family: Family,
    head: Head,
    padding: Padding = "none",
    attention: Literal["eager", "sdpa"] = "sdpa",
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Difference:
    """Compares logits, loss and gradients of a small model of transformers and ours.

    Logits are computed in evaluation mode; loss and gradients in training mode without dropout, in which our loss does
    not compute logits.

    Raises:
        ValueError: a parameter has a gradient on one side only, so the table misses a tensor.
    """
    reference = small_transformers_model(family, head, dtype=dtype, **changes)
    ours = from_transformers(reference)
    ours.set_attn_implementation(attention)
    if not family.only_eager:
        reference.set_attn_implementation(attention)
    arguments, kept = inputs(family, head, padding)
    arguments = {name: value.to(dtype) if value.is_floating_point() else value for name, value in arguments.items()}
    labels = {name: value for name, value in arguments.items() if "label" in name or name.endswith("_positions")}
    plain = {name: value for name, value in arguments.items() if name not in labels}
    if family.stack == "vanilla_transformer" and "decoder_input_ids" not in plain:
        plain["decoder_input_ids"] = ours.prepare_decoder_input_ids_from_labels(labels["labels"])
    # RoBERTa has a special position for padding, so its pooled output is not defined if the first token is padding.
    rows = arguments["attention_mask"].flatten(0, -2)[:, 0].bool() if _like_roberta(family) else None
    if family.model_type == "fsmt":
        plain["use_cache"] = False  # with a cache, the decoder of FSMT attends to later tokens of its input
    back = to_transformers(ours, family=family.model_type)
    with torch.no_grad():
        theirs, mine, again = (_outputs(model(**plain), kept, rows) for model in (reference, ours, back))
    logits, logits_out = _largest(theirs, mine), _largest(mine, again)

    if head.language_model and family.stack == "vanilla_decoder":
        reference.loss_function = _next_token_loss
    losses = []
    for model in (reference.train(), ours.train()):
        if labels and not _loss_reads_padding(family, head, padding):
            losses.append(model(**arguments).loss)
        else:
            # Any smooth function of the outputs at positions without padding.
            losses.append(sum(torch.sin(2 * output).mean() for output in _outputs(model(**plain), kept, rows)))
        losses[-1].backward()
    loss = float((losses[0] - losses[1]).detach().abs())
    return Difference(logits, loss, _gradient_difference(family, head, reference, ours), logits_out)


def _largest(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(first, second, strict=True))


def precisions(family: Family) -> tuple[torch.dtype, ...]:
    """The data types to compare in."""
    # XGLM and FSMT of transformers write the lowest number of their type into a mask in float32.
    return (torch.float32,) if family.model_type in ("xglm", "fsmt") else tuple(TOLERANCE)


def attentions(family: Family, dtype: torch.dtype) -> tuple[Literal["eager", "sdpa"], ...]:
    """The kernels to compare with."""
    # OPT's eager attention always computes its softmax in float32.
    return ("sdpa",) if family.model_type == "opt" and dtype == torch.float64 else ("eager", "sdpa")


def _loss_reads_padding(family: Family, head: Head, padding: Padding) -> bool:
    """Whether the reference loss depends on outputs at padding, which may differ between implementations."""
    if "QuestionAnswering" in head.theirs:
        return padding != "none"
    pooled = "SequenceClassification" in head.theirs or "MultipleChoice" in head.theirs
    return _like_roberta(family) and pooled and padding == "left"


def _like_roberta(family: Family) -> bool:
    return family.stack == "vanilla_encoder" and family.positions_from_mask


def _next_token_loss(logits: torch.Tensor, labels: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    """transformers' loss of a causal language model, without the conversion of the logits to float32."""
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def _outputs(outputs: Any, kept: torch.Tensor, rows: torch.Tensor | None) -> list[torch.Tensor]:
    """The outputs of a forward pass in a fixed order, at kept positions or for the given rows."""
    tensors = [outputs[name] for name in OUTPUTS if outputs.get(name) is not None]
    return [_compared(tensor, kept, rows) for tensor in tensors]


def _compared(tensor: torch.Tensor, kept: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    if tensor.shape[:2] == kept.shape:
        return tensor[kept]
    if rows is None:
        return tensor
    return tensor[rows] if len(tensor) == len(rows) else tensor.flatten()[rows]


def _gradient_difference(family: Family, head: Head, reference: PreTrainedModel, ours: PreTrainedModel) -> float:
    parameters = dict(reference.named_parameters(remove_duplicate=False))
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in parameters.items()
    }
    pooler = any(name.endswith("pooler.dense.weight") for name in gradients)
    # Buffers that are parameters of our models (BART's final_logits_bias) have no gradient to compare.
    rules = [
        rule
        for rule in model_rules(family, head, reference.config, pooler)
        if all(name in gradients for name in rule.theirs)
    ]
    theirs = import_tensors(rules, gradients, reference.config)
    mine = dict(ours.named_parameters(remove_duplicate=False))
    uncovered = [name for name in mine if name not in theirs and name != "lm_head.bias"]
    if uncovered:
        raise ValueError(f"{head.theirs} has no gradient to compare with that of {uncovered}.")
    return max(
        float((gradient - (0 if mine[name].grad is None else mine[name].grad)).abs().max())
        for name, gradient in theirs.items()
    )


def generated(model: PreTrainedModel, family: Family, beams: int, use_cache: bool) -> torch.Tensor:
    """Generated tokens, (batch, sequence), for a batch padded on the left."""
    arguments, _ = inputs(family, family.heads[0], "left", seed=1)
    source = model.main_input_name
    with torch.no_grad():
        return model.generate(
            arguments[source].to(model.dtype) if source == "input_features" else arguments[source],
            attention_mask=arguments["attention_mask"],
            num_beams=beams,
            do_sample=False,
            use_cache=use_cache,
            no_repeat_ngram_size=2,  # random weights would repeat tokens
            max_new_tokens=14,
        )


def same_tokens(family: Family, head: Head, dtype: torch.dtype = torch.float32) -> dict[str, bool]:
    """Whether both models generate the same tokens, by search; empty for a head that does not generate."""
    reference = small_transformers_model(family, head, dtype=dtype)
    if not reference.can_generate():
        return {}
    ours = from_transformers(reference)
    same = {}
    # Without a cache, the decoder of FSMT attends to later tokens, unlike in training.
    caches = (True,) if family.model_type == "fsmt" else (True, False)
    for beams in (1, 4):
        for use_cache in caches:
            theirs, mine = (generated(model, family, beams, use_cache) for model in (reference, ours))
            name = f"{'greedy' if beams == 1 else f'beam {beams}'}, {'cache' if use_cache else 'no cache'}"
            same[name] = torch.equal(theirs, mine)
    return same


def measure(family: Family, head: Head) -> dict[str, Any]:
    """One row of the table."""
    row: dict[str, Any] = {"family": family.model_type, "transformers": head.theirs, "ours": head.ours}
    for dtype in precisions(family):
        worst = Difference()
        for padding in ("none", "right", "left"):
            for attention in attentions(family, dtype):
                worst |= compare(family, head, padding, attention, dtype)
        name = str(dtype).removeprefix("torch.")
        differences = dataclasses.asdict(worst)
        row |= {f"{what}_{name}": difference for what, difference in differences.items()}
        row[f"within_{name}"] = max(differences.values()) <= TOLERANCE[dtype]
    row["generation"] = same_tokens(family, head)
    return row


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    columns = ("logits", "logits_out", "gradients")
    columns = tuple(f"{column}_{dtype}" for dtype in ("float32", "float64") for column in columns)
    lines = [
        "| transformers class | ours | float32: logits in | out | gradients "
        "| float64: logits in | out | gradients | tokens |",
        f"|{' --- |' * 9}",
    ]
    for row in rows:
        tokens = "same" if all(row["generation"].values()) else "**different**"
        values = " | ".join(f"{row[column]:.1e}" if column in row else "–" for column in columns)
        lines.append(f"| {row['transformers']} | {row['ours']} | {values} | {tokens if row['generation'] else '–'} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table. Returns 1 if a difference exceeds the tolerance."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this family; may be repeated")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args(arguments)
    transformers.logging.set_verbosity_error()
    rows = [
        measure(family, head)
        for family, head in all_heads()
        if options.family is None or family.model_type in options.family
    ]
    print(markdown(rows))
    if options.json:
        write_json(options.json, {"machine": machine(), "rows": rows})
    exact = all(row["within_float32"] and row.get("within_float64", True) for row in rows)
    exact = exact and all(all(row["generation"].values()) for row in rows)
    return 0 if exact else 1


if __name__ == "__main__":
    raise SystemExit(main())
