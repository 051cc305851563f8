"""PEFT's low-rank adapters on all three stacks: trained, merged, saved, loaded."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from hf_vanilla_transformer import lora_targets
from tests.tiny_models import tiny_model, tokens

peft = pytest.importorskip("peft")

AUTO_CLASSES = {"encoder": AutoModelForMaskedLM, "decoder": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}
IDS = tokens(3, 9)
# Maps with an adapter in two layers of each stack; "all-linear" adds the transform of the encoder's head.
COUNTS = {
    "encoder": {"attention": 4, "layers": 12, "all-linear": 13},
    "decoder": {"attention": 4, "layers": 12, "all-linear": 12},
    "seq2seq": {"attention": 12, "layers": 32, "all-linear": 32},
}


def logits(model):
    arguments = {"decoder_input_ids": IDS[:, :5]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=IDS, **arguments).logits


@pytest.mark.usefixtures("both_losses")
@pytest.mark.parametrize("preset", ["attention", "layers", "all-linear"])
@pytest.mark.parametrize("stack", COUNTS)
def test_adapters_train_merge_and_save(stack, preset, tmp_path):
    base = tiny_model(stack, noise=0.2)
    base.save_pretrained(tmp_path / "base")
    before = logits(base)
    targets = preset if preset == "all-linear" else lora_targets(preset)
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    adapters = [name for name, _ in adapted.named_parameters() if "lora_B" in name]
    assert len(adapters) == COUNTS[stack][preset]
    assert not any("lm_head.lora" in name or "embed" in name for name in adapters)

    adapted.train()
    adapted(input_ids=IDS, labels=IDS).loss.backward()
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        else:
            assert parameter.grad is None, name
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    adapted.eval()
    trained = logits(adapted)
    assert (trained - before).abs().max() > 1e-2

    adapted.save_pretrained(tmp_path / "adapter")
    fresh = AUTO_CLASSES[stack].from_pretrained(tmp_path / "base")
    loaded = peft.PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(loaded), trained, rtol=0, atol=1e-5)

    merged = adapted.merge_and_unload()
    torch.testing.assert_close(logits(merged), trained, rtol=0, atol=1e-4)
    merged.save_pretrained(tmp_path / "merged")
    reloaded = AUTO_CLASSES[stack].from_pretrained(tmp_path / "merged").eval()
    assert not [name for name in reloaded.state_dict() if "lora" in name]
    torch.testing.assert_close(logits(reloaded), trained, rtol=0, atol=1e-4)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match=r"preset='everywhere'.*attention"):
        lora_targets("everywhere")
