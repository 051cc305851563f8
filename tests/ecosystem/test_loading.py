"""Loading with accelerate's device maps, in the type that was saved, and with torchao's int8 weights."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from hf_vanilla_transformer.models.layers_vanilla import TransformerLayer
from tests.tiny_models import tiny_model, tokens

AUTO_CLASSES = {"encoder": AutoModelForMaskedLM, "decoder": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}
IDS = tokens(3, 9)


def logits(model):
    arguments = {"decoder_input_ids": IDS[:, :5]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model.eval()(input_ids=IDS, **arguments).logits


def places(model, prefix=""):
    """Each smallest part of a model that stays together: modules down to the layer, the last layer on disk."""
    found = {}
    for name, child in model.named_children():
        inside = not isinstance(child, TransformerLayer) and any(child.children())
        found |= places(child, f"{prefix}{name}.") if inside else {f"{prefix}{name}": "cpu"}
    return found


@pytest.fixture(params=AUTO_CLASSES)
def saved(request, tmp_path):
    model = tiny_model(request.param, noise=0.2)
    model.save_pretrained(tmp_path / "model")
    return AUTO_CLASSES[request.param], tmp_path / "model", model


def test_an_automatic_device_map(saved):
    auto_class, folder, model = saved
    loaded = auto_class.from_pretrained(folder, device_map="auto")
    torch.testing.assert_close(logits(loaded).cpu(), logits(model), rtol=0, atol=1e-5)


def test_layers_left_on_disk(saved, tmp_path):
    auto_class, folder, model = saved
    device_map = places(model)
    on_disk = [name for name in device_map if name.endswith("layers.1")]
    assert on_disk
    device_map |= dict.fromkeys(on_disk, "disk")
    loaded = auto_class.from_pretrained(folder, device_map=device_map, offload_folder=tmp_path / "offloaded")
    assert any(parameter.device.type == "meta" for parameter in loaded.parameters())
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_type_that_was_saved(saved, dtype, tmp_path):
    auto_class, _, model = saved
    model.to(dtype).save_pretrained(tmp_path / "typed")
    loaded = auto_class.from_pretrained(tmp_path / "typed", dtype="auto")
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    # A table of sinusoids is built in the type of the model; converted later, it has the digits of float32.
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=1e-5)


def test_int8_weights_of_torchao(saved):
    torchao = pytest.importorskip("torchao.quantization")
    from transformers import TorchAoConfig

    auto_class, folder, model = saved
    settings = TorchAoConfig(torchao.Int8WeightOnlyConfig())
    loaded = auto_class.from_pretrained(folder, quantization_config=settings, device_map="cpu")
    rounded = {
        name
        for name, module in loaded.named_modules()
        if isinstance(module, torch.nn.Linear) and type(module.weight.data) is not torch.Tensor
    }
    assert {name.rsplit(".", 1)[-1] for name in rounded} >= {"q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"}
    assert not any(name.endswith("lm_head") for name in rounded)
    expected, found = logits(model), logits(loaded)
    assert 0 < (found - expected).abs().max() < 0.1 * expected.abs().max()
    if model.can_generate():
        generated = loaded.generate(IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=4, do_sample=False)
        assert generated.shape[0] == 3
