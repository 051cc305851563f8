"""Checkpoints older than the Hub: tensors with random weights under the names of the original libraries."""

import json

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.parity import small_transformers_model
from hf_vanilla_transformer import from_checkpoint
from hf_vanilla_transformer.conversion.checkpoint import ORIGINAL_FORMATS
from hf_vanilla_transformer.conversion.families import FAMILIES
from hf_vanilla_transformer.conversion.output_difference import largest_difference

# Parts of BERT's tensor names in transformers and in google-research/bert. TensorFlow stores matrices of dense layers
# transposed.
TENSORFLOW_NAMES = (
    ("bert.encoder.layer.", "bert/encoder/layer_"),
    (".word_embeddings.weight", ".word_embeddings"),
    (".position_embeddings.weight", ".position_embeddings"),
    (".token_type_embeddings.weight", ".token_type_embeddings"),
    ("LayerNorm.weight", "LayerNorm.gamma"),
    ("LayerNorm.bias", "LayerNorm.beta"),
    ("cls.predictions.bias", "cls.predictions.output_bias"),
    ("cls.seq_relationship.weight", "cls.seq_relationship.output_weights"),
    ("cls.seq_relationship.bias", "cls.seq_relationship.output_bias"),
    ("qa_outputs.weight", "cls.squad.output_weights"),
    ("qa_outputs.bias", "cls.squad.output_bias"),
    ("classifier.weight", "output_weights"),
    ("classifier.bias", "output_bias"),
)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "."]


def transformers_model(family_name, class_name, **changes):
    family = FAMILIES[family_name]
    head = next(head for head in family.heads if head.theirs == class_name)
    return small_transformers_model(family, head, **changes)


def tensorflow_variables(model):
    variables = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("cls.predictions.decoder"):
            continue  # the embeddings and a second name of the bias
        for theirs, original in TENSORFLOW_NAMES:
            name = name.replace(theirs, original)
        if name.endswith(".weight"):
            name, tensor = name.removesuffix("weight") + "kernel", tensor.T
        variables[name.replace(".", "/")] = tensor.contiguous().clone()
    return variables


def write_bert(folder, model, **more):
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    names += ("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings")
    names += ("type_vocab_size", "initializer_range")
    (folder / "bert_config.json").write_text(json.dumps({name: getattr(model.config, name) for name in names} | more))
    variables = tensorflow_variables(model)
    variables["global_step"] = torch.tensor(7)
    variables["bert/pooler/dense/kernel/adam_m"] = torch.zeros(32, 32)
    save_file(variables, folder / "bert_model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("class_name", "ours"),
    [
        ("BertForPreTraining", "VanillaEncoderForPreTraining"),
        ("BertForSequenceClassification", "VanillaEncoderForSequenceClassification"),
        ("BertForQuestionAnswering", "VanillaEncoderForQuestionAnswering"),
    ],
)
def test_the_original_bert(class_name, ours, tmp_path):
    reference = transformers_model("bert", class_name, pad_token_id=0)
    write_bert(tmp_path, reference)
    model = from_checkpoint(tmp_path, format="bert-tf")
    assert type(model).__name__ == ours
    assert largest_difference(reference, model) <= 1e-5


def test_heads_of_the_original_bert(tmp_path):
    reference = transformers_model("bert", "BertForPreTraining", pad_token_id=0)
    write_bert(tmp_path, reference)
    ids = torch.tensor([[2, 5, 6, 3]])
    encoder = from_checkpoint(tmp_path, format="bert-tf", head="base")
    torch.testing.assert_close(encoder(ids).pooler_output, reference.bert(ids).pooler_output, rtol=0, atol=1e-5)
    masked = from_checkpoint(tmp_path, format="bert-tf", head="masked-lm", dtype=torch.float64)
    assert masked.dtype == torch.float64
    torch.testing.assert_close(masked(ids).logits, reference.double()(ids).prediction_logits, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"head='question-answering' .*pretraining"):
        from_checkpoint(tmp_path, format="bert-tf", head="question-answering")


@pytest.mark.parametrize(
    ("words", "expected"), [(WORDS, "the cat ##s sat ."), ([*WORDS, "\u2028", "Berlin"], "[UNK] cat ##s sat .")]
)
def test_the_original_bert_tokenizer_lowercases_unless_the_vocabulary_has_uppercase(words, expected, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = ORIGINAL_FORMATS["bert-tf"].tokenizer(tmp_path)
    assert tokenizer.convert_ids_to_tokens(tokenizer("The cats sat.").input_ids) == f"[CLS] {expected} [SEP]".split()
    assert tokenizer.convert_tokens_to_ids(words) == list(range(len(words)))
    assert len(tokenizer) == len(words)


def test_bert_variables_that_do_not_match_their_configuration(tmp_path):
    reference = transformers_model("bert", "BertForPreTraining", pad_token_id=0)
    write_bert(tmp_path, reference, num_hidden_layers=1)
    with pytest.raises(ValueError, match="num_hidden_layers=1"):
        from_checkpoint(tmp_path, format="bert-tf")
    write_bert(tmp_path, reference, num_hidden_layers=3)
    with pytest.raises(ValueError, match="'bert/encoder/layer_2/attention/self/query/kernel'"):
        from_checkpoint(tmp_path, format="bert-tf")
    (tmp_path / "bert_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"bert_config\.json"):
        from_checkpoint(tmp_path, format="bert-tf")


# fairseq's names of a transformers model's tensors: they differ in the output matrix.
FAIRSEQ_MODELS = {
    # wmt14/16/19: post-norm, sinusoids
    "fsmt": ("FSMTForConditionalGeneration", {"tie_word_embeddings": True}, {}),
    "fsmt-untied": ("FSMTForConditionalGeneration", {}, {}),
    # pre-norm, sinusoids
    "m2m_100": (
        "M2M100ForConditionalGeneration",
        {},
        {"encoder_normalize_before": True, "decoder_normalize_before": True},
    ),
    # learned positions, a norm on the embeddings
    "bart": (
        "BartForConditionalGeneration",
        {},
        {
            "encoder_learned_pos": True,
            "decoder_learned_pos": True,
            "layernorm_embedding": True,
            "activation_fn": "gelu",
        },
    ),
}


def fairseq_settings(config):
    return {
        "arch": "transformer",
        "encoder_embed_dim": config.d_model,
        "decoder_embed_dim": config.d_model,
        "encoder_ffn_embed_dim": config.encoder_ffn_dim,
        "decoder_ffn_embed_dim": config.decoder_ffn_dim,
        "encoder_attention_heads": config.encoder_attention_heads,
        "decoder_attention_heads": config.decoder_attention_heads,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "encoder_normalize_before": False,
        "decoder_normalize_before": False,
        "activation_fn": config.activation_function,
        "no_scale_embedding": not config.scale_embedding,
        "max_source_positions": config.max_position_embeddings,
        "max_target_positions": config.max_position_embeddings,
        "dropout": 0.3,
        "attention_dropout": 0.1,
        "activation_dropout": 0.1,
        "label_smoothing": 0.1,
        "adaptive_softmax_cutoff": None,
        "no_token_positional_embeddings": False,
    }


def fairseq_state(model, learned):
    state = {}
    for name, tensor in model.state_dict().items():
        name = name.removeprefix("model.").replace("lm_head.weight", "decoder.output_projection.weight")
        if name in ("shared.weight", "final_logits_bias") or ("embed_positions" in name and not learned):
            continue
        state[name] = tensor.clone()
    state["encoder.version"] = torch.tensor([3.0])
    if not learned:
        state["encoder.embed_positions._float_tensor"] = torch.zeros(1)
    return state


def write_fairseq(folder, name, **more):
    class_name, changes, settings = FAIRSEQ_MODELS[name]
    reference = transformers_model(name.removesuffix("-untied"), class_name, **changes)
    if hasattr(reference, "final_logits_bias"):
        reference.final_logits_bias.zero_()
    learned = settings.get("encoder_learned_pos", False)
    save_file(fairseq_state(reference, learned), folder / "model.safetensors")
    (folder / "args.json").write_text(json.dumps(fairseq_settings(reference.config) | settings | more))
    return reference


@pytest.mark.parametrize("name", FAIRSEQ_MODELS)
def test_a_transformer_of_fairseq(name, tmp_path):
    reference = write_fairseq(tmp_path, name)
    ours = from_checkpoint(tmp_path, format="fairseq")
    assert largest_difference(reference, ours) <= 1e-5
    assert ours.config.tie_word_embeddings == (name != "fsmt-untied")
    assert (ours.config.dropout, ours.config.activation_dropout, ours.config.label_smoothing) == (0.3, 0.1, 0.1)
    assert ours.config.decoder_start_token_id == ours.config.eos_token_id == 2
    base = from_checkpoint(tmp_path, format="fairseq", head="base")
    assert torch.equal(base.encoder.layers[0].mlp.fc1.weight, ours.model.encoder.layers[0].mlp.fc1.weight)


def test_an_old_checkpoint_of_fairseq(tmp_path):
    """Before 2019, norms were numbered, and q, k and v were rows of one matrix."""
    reference = write_fairseq(tmp_path, "fsmt")
    state = fairseq_state(reference, learned=False)
    old_norms = {
        "encoder": {"self_attn_layer_norm": 0, "final_layer_norm": 1},
        "decoder": {"self_attn_layer_norm": 0, "encoder_attn_layer_norm": 1, "final_layer_norm": 2},
    }
    old = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if len(parts) > 4 and parts[-2] in ("q_proj", "k_proj", "v_proj"):
            if parts[-2] == "q_proj":
                matrices = [state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
                old[f"{'.'.join(parts[:-2])}.in_proj_{parts[-1]}"] = torch.cat(matrices)
        elif len(parts) > 4 and parts[-2] in old_norms[parts[0]]:
            old[f"{parts[0]}.layers.{parts[2]}.layer_norms.{old_norms[parts[0]][parts[-2]]}.{parts[-1]}"] = tensor
        elif name != "decoder.output_projection.weight":  # it was tied to the embeddings and not saved
            old[name] = tensor
    save_file(old, tmp_path / "model.safetensors")
    assert largest_difference(reference, from_checkpoint(tmp_path, format="fairseq")) <= 1e-5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoder_attention_heads": 8}, r"encoder_attention_heads=4 .*decoder_attention_heads=8"),
        ({"decoder_normalize_before": True}, r"encoder_normalize_before=False .*decoder_normalize_before=True"),
        ({"adaptive_softmax_cutoff": "100,200"}, "adaptive_softmax_cutoff='100,200'"),
        ({"no_token_positional_embeddings": True}, "no_token_positional_embeddings=True"),
        ({"encoder_layers": 1}, r"encoder\.layers\.1\..*args\.json"),
        ({"encoder_layers": 3}, r"'encoder\.layers\.2\."),
        ({"encoder_ffn_embed_dim": 64, "decoder_ffn_embed_dim": 64}, r"fc1\.weight .*\(48, 32\).*\(64, 32\)"),
    ],
)
def test_unsupported_settings_of_fairseq(settings, message, tmp_path):
    write_fairseq(tmp_path, "fsmt", **settings)
    with pytest.raises(ValueError, match=message):
        from_checkpoint(tmp_path, format="fairseq")


def test_a_dictionary_of_fairseq(tmp_path):
    lines = ["the 120", "c@@ 7", "at 3", "\u2028 2", "madeupword0000 0"]  # a Unicode line separator is a token
    for language in ("en", "fr"):
        (tmp_path / f"dict.{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = ORIGINAL_FORMATS["fairseq"].tokenizer(tmp_path)
    assert tokenizer("the c@@ at dog").input_ids == [4, 5, 6, 3, 2]
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (
        0,
        1,
        2,
        3,
    )
    assert tokenizer.decode([4, 5, 6, 2], skip_special_tokens=True).replace("@@ ", "") == "the cat"
    (tmp_path / "dict.fr.txt").write_text("le 4\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"dict\.en\.txt and dict\.fr\.txt"):
        ORIGINAL_FORMATS["fairseq"].tokenizer(tmp_path)
    (tmp_path / "dict.fr.txt").write_text("no count\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"Line 1 of .*'no count'"):
        ORIGINAL_FORMATS["fairseq"].tokenizer(tmp_path)


@pytest.mark.parametrize("format", ["bert-tf", "fairseq"])
def test_files_of_the_original_library_are_refused(format, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"pickle")
    with pytest.raises(ValueError, match=r"safetensors.*none.*docs/conversion\.md"):
        from_checkpoint(tmp_path, format=format)
    save_file({"lonely": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "args.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"lonely|encoder_embed_dim"):
        from_checkpoint(tmp_path, format=format)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        from_checkpoint("nowhere", format=format)


def test_an_unknown_format():
    with pytest.raises(ValueError, match=r"format='flax' .*transformers, bert-tf, fairseq"):
        from_checkpoint("anything", format="flax")
