"""Tools that walk over the modules of a model find what they look for: dropout, hooks, adapters, outputs as tuples."""

import copy

import pytest
import torch
from peft import LoraConfig, TrainableTokensConfig, get_peft_model
from torch import nn

import hf_vanilla_transformer as vanilla

from ..tiny_models import LANGUAGE_MODELS, tiny_model, tokens

_HEADS = [
    *LANGUAGE_MODELS.values(),
    vanilla.VanillaEncoderForPreTraining,
    vanilla.VanillaEncoderForSequenceClassification,
    vanilla.VanillaEncoderForTokenClassification,
    vanilla.VanillaEncoderForQuestionAnswering,
    vanilla.VanillaEncoderForMultipleChoice,
    vanilla.VanillaEncoderForDependencyParsing,
    vanilla.VanillaEncoderModel,
    vanilla.VanillaDecoderForSequenceClassification,
    vanilla.VanillaDecoderForTokenClassification,
    vanilla.VanillaDecoderForQuestionAnswering,
    vanilla.VanillaDecoderModel,
    vanilla.VanillaTransformerModel,
]


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_setting_p_of_every_dropout_module_switches_dropout_off(stack, implementation):
    model = tiny_model(stack, dropout=0.2, attention_dropout=0.2, activation_dropout=0.2)
    model.set_attn_implementation(implementation)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    inputs = {"input_ids": tokens(2, 7)}
    if stack == "seq2seq":
        inputs["decoder_input_ids"] = tokens(2, 5)
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            assert torch.equal(model.train()(**inputs).logits, model.eval()(**inputs).logits)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_dropout_modules_in_training_mode_drop_in_a_model_in_evaluation_mode(implementation):
    """Monte Carlo dropout. Attention dropout is one of the modules."""
    model = tiny_model("decoder", dropout=0.0, attention_dropout=0.5, noise=0.5).eval()
    model.set_attn_implementation(implementation)
    ids = tokens(2, 7)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model(ids).logits)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.train()
        assert not torch.equal(model(ids).logits, model(ids).logits)


@pytest.mark.parametrize("vocab_size", [50, 90_000])
@pytest.mark.parametrize(
    "hook", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
             "register_full_backward_pre_hook"]
)  # fmt: skip
def test_a_hook_on_the_head_fires_in_training(hook, vocab_size):
    model = tiny_model("decoder", vocab_size=vocab_size).train()
    fired = []
    getattr(model.lm_head, hook)(lambda *_: fired.append(hook))
    ids = tokens(2, 10)
    model(ids, labels=ids).loss.backward()
    assert fired == [hook]


def test_a_hook_on_every_module_fires_on_the_head():
    model = tiny_model("decoder", vocab_size=90_000).train()
    ids, seen = tokens(2, 10), []
    handle = nn.modules.module.register_module_full_backward_hook(lambda module, *_: seen.append(module))
    try:
        model(ids, labels=ids).loss.backward()
    finally:
        handle.remove()
    assert model.lm_head in seen


@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
@pytest.mark.parametrize(
    "adapter",
    [
        LoraConfig(target_modules=["q_proj"], trainable_token_indices=[8, 9]),
        TrainableTokensConfig(token_indices=[8, 9]),
        LoraConfig(target_modules=["q_proj", "embed_tokens"]),
    ],
    ids=["lora and tokens", "tokens", "lora on embeddings"],
)
def test_adapters_of_embeddings_train(stack, adapter):
    if stack == "seq2seq" and isinstance(adapter, TrainableTokensConfig):
        pytest.skip("PEFT wraps tied tables of two stacks twice, in Marian as well")
    model = get_peft_model(tiny_model(stack), copy.deepcopy(adapter)).train()
    ids = tokens(2, 6)
    model(input_ids=ids, labels=ids).loss.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained and any(parameter.grad is not None for parameter in trained)


@pytest.mark.parametrize("model_class", _HEADS, ids=lambda model_class: model_class.__name__)
def test_return_dict_false_in_the_configuration_gives_the_tuple_of_the_outputs(model_class):
    model = tiny_model(model_class).eval()
    inputs = {"input_ids": tokens(2, 6)}
    if model_class is vanilla.VanillaEncoderForMultipleChoice:
        inputs["input_ids"] = tokens(2, 6)[None]
    if model_class.__name__.startswith("VanillaTransformer"):
        inputs["decoder_input_ids"] = tokens(2, 4)
    if not model_class.__name__.startswith("VanillaEncoder"):
        inputs["use_cache"] = False
    with torch.no_grad():
        expected = model(**inputs).to_tuple()
        for module in model.modules():
            if hasattr(module, "config"):
                module.config.return_dict = False
        found = model(**inputs)
    assert type(found) is tuple
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("model_class", _HEADS, ids=lambda model_class: model_class.__name__)
def test_modules_have_the_very_types_that_tools_look_for(model_class):
    """Quantization and adapters ask `type(module) is nn.Linear`. No tool asks that for dropout."""
    for name, module in tiny_model(model_class).named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding, nn.LayerNorm)):
            assert type(module) in (nn.Linear, nn.Embedding, nn.LayerNorm), name
    stacks = [module for module in tiny_model(model_class).modules() if hasattr(module, "embed_positions")]
    assert stacks and all(hasattr(stack.embed_positions, "weight") for stack in stacks if _learned(stack))


def _learned(stack):
    return stack.config.position_embedding_type == "learned"


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_tables_of_positions_can_be_wrapped_and_replaced(stack):
    """PEFT wraps a table, and quantization replaces it by a module that takes only ids."""

    class Replacement(nn.Module):
        def __init__(self, table):
            super().__init__()
            self.rows = table.weight.detach().half()

        def forward(self, ids):
            return self.rows[ids].float()

    ids = tokens(2, 6)
    adapted = get_peft_model(tiny_model(stack), LoraConfig(target_modules=["embed_positions"])).train()
    adapted(input_ids=ids, labels=ids).loss.backward()
    assert any("embed_positions" in name and one.grad is not None for name, one in adapted.named_parameters())
    model = tiny_model(stack)
    expected = model(ids).logits
    model.model.embed_positions = Replacement(model.model.embed_positions)
    torch.testing.assert_close(model(ids).logits, expected, rtol=0, atol=5e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stack", ["encoder", "decoder", "seq2seq"])
def test_dynamic_quantization_takes_every_linear_map(stack):
    model = tiny_model(stack)
    maps = sum(isinstance(module, nn.Linear) for module in model.modules())
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert sum(isinstance(one, torch.ao.nn.quantized.dynamic.Linear) for one in quantized.modules()) == maps
    inputs = {"decoder_input_ids": tokens(1, 4)} if stack == "seq2seq" else {}
    with torch.no_grad():
        assert quantized(tokens(1, 6), **inputs).logits.isfinite().all()
