"""Conversion of published checkpoints: one file, shards, base models, task heads."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.parity import all_heads, generated
from hf_vanilla_transformer import from_checkpoint, to_transformers
from hf_vanilla_transformer.conversion.checkpoint import HEADS as HEAD_NAMES
from hf_vanilla_transformer.conversion.checkpoint import head_name
from hf_vanilla_transformer.conversion.families import FAMILIES
from hf_vanilla_transformer.conversion.output_difference import largest_difference

from ..old_transformers import CACHED_FSMT
from .saved import main_head, save

HEADS = [pytest.param(family, head, id=head.theirs) for family, head in all_heads()]
ALL = [pytest.param(family, id=name) for name, family in FAMILIES.items()]
WITH_BASE = [pytest.param(family, id=name) for name, family in FAMILIES.items() if family.heads[0].base]
GENERATIVE = [
    pytest.param(family, id=name, marks=[CACHED_FSMT] if name == "fsmt" else [])
    for name, family in FAMILIES.items()
    if family.stack != "vanilla_encoder"
]


def test_the_families_of_the_documentation_exist():
    assert set(FAMILIES) == {
        *("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra"),
        *("openai-gpt", "gpt2", "opt", "xglm", "biogpt"),
        *("marian", "fsmt", "bart", "mbart", "pegasus", "m2m_100"),
        "speech_to_text",
    }


def test_every_head_has_a_name():
    assert {head_name(head) for _, head in all_heads()} == set(HEAD_NAMES)


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_one_file_with_any_head(family, head, tmp_path):
    reference = save(family, tmp_path, head)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    ours = from_checkpoint(tmp_path)
    assert type(ours).__name__ == head.ours
    assert not ours.training
    assert largest_difference(reference, ours) <= 1e-5


@pytest.mark.parametrize("family", ALL)
def test_shards_and_the_conversion_back(family, tmp_path):
    reference = save(family, tmp_path, shard="20KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    ours = from_checkpoint(str(tmp_path))
    assert largest_difference(reference, ours) <= 1e-5
    back = to_transformers(ours, family=family.model_type)
    assert type(back) is type(reference)
    assert largest_difference(back, ours) <= 1e-5
    positions = ("embed_positions.weight", "position_embeddings.weight")  # with unused rows
    for name, tensor in reference.state_dict().items():
        assert name.endswith(positions) or torch.equal(tensor, back.state_dict()[name]), name


@pytest.mark.parametrize("family", WITH_BASE)
def test_the_base_model_of_a_checkpoint_with_a_head(family, tmp_path):
    reference = save(family, tmp_path)
    ours = from_checkpoint(tmp_path, head="base")
    assert type(ours).__name__ == family.heads[0].ours
    assert getattr(ours, "pooler", None) is None
    assert largest_difference(reference.base_model, ours) <= 1e-5


@pytest.mark.parametrize("family", [param for param in WITH_BASE if param.values[0].stack != "vanilla_encoder"])
def test_a_saved_base_model_generates_with_its_embeddings_as_head(family, tmp_path):
    # facebook/bart-base is saved as BartModel.
    save(family, tmp_path, family.heads[0])
    ours = from_checkpoint(tmp_path, head=head_name(main_head(family)))
    reference = type(to_transformers(ours, family=family.model_type)).from_pretrained(tmp_path).eval()
    assert largest_difference(reference, ours) <= 1e-5


@pytest.mark.parametrize("family", GENERATIVE)
def test_the_same_tokens_are_generated(family, tmp_path):
    reference = save(family, tmp_path)
    ours = from_checkpoint(tmp_path)
    tokens = [generated(model, family, beams=1, use_cache=True) for model in (reference, ours)]
    assert torch.equal(*tokens)
    assert len(tokens[0].unique()) > 4


def test_generation_settings_are_converted(tmp_path):
    reference = save("marian", tmp_path)
    reference.generation_config.update(num_beams=6, max_length=51, bad_words_ids=[[5]], forced_eos_token_id=2)
    reference.generation_config.save_pretrained(tmp_path)
    assert from_checkpoint(tmp_path).generation_config.to_dict() == reference.generation_config.to_dict() | {
        "transformers_version": from_checkpoint(tmp_path).generation_config.transformers_version
    }


def test_the_encoder_of_an_electra_discriminator(tmp_path):
    from transformers import ElectraConfig, ElectraForPreTraining

    from benchmarks.parity import SMALL_CONFIGS

    discriminator = ElectraForPreTraining(ElectraConfig(**SMALL_CONFIGS["electra"])).eval()
    discriminator.save_pretrained(tmp_path)
    ours = from_checkpoint(tmp_path)
    assert type(ours).__name__ == "VanillaEncoderModel"
    assert ours.pooler is None
    assert largest_difference(discriminator.electra, ours) <= 1e-5


def test_a_pretraining_checkpoint_has_a_masked_language_model_and_a_pooler(tmp_path):
    reference = save("bert", tmp_path, "BertForPreTraining")
    config = json.loads((tmp_path / "config.json").read_text())
    # Like google-bert/bert-base-uncased, which has the weights of both heads.
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    ours = from_checkpoint(tmp_path)
    assert type(ours).__name__ == "VanillaEncoderForMaskedLM"
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(ours(ids).logits, reference(ids).prediction_logits, rtol=0, atol=1e-5)
    pooled = from_checkpoint(tmp_path, head="base")(ids).pooler_output
    torch.testing.assert_close(pooled, reference.bert(ids).pooler_output, rtol=0, atol=1e-5)


def test_names_and_buffers_of_old_checkpoints(tmp_path):
    reference = save("bert", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): value for name, value in tensors.items()}
    old = {name.replace("LayerNorm.bias", "LayerNorm.beta"): value for name, value in old.items()}
    old["bert.embeddings.position_ids"] = torch.arange(40)[None]
    save_file(old, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert largest_difference(reference, from_checkpoint(tmp_path)) <= 1e-5


@pytest.mark.parametrize("family_name", ["gpt2", "openai-gpt"])
def test_names_and_buffers_of_the_first_gpts(family_name, tmp_path):
    """openai-community/gpt2 is a language model with the names of the base model, and with masks of each layer."""
    reference = save(family_name, tmp_path)
    tensors = {name.removeprefix("transformer."): value for name, value in reference.state_dict().items()}
    del tensors["lm_head.weight"]
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(40, 40))[None, None]
    save_file(
        {name: value.clone() for name, value in tensors.items()}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    ours = from_checkpoint(tmp_path)
    assert type(ours).__name__ == "VanillaDecoderForCausalLM"
    assert largest_difference(reference, ours) <= 1e-5


def test_fsmt_saved_before_transformers_5(tmp_path):
    """These checkpoints have no positions and no output matrix, which was the target embeddings."""
    reference = save("fsmt", tmp_path)
    reference.model.decoder.output_projection.weight.data.copy_(reference.model.decoder.embed_tokens.weight)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {
        name: value for name, value in tensors.items() if "output_projection" not in name and "positions" not in name
    }
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    assert largest_difference(reference, from_checkpoint(tmp_path)) <= 1e-5


def test_dtype_is_the_saved_one_unless_requested(tmp_path):
    save("opt", tmp_path, dtype=torch.float16)
    assert from_checkpoint(tmp_path).dtype == torch.float16
    assert from_checkpoint(tmp_path, dtype=torch.float32).dtype == torch.float32


def test_a_model_in_the_cache_of_the_hub_client(tmp_path):
    """The cache of `huggingface_hub` has blobs, snapshots with links to blobs, and refs."""
    reference = save("gpt2", tmp_path / "saved")
    repository = tmp_path / "hub" / "models--someone--a-model"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for path in (tmp_path / "saved").iterdir():
        shutil.copyfile(path, repository / "blobs" / path.name)
        (snapshot / path.name).symlink_to(repository / "blobs" / path.name)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    ours = from_checkpoint("someone/a-model", cache_dir=tmp_path / "hub", local_files_only=True)
    assert largest_difference(reference, ours) <= 1e-5
    assert "hf_secret" not in repr(ours.config)
