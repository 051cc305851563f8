"""Import and export of a transformers model give the same model bit by bit, and do not change the original."""

import copy
import logging

import pytest
import torch
import transformers

from benchmarks.parity import all_heads, inputs, small_transformers_model
from hf_vanilla_transformer import from_transformers, to_transformers
from hf_vanilla_transformer.conversion.families import FAMILIES

HEADS = [pytest.param(family, head, id=head.theirs) for family, head in all_heads()]
# Unused rows of position tables.
SPARE_ROWS = dict.fromkeys(("roberta", "xlm-roberta", "camembert", "opt", "biogpt", "bart", "mbart"), 2)


def without_spare_rows(family, name, tensor):
    rows = SPARE_ROWS.get(family.model_type, 0)
    return tensor[rows:] if rows and ("embed_positions" in name or "position_embeddings" in name) else tensor


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_all_saved_tensors_are_restored(family, head):
    reference = small_transformers_model(family, head)
    back = to_transformers(from_transformers(reference), family=family.model_type)
    assert type(back) is type(reference)
    before, after = reference.state_dict(), back.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(without_spare_rows(family, name, tensor), without_spare_rows(family, name, after[name])), (
            name
        )


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_the_configuration_is_restored(family, head):
    reference = small_transformers_model(family, head)
    before, after = (
        reference.config.to_dict(),
        to_transformers(from_transformers(reference), family=family.model_type).config.to_dict(),
    )
    # Base models do not generate, so these fields are the defaults of the class.
    generation = {"forced_eos_token_id"} if not reference.can_generate() else set()
    ignored = {"architectures", "dtype", "transformers_version", "n_inner", *generation}
    differing = {name for name in before if before[name] != after.get(name)} - ignored
    assert not differing, {name: (before[name], after.get(name)) for name in differing}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_type_and_mode_are_kept(dtype, training):
    family = FAMILIES["gpt2"]
    reference = small_transformers_model(family, family.heads[1], dtype=dtype).train(training)
    ours = from_transformers(reference)
    back = to_transformers(ours)
    for model in (ours, back):
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}
        assert all(module.training == training for module in model.modules())


@pytest.mark.parametrize("family_name", ["bert", "marian", "m2m_100"])
def test_the_original_model_and_the_random_state_are_not_changed(family_name):
    family = FAMILIES[family_name]
    reference = small_transformers_model(family, family.heads[1])
    weights = copy.deepcopy(reference.state_dict())
    config = reference.config.to_dict()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    ours = from_transformers(reference)
    assert torch.equal(torch.rand(3), expected)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
    assert all(torch.equal(weights[name], tensor) for name, tensor in reference.state_dict().items())
    assert reference.config.to_dict() == config

    ours = from_transformers(reference)
    weights, config = copy.deepcopy(ours.state_dict()), ours.config.to_dict()
    back = to_transformers(ours)
    with torch.no_grad():
        for parameter in back.parameters():
            parameter.zero_()
    assert all(torch.equal(weights[name], tensor) for name, tensor in ours.state_dict().items())
    assert ours.config.to_dict() == config


def test_attention_and_generation_settings_are_kept():
    family = FAMILIES["bart"]
    reference = small_transformers_model(family, family.heads[1])
    reference.set_attn_implementation("eager")
    reference.generation_config.num_beams = 5
    reference.generation_config.length_penalty = 0.6
    ours = from_transformers(reference)
    assert ours.config._attn_implementation == "eager"
    assert ours.model.encoder.config._attn_implementation == "eager"
    assert ours.generation_config.to_dict() == reference.generation_config.to_dict()
    assert ours.generation_config is not reference.generation_config
    back = to_transformers(ours)
    assert back.generation_config.to_dict() == reference.generation_config.to_dict()
    assert back.config.forced_eos_token_id == reference.config.forced_eos_token_id == 2
    assert back.config._attn_implementation == "eager"


def test_labels_are_kept():
    family = FAMILIES["bert"]
    head = next(head for head in family.heads if "SequenceClassification" in head.theirs)
    reference = small_transformers_model(
        family, head, id2label={0: "no", 1: "yes"}, num_labels=2, problem_type="regression"
    )
    for model in (from_transformers(reference), to_transformers(from_transformers(reference))):
        assert model.config.id2label == {0: "no", 1: "yes"}
        assert model.config.problem_type == "regression"


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_the_exported_model_saves_and_loads_without_a_warning(family, head, tmp_path, caplog):
    exported = to_transformers(from_transformers(small_transformers_model(family, head)), family=family.model_type)
    transformers.utils.logging.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            caplog.clear()  # a command that ran before lets our own notes through
            exported.save_pretrained(tmp_path)
            loaded, information = type(exported).from_pretrained(tmp_path, output_loading_info=True)
    finally:
        transformers.utils.logging.disable_propagation()
    assert not caplog.records, caplog.text
    assert not any(information.values()), information
    arguments, _ = inputs(family, head, "right")
    with torch.no_grad():
        for name in ("labels", "next_sentence_label", "start_positions", "end_positions"):
            arguments.pop(name, None)
        if family.stack == "vanilla_transformer":
            arguments.setdefault("decoder_input_ids", torch.tensor([[3, 5, 7, 9]] * len(arguments["attention_mask"])))
        torch.testing.assert_close(loaded(**arguments)[0], exported.eval()(**arguments)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family_name", ["bert", "gpt2", "opt", "marian", "bart", "m2m_100"])
def test_an_imported_model_computes_the_same_after_saving_and_loading(family_name, tmp_path):
    family = FAMILIES[family_name]
    head = next(head for head in family.heads if head.language_model)
    reference = small_transformers_model(family, head)
    ours = from_transformers(reference)
    ours.save_pretrained(tmp_path)
    loaded = type(ours).from_pretrained(tmp_path)
    arguments, kept = inputs(family, head, "right")
    arguments.pop("labels")
    if family.stack == "vanilla_transformer":
        arguments["decoder_input_ids"] = arguments["input_ids"][:, :4]
        kept = torch.ones(3, 4, dtype=torch.bool)
    with torch.no_grad():
        assert (loaded(**arguments).logits - reference(**arguments).logits)[kept].abs().max() <= 1e-5
