"""BERT (Devlin et al. 2019): post-norm encoder, learned positions, segments, a norm on the embeddings."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head, Requirement
from ..tensor_rules import Repeat, Rule, layers, module, tensor

__all__ = ["BERT", "BERT_FIELDS", "ONE_WIDTH", "bert_tensors"]

ONE_WIDTH = Requirement("embedding_size", "None or hidden_size", lambda ours: ours.embedding_width == ours.hidden_size)

LAYER = (
    *module("self_attn.q_proj", "attention.self.query"),
    *module("self_attn.k_proj", "attention.self.key"),
    *module("self_attn.v_proj", "attention.self.value"),
    *module("self_attn.o_proj", "attention.output.dense"),
    *module("self_attn_norm", "attention.output.LayerNorm"),
    *module("mlp.fc1", "intermediate.dense"),
    *module("mlp.fc2", "output.dense"),
    *module("mlp_norm", "output.LayerNorm"),
)

BERT_FIELDS = (
    Field("vocab_size", "vocab_size"),
    Field("hidden_size", "hidden_size"),
    Field("num_hidden_layers", "num_hidden_layers"),
    Field("num_attention_heads", "num_attention_heads"),
    Field("intermediate_size", "intermediate_size"),
    Field("hidden_act", "hidden_act"),
    Field("dropout", "hidden_dropout_prob"),
    Field("attention_dropout", "attention_probs_dropout_prob"),
    Field("max_position_embeddings", "max_position_embeddings"),
    Field("type_vocab_size", "type_vocab_size", to_theirs=lambda count: count or 1),
    Field("initializer_range", "initializer_range"),
    Field("layer_norm_eps", "layer_norm_eps"),
    Field("classifier_dropout", "classifier_dropout"),
    Field("pad_token_id", "pad_token_id"),
    Field("bos_token_id", "bos_token_id"),
    Field("eos_token_id", "eos_token_id"),
    Field("tie_word_embeddings", "tie_word_embeddings"),
)


def bert_tensors(config: Any, positions: Rule) -> tuple[Rule, ...]:
    """The rules of a BERT-like encoder; `positions` is the rule of its position table."""
    return (
        tensor("embed_tokens.weight", "embeddings.word_embeddings.weight"),
        positions,
        tensor("embed_token_types.weight", "embeddings.token_type_embeddings.weight", zero_if_absent=True),
        *module("embed_norm", "embeddings.LayerNorm"),
        *layers(config.num_hidden_layers, LAYER, "layers.{}.", "encoder.layer.{}."),
    )


def _tensors(config: Any) -> tuple[Rule, ...]:
    return bert_tensors(config, tensor("embed_positions.weight", "embeddings.position_embeddings.weight"))


# The bias is stored under two names. If the embeddings are not tied, BERT uses only that of the decoder.
MASKED_LM = (
    *module("lm_head_transform.dense", "cls.predictions.transform.dense"),
    *module("lm_head_transform.norm", "cls.predictions.transform.LayerNorm"),
    tensor("lm_head.weight", "cls.predictions.decoder.weight"),
    Rule(("lm_head.bias",), ("cls.predictions.decoder.bias", "cls.predictions.bias"), Repeat(2), zero_if_absent=True),
)
CLASSIFIER = module("classifier", "classifier")

BERT = Family(
    model_type="bert",
    stack="vanilla_encoder",
    config_class="BertConfig",
    base_prefix="bert.",
    fields=BERT_FIELDS,
    constants={
        "norm_first": False,
        "position_embedding_type": "learned",
        "layernorm_embedding": True,
        "scale_embedding": False,
    },
    head_constants={"lm_head_transform": True},
    import_constants={"lm_head_bias": True},
    training_constants={"activation_dropout": 0.0},
    required_values={
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
    },
    requirements=(ONE_WIDTH,),
    rules=_tensors,
    heads=(
        Head("VanillaEncoderModel", "BertModel", base=True, pooler=True),
        Head("VanillaEncoderForMaskedLM", "BertForMaskedLM", MASKED_LM, language_model=True),
        Head(
            "VanillaEncoderForPreTraining",
            "BertForPreTraining",
            (*MASKED_LM, *module("seq_relationship", "cls.seq_relationship")),
            pooler=True,
            language_model=True,
        ),
        Head("VanillaEncoderForSequenceClassification", "BertForSequenceClassification", CLASSIFIER, pooler=True),
        Head("VanillaEncoderForTokenClassification", "BertForTokenClassification", CLASSIFIER),
        Head("VanillaEncoderForQuestionAnswering", "BertForQuestionAnswering", module("qa_outputs", "qa_outputs")),
        Head("VanillaEncoderForMultipleChoice", "BertForMultipleChoice", CLASSIFIER, pooler=True),
    ),
)
