"""Layers against their definitions: sinusoids, dropout, residuals, padding."""

import math

import pytest
import torch
from transformers.activations import ACT2FN
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

from hf_vanilla_transformer import VanillaEncoderModel, VanillaTransformerConfig
from hf_vanilla_transformer.models.attention_vanilla import SelfAttention, eager_attention_forward
from hf_vanilla_transformer.models.kernels_activation_vanilla import activation
from hf_vanilla_transformer.models.kernels_attention_vanilla import plain_sdpa_forward
from hf_vanilla_transformer.models.kernels_dropout_vanilla import Dropout
from hf_vanilla_transformer.models.layers_vanilla import SinusoidalPositions, TransformerLayer

from ..tiny_models import tiny_model, tokens


def test_interleaved_sinusoids_are_those_of_section_3_5():
    table = SinusoidalPositions(VanillaTransformerConfig(hidden_size=8, num_attention_heads=2)).table
    for position in (0, 1, 7, 500):
        for i in range(4):
            angle = position / 10000 ** (2 * i / 8)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-7)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-7)


def test_the_other_layouts_reorder_or_respace_the_same_functions():
    fields = {"hidden_size": 8, "num_attention_heads": 2}
    interleaved = SinusoidalPositions(VanillaTransformerConfig(**fields)).table
    halves = SinusoidalPositions(VanillaTransformerConfig(**fields, position_embedding_type="sinusoidal_concat")).table
    torch.testing.assert_close(halves, torch.cat([interleaved[:, 0::2], interleaved[:, 1::2]], -1), rtol=0, atol=0)
    respaced = SinusoidalPositions(VanillaTransformerConfig(**fields, position_embedding_type="sinusoidal_t2t")).table
    assert respaced[5, 3].item() == pytest.approx(math.sin(5 / 10000), abs=1e-7), "the last frequency is 1/10000"
    assert respaced[5, 7].item() == pytest.approx(math.cos(5 / 10000), abs=1e-7)


def test_sinusoids_survive_a_model_without_values():
    """Models for many devices are built without memory, then get some, then a checkpoint; it has no sinusoids."""
    model = tiny_model("seq2seq")
    inputs = {"input_ids": tokens(2, 7), "decoder_input_ids": tokens(2, 5)}
    with torch.device("meta"):
        empty = type(model)(model.config)
    empty.to_empty(device="cpu").load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(empty.eval()(**inputs).logits, model(**inputs).logits)


def test_sinusoids_grow_beyond_the_table_and_learned_positions_end():
    short = tiny_model("seq2seq", max_position_embeddings=8)
    long = tiny_model("seq2seq", max_position_embeddings=64)
    ids = tokens(1, 20)
    torch.testing.assert_close(short(input_ids=ids, labels=ids).logits, long(input_ids=ids, labels=ids).logits)
    learned = tiny_model("encoder", max_position_embeddings=8)
    with pytest.raises(ValueError, match=r"20.*max_position_embeddings=8"):
        learned(input_ids=ids)
    with pytest.raises(ValueError, match="max_position_embeddings=8"):
        tiny_model("decoder", max_position_embeddings=8).generate(tokens(1, 5), max_new_tokens=6, min_new_tokens=6)


@pytest.mark.parametrize("probability", [0.002, 0.1, 0.3, 0.5, 0.998])
def test_dropout_drops_with_its_probability_and_keeps_the_mean(probability):
    torch.manual_seed(0)
    dropout = Dropout(probability).train()
    states = torch.ones(1_000_003)
    dropped = dropout(states)
    deviation = math.sqrt(probability * (1 - probability) / len(states))
    assert (dropped == 0).double().mean().item() == pytest.approx(probability, abs=4 * deviation)
    assert dropped.double().mean().item() == pytest.approx(1.0, abs=4 * deviation / (1 - probability))
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - probability)), rtol=1e-4, atol=0)


def test_dropout_is_independent_between_elements_repeatable_and_off_in_evaluation():
    dropout = Dropout(0.5).train()
    torch.manual_seed(1)
    first = dropout(torch.ones(64, 256)) != 0
    torch.manual_seed(1)
    assert torch.equal(first, dropout(torch.ones(64, 256)) != 0)
    assert not torch.equal(first, dropout(torch.ones(64, 256)) != 0)
    correlation = torch.corrcoef(first.float().T)
    assert correlation.fill_diagonal_(0).abs().max() < 0.65, "64 draws a column: five deviations are 0.63"
    states = torch.randn(3, 5)
    assert dropout.eval()(states) is states


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_dropout_passes_gradients_where_it_kept(dtype):
    states = torch.ones(7, 3, requires_grad=True, dtype=dtype)
    dropped = Dropout(0.4).train()(states)
    dropped.sum().backward()
    torch.testing.assert_close(states.grad, dropped.detach())


def test_gelu_of_gpt_is_the_formula_and_its_derivative():
    x = torch.linspace(-9, 9, 1001, dtype=torch.float64, requires_grad=True)
    outputs = [activation("gelu_new")(x), ACT2FN["gelu_new"](x)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-12)
    weights = torch.randn_like(x)
    slopes = [torch.autograd.grad((output * weights).sum(), x)[0] for output in outputs]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)
    torch.testing.assert_close(activation("gelu_new")(x.detach()), outputs[0].detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_layer_is_figure_1_written_out(norm_first):
    """Against torch's own layer, which has both orders of normalisation."""
    torch.manual_seed(0)
    config = VanillaTransformerConfig(
        hidden_size=16, num_attention_heads=4, intermediate_size=32, norm_first=norm_first, attn_implementation="eager"
    )
    ours = TransformerLayer(config, 0, is_causal=False, add_cross_attention=True).double().eval()
    theirs = torch.nn.TransformerDecoderLayer(
        16, 4, 32, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
    ).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3)
        for attention, reference in ((ours.self_attn, theirs.self_attn), (ours.cross_attn, theirs.multihead_attn)):
            projections = (attention.q_proj, attention.k_proj, attention.v_proj)
            reference.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
            reference.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
            reference.out_proj.load_state_dict(attention.o_proj.state_dict())
        theirs.linear1.load_state_dict(ours.mlp.fc1.state_dict())
        theirs.linear2.load_state_dict(ours.mlp.fc2.state_dict())
        for norm, reference in zip(
            (ours.self_attn_norm, ours.cross_attn_norm, ours.mlp_norm), (theirs.norm1, theirs.norm2, theirs.norm3)
        ):
            reference.load_state_dict(norm.state_dict())
    states, source = torch.randn(2, 5, 16, dtype=torch.float64), torch.randn(2, 7, 16, dtype=torch.float64)
    torch.testing.assert_close(ours(states, source), theirs(states, source), rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [6, 20])
@pytest.mark.parametrize("is_causal", [None, True, False])
@pytest.mark.parametrize("module_is_causal", [True, False])
def test_attention_written_out_is_that_of_sdpa(module_is_causal, is_causal, length):
    torch.manual_seed(0)
    config = VanillaTransformerConfig(hidden_size=16, num_attention_heads=4)
    module = SelfAttention(config, 0, module_is_causal).train()
    states = torch.randn(3, 2, 4, length, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(2, 1, length, length) > 0.3
    mask |= torch.eye(length, dtype=torch.bool)
    for allowed in (None, mask):
        ours, theirs = (
            function(module, *states, allowed, scaling=0.5, is_causal=is_causal)[0]
            for function in (plain_sdpa_forward, ALL_ATTENTION_FUNCTIONS["sdpa"])
        )
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        gradients = (torch.autograd.grad(output.sin().sum(), states)[0] for output in (ours, theirs))
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_padding_on_either_side_changes_nothing(implementation, norm_first):
    model = tiny_model("encoder", norm_first=norm_first)
    model.set_attn_implementation(implementation)
    ids, padding = tokens(2, 6), torch.zeros(2, 3, dtype=torch.long)
    kept, gone = torch.ones_like(ids), torch.zeros_like(padding)
    alone = model(input_ids=ids).logits
    right = model(input_ids=torch.cat([ids, padding], 1), attention_mask=torch.cat([kept, gone], 1)).logits
    left = model(input_ids=torch.cat([padding, ids], 1), attention_mask=torch.cat([gone, kept], 1)).logits
    torch.testing.assert_close(right[:, :6], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(left[:, 3:], alone, rtol=0, atol=1e-5)


def test_positions_may_count_columns_instead():
    model = tiny_model("encoder", positions_from_mask=False)
    ids = tokens(1, 6)
    padded = {"input_ids": torch.nn.functional.pad(ids, (3, 0)), "attention_mask": torch.tensor([[0] * 3 + [1] * 6])}
    shifted = model(input_ids=ids, position_ids=torch.arange(3, 9)[None]).logits
    torch.testing.assert_close(model(**padded).logits[:, 3:], shifted)


def test_ids_beyond_the_vocabulary_are_named():
    with pytest.raises(ValueError, match=r"input_ids.*50.*49"):
        tiny_model("encoder")(input_ids=torch.tensor([[4, 50]]))
    with pytest.raises(ValueError, match=r"input_ids.*-1"):
        tiny_model("seq2seq")(input_ids=torch.tensor([[4, 5]]), decoder_input_ids=torch.tensor([[-1]]))


def test_exactly_one_of_ids_and_embeddings():
    model = VanillaEncoderModel(tiny_model("encoder").config)
    with pytest.raises(ValueError, match=r"input_ids.*inputs_embeds.*neither"):
        model()
    with pytest.raises(ValueError, match=r"input_ids.*inputs_embeds.*both"):
        model(tokens(1, 3), inputs_embeds=torch.randn(1, 3, 16))


def test_segments_need_a_model_that_has_them():
    model = tiny_model("encoder", type_vocab_size=0)
    with pytest.raises(ValueError, match=r"token_type_ids.*type_vocab_size=0"):
        model(input_ids=tokens(1, 3), token_type_ids=torch.tensor([[0, 1, 1]]))


def test_a_kernel_that_a_user_registers_is_called():
    shapes = []

    def kernel(module, query, key, value, attention_mask, **kwargs):
        shapes.append(tuple(query.shape))
        return eager_attention_forward(module, query, key, value, attention_mask, **kwargs)

    AttentionInterface.register("kernel_of_a_user", kernel)
    AttentionMaskInterface.register("kernel_of_a_user", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model = tiny_model("decoder")
    expected = model(input_ids=tokens(2, 6)).logits
    model.set_attn_implementation("kernel_of_a_user")
    torch.testing.assert_close(model(input_ids=tokens(2, 6)).logits, expected)
    assert shapes == [(2, 2, 6, 8)] * 2


def test_an_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="no_such_kernel"):
        tiny_model("decoder").set_attn_implementation("no_such_kernel")
