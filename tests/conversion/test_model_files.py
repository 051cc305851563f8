"""config.json and weights that do not belong together: one error, before memory is taken, by every way of loading."""

import resource
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, BertConfig

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer import from_checkpoint
from hf_vanilla_transformer.conversion.model_files import check_left_over, check_model_files, stored_tensors
from hf_vanilla_transformer.conversion.safe_loading import load_pretrained
from hf_vanilla_transformer.conversion.saved_model import load_saved_model
from hf_vanilla_transformer.pipelines.loading import load_model
from hf_vanilla_transformer.training.finetuning.base_model import open_base_model

from ..tiny_models import tiny_folder, tiny_model, tiny_tokenizer
from .damages import DAMAGES, HARMLESS, edit
from .saved import save

LOADERS = {
    "load_pretrained": lambda folder: load_pretrained(AutoModelForMaskedLM, folder),
    "load_saved_model": load_saved_model,
    "load_model": lambda folder: load_model(str(folder), "AutoModelForMaskedLM", purpose="a test", device="cpu"),
    "open_base_model": open_base_model,
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("encoder"), "encoder")


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("loader", LOADERS)
def test_files_that_do_not_belong_together_are_named(loader, name, encoder, tmp_path):
    damaged = DAMAGES[name].applied(encoder, tmp_path / "model")
    with pytest.raises((ValueError, FileNotFoundError), match=DAMAGES[name].message) as caught:
        LOADERS[loader](damaged)
    assert str(damaged) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("loader", LOADERS)
def test_files_in_other_forms_are_loaded(loader, name, encoder, tmp_path):
    LOADERS[loader](HARMLESS[name](encoder, tmp_path / "model"))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the address space is of Linux")
@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 10**6, "num_attention_heads": 1},
        {"vocab_size": 10**7},
        {"max_position_embeddings": 10**7},
        {"intermediate_size": 10**7},
        {"num_labels": 10**9},
        {"num_hidden_layers": 10**4},
    ],
)
@pytest.mark.parametrize("family", ["ours", "bert"])
def test_no_memory_is_taken_for_sizes_of_a_configuration_alone(family, fields, encoder, tmp_path):
    if family == "bert":
        save("bert", tmp_path / "model")
    else:
        DAMAGES["vocabulary"].copied(encoder, tmp_path / "model")
    edit(tmp_path / "model", **fields)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limits[1]))
    try:
        with pytest.raises(ValueError, match=next(iter(fields)) if "layers" not in str(fields) else "layers"):
            from_checkpoint(tmp_path / "model") if family == "bert" else load_saved_model(tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("config_class", [vanilla.VanillaEncoderConfig, vanilla.VanillaTransformerConfig])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 10**9}, "hidden_size must be at most 1,000,000, not 1,000,000,000"),
        ({"vocab_size": 2**31}, "vocab_size must be at most"),
        ({"max_position_embeddings": 2**31}, "max_position_embeddings must be at most"),
        ({"position_offset": 2**31, "position_embedding_type": "sinusoidal"}, "position_offset must be at most"),
        ({"max_position_embeddings": 10**6, "position_embedding_type": "sinusoidal"}, "sinusoids grow on demand"),
        ({"num_hidden_layers": 10**9}, "_layers must be at most 10,000"),
        ({"num_hidden_layers": -3}, "_layers must be at least 1, not -3"),
        ({"type_vocab_size": 2**40}, "type_vocab_size must be at most"),
        ({"num_labels": 10**9}, "num_labels must be from 0"),
        ({"hidden_act": "gellu"}, "hidden_act='gellu' is not an activation.*gelu"),
    ],
)
def test_configurations_refuse_sizes_beyond_measure(config_class, fields, message):
    with pytest.raises(Exception, match=message):
        config_class(**fields)


def test_sizes_of_published_models_are_accepted():
    vanilla.VanillaDecoderConfig(hidden_size=12288, num_hidden_layers=96, num_attention_heads=96, vocab_size=256_000)
    vanilla.VanillaTransformerConfig(max_position_embeddings=131_072, hidden_act="silu")


def test_a_head_may_be_new_and_a_backbone_alone(tmp_path):
    tiny_folder(tmp_path / "encoder", vanilla.VanillaEncoderModel)
    check_model_files(tmp_path / "encoder", vanilla.VanillaEncoderForSequenceClassification)
    check_model_files(tmp_path / "encoder", AutoModelForMaskedLM)
    tiny_folder(tmp_path / "head", vanilla.VanillaEncoderForMaskedLM)
    check_model_files(tmp_path / "head", vanilla.VanillaEncoderModel)
    tiny_folder(tmp_path / "both", vanilla.VanillaTransformerModel)
    check_model_files(tmp_path / "both", vanilla.VanillaTransformerForConditionalGeneration)
    for share, tie in ((True, False), (False, True), (False, False)):
        folder = tmp_path / f"{share}{tie}"
        fields = {"share_encoder_decoder_embeddings": share, "tie_word_embeddings": tie}
        tiny_folder(folder, "seq2seq", **fields)
        check_model_files(folder)


def test_layers_that_a_published_model_would_drop_are_named():
    config = BertConfig()
    check_left_over(config, "bert", ["cls.seq_relationship.weight"])
    with pytest.raises(ValueError, match=r"bert contains bert\.encoder\.layer\.7\.output\.dense\.bias"):
        check_left_over(config, "bert", ["bert.encoder.layer.7.output.dense.bias"])


def test_weights_that_are_not_numbers_are_refused_and_large_ones_are_not(tmp_path):
    model = tiny_model("encoder", tiny_tokenizer("encoder")).half()
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.mlp.fc1.weight"
    tensors[name][:] = 60_000.0  # their sum is not finite in half precision
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    assert load_saved_model(tmp_path).dtype == torch.float16
    tensors[name][3, 4] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=rf"1 of 512 weights in {name} that are not numbers"):
        load_saved_model(tmp_path)


def test_the_tensors_of_shards_are_found_in_their_headers(encoder, tmp_path):
    whole = stored_tensors(encoder)
    sharded = stored_tensors(HARMLESS["shards"](encoder, tmp_path / "shards"))
    assert {name: tensor.shape for name, tensor in whole.items()} == {name: t.shape for name, t in sharded.items()}
    assert len({tensor.file for tensor in sharded.values()}) == 2
