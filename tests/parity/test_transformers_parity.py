"""Our models and those of transformers with the same weights have equal logits, losses, gradients and tokens."""

import pytest
import torch

from benchmarks.parity import (
    SMALL_CONFIGS,
    TOLERANCE,
    all_heads,
    attentions,
    compare,
    generated,
    inputs,
    main,
    precisions,
    same_tokens,
    small_transformers_model,
)
from hf_vanilla_transformer.conversion import from_transformers
from hf_vanilla_transformer.conversion.families import FAMILIES

from ..old_transformers import CACHED_FSMT

HEADS = [pytest.param(family, head, id=head.theirs) for family, head in all_heads()]
GENERATIVE = [
    pytest.param(family, head, id=head.theirs, marks=[CACHED_FSMT] if family.model_type == "fsmt" else [])
    for family, head in all_heads()
    if head.language_model and family.stack != "vanilla_encoder"
]


def test_every_family_is_compared():
    assert FAMILIES.keys() == SMALL_CONFIGS.keys()


# float32 with every padding; float64 with padding on the left, the rest is slow.
@pytest.mark.parametrize(
    ("dtype", "padding"),
    [
        pytest.param(
            dtype,
            padding,
            id=f"{dtype}-{padding}",
            marks=() if dtype == torch.float32 or padding == "left" else pytest.mark.slow,
        )
        for dtype in TOLERANCE
        for padding in ("none", "right", "left")
    ],
)
@pytest.mark.parametrize(("family", "head"), HEADS)
def test_logits_loss_and_gradients(family, head, dtype, padding):
    if dtype not in precisions(family):
        pytest.skip(f"transformers' {head.theirs} does not compute in {dtype}")
    for attention in attentions(family, dtype):
        difference = compare(family, head, padding, attention, dtype)
        assert difference.logits <= TOLERANCE[dtype]
        assert difference.logits_out <= TOLERANCE[dtype]
        assert difference.loss <= TOLERANCE[dtype]
        assert difference.gradients <= TOLERANCE[dtype]


@pytest.mark.parametrize(("family", "head"), GENERATIVE)
def test_generated_tokens_are_equal(family, head):
    ways = same_tokens(family, head)
    assert len(ways) == (2 if family.model_type == "fsmt" else 4)
    assert all(ways.values()), ways


@pytest.mark.parametrize(("family", "head"), GENERATIVE)
def test_generated_tokens_vary(family, head):
    # Equal tokens would prove little if they were constant.
    tokens = generated(from_transformers(small_transformers_model(family, head)), family, beams=1, use_cache=True)
    assert len(tokens.unique()) > 6


@pytest.mark.parametrize(
    "family_name",
    ["bert", "distilbert", "electra", "gpt2", "openai-gpt", "xglm", "biogpt", "marian", "bart", "m2m_100"],
)
def test_untied_embeddings(family_name):
    family = FAMILIES[family_name]
    head = next(head for head in family.heads if head.language_model)
    difference = compare(family, head, tie_word_embeddings=False)
    assert max(difference.logits, difference.loss, difference.gradients) <= 1e-5


@pytest.mark.parametrize("head", FAMILIES["electra"].heads, ids=lambda head: head.theirs)
def test_electra_with_embeddings_of_hidden_size(head):
    family = FAMILIES["electra"]
    ours = from_transformers(small_transformers_model(family, head, embedding_size=32))
    assert ours.config.embedding_size is None
    difference = compare(family, head, embedding_size=32)
    assert max(difference.logits, difference.logits_out, difference.loss, difference.gradients) <= 1e-5


def test_marian_with_separate_embeddings_for_source_and_target():
    family = FAMILIES["marian"]
    difference = compare(family, family.heads[1], share_encoder_decoder_embeddings=False)
    assert max(difference.logits, difference.loss, difference.gradients) <= 1e-5


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu"])
def test_activations_of_gpt_1_under_its_own_names(activation):
    family = FAMILIES["openai-gpt"]
    assert compare(family, family.heads[1], afn=activation).logits <= 1e-5


def test_fsmt_with_one_embedding_matrix():
    family = FAMILIES["fsmt"]
    difference = compare(family, family.heads[0], tie_word_embeddings=True)
    assert max(difference.logits, difference.loss, difference.gradients) <= 1e-5


@pytest.mark.parametrize("family_name", ["xglm", "m2m_100", "fsmt", "marian"])
def test_sinusoids_of_large_positions(family_name):
    # In float32, rounding of the angles at position 1000 exceeds the tolerance, so both must round equally.
    family = FAMILIES[family_name]
    reference = small_transformers_model(family, family.heads[-1], max_position_embeddings=1100)
    ours = from_transformers(reference)
    ids = torch.randint(5, 60, (1, 1050), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        arguments = {"input_ids": ids}
        if family.stack == "vanilla_transformer":
            arguments = {"input_ids": ids[:, :4], "decoder_input_ids": ids, "use_cache": False}
        assert (reference(**arguments).logits - ours(**arguments).logits).abs().max() <= 1e-5


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("positions", [[7, 8, 9, 10, 11], [0, 0, 0, 0, 0], [0, 3, 4, 9, 12], [0, 1, 0, 1, 2]], ids=str)
@pytest.mark.parametrize("family_name", ["bert", "gpt2"])
def test_explicit_positions_beside_a_mask(family_name, positions, attention):
    family = FAMILIES[family_name]
    head = next(head for head in family.heads if head.language_model)
    reference = small_transformers_model(family, head)
    reference.set_attn_implementation(attention)
    ours = from_transformers(reference)
    ours.set_attn_implementation(attention)
    ids = torch.tensor([[5, 9, 12, 7, 6], [8, 4, 11, 5, 10]])
    arguments = {"attention_mask": torch.ones_like(ids), "position_ids": torch.tensor([positions] * 2)}
    assert (reference(ids, **arguments).logits - ours(ids, **arguments).logits).abs().max() <= 1e-5


def test_left_and_right_padding_mask_different_tokens():
    family, head = next(all_heads())
    masks = {padding: inputs(family, head, padding)[0]["attention_mask"] for padding in ("none", "right", "left")}
    assert masks["none"].all()
    assert masks["right"][:, 0].all()
    assert masks["left"][:, -1].all()
    assert not masks["right"].equal(masks["left"])


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "parity.json"
    assert main(["--family", "gpt2", "--json", str(path)]) == 0
    assert "| GPT2LMHeadModel | VanillaDecoderForCausalLM |" in capsys.readouterr().out
    assert '"within_float64": true' in path.read_text()
