"""DistilBERT (Sanh et al. 2019): half the layers of BERT, without segments; its sentence heads use ReLU, not tanh."""

from __future__ import annotations

from typing import Any

from ..family import Family, Field, Head
from ..tensor_rules import Rule, layers, module, tensor
from .bert import BERT, ONE_WIDTH

__all__ = ["DISTILBERT"]

LAYER = (
    *module("self_attn.q_proj", "attention.q_lin"),
    *module("self_attn.k_proj", "attention.k_lin"),
    *module("self_attn.v_proj", "attention.v_lin"),
    *module("self_attn.o_proj", "attention.out_lin"),
    *module("self_attn_norm", "sa_layer_norm"),
    *module("mlp.fc1", "ffn.lin1"),
    *module("mlp.fc2", "ffn.lin2"),
    *module("mlp_norm", "output_layer_norm"),
)
MASKED_LM = (
    *module("lm_head_transform.dense", "vocab_transform"),
    *module("lm_head_transform.norm", "vocab_layer_norm"),
    tensor("lm_head.weight", "vocab_projector.weight"),
    tensor("lm_head.bias", "vocab_projector.bias", zero_if_absent=True),
)
CLASSIFIER = module("classifier", "classifier")
# The base model has no pooler; heads that need one contain it.
SENTENCE = (*module("model.pooler.dense", "pre_classifier"), *CLASSIFIER)


def _tensors(config: Any) -> tuple[Rule, ...]:
    return (
        tensor("embed_tokens.weight", "embeddings.word_embeddings.weight"),
        tensor("embed_positions.weight", "embeddings.position_embeddings.weight"),
        *module("embed_norm", "embeddings.LayerNorm"),
        *layers(config.n_layers, LAYER, "layers.{}.", "transformer.layer.{}."),
    )


DISTILBERT = Family(
    model_type="distilbert",
    stack="vanilla_encoder",
    config_class="DistilBertConfig",
    base_prefix="distilbert.",
    fields=(
        Field("vocab_size", "vocab_size"),
        Field("hidden_size", "dim"),
        Field("num_hidden_layers", "n_layers"),
        Field("num_attention_heads", "n_heads"),
        Field("intermediate_size", "hidden_dim"),
        Field("hidden_act", "activation"),
        Field("dropout", "dropout"),
        Field("attention_dropout", "attention_dropout"),
        Field("max_position_embeddings", "max_position_embeddings"),
        Field("initializer_range", "initializer_range"),
        Field("pad_token_id", "pad_token_id"),
        Field("bos_token_id", "bos_token_id"),
        Field("eos_token_id", "eos_token_id"),
        Field("tie_word_embeddings", "tie_word_embeddings"),
    ),
    constants=BERT.constants | {"type_vocab_size": 0, "layer_norm_eps": 1e-12},
    head_constants=BERT.head_constants,
    import_constants=BERT.import_constants,
    training_constants=BERT.training_constants,
    pooler_act="relu",
    derived={"classifier_dropout": lambda config: config.seq_classif_dropout},
    written={
        "seq_classif_dropout": lambda ours: (
            ours.dropout if ours.classifier_dropout is None else ours.classifier_dropout
        ),
        "qa_dropout": lambda ours: 0.0,
    },
    # The checkpoint contains the table in any case; this setting only excludes it from training.
    training_settings={"sinusoidal_pos_embds": False},
    requirements=(ONE_WIDTH,),
    rules=_tensors,
    heads=(
        Head("VanillaEncoderModel", "DistilBertModel", base=True),
        Head("VanillaEncoderForMaskedLM", "DistilBertForMaskedLM", MASKED_LM, language_model=True),
        Head("VanillaEncoderForSequenceClassification", "DistilBertForSequenceClassification", SENTENCE),
        Head("VanillaEncoderForTokenClassification", "DistilBertForTokenClassification", CLASSIFIER),
        Head(
            "VanillaEncoderForQuestionAnswering", "DistilBertForQuestionAnswering", module("qa_outputs", "qa_outputs")
        ),
        Head("VanillaEncoderForMultipleChoice", "DistilBertForMultipleChoice", SENTENCE),
    ),
    notes="DistilBERT drops out the input of its question-answering head (qa_dropout), ours does not; its token "
    "classifier uses dropout where ours uses classifier_dropout.",
)
