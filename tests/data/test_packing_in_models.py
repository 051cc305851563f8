"""The loss and the gradient of a packed batch are those of the padded batch."""

import pytest
import torch

import hf_vanilla_transformer as hv
from hf_vanilla_transformer.data import (
    CausalLanguageModelingCollator,
    MaskedLanguageModelingCollator,
    TranslationCollator,
)

SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 256}


def special(tokenizer, *names):
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names}


def summed_loss(model, batch):
    """The loss summed over labels, and its gradient."""
    model.zero_grad()
    loss = model(**batch, num_items_in_batch=torch.tensor(1)).loss
    loss.backward()
    return loss.detach(), torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])


def assert_same_loss(model, padded, *packed):
    torch.manual_seed(0)
    model = model.double().eval()
    expected_loss, expected_gradient = summed_loss(model, padded)
    for batch in packed:
        loss, gradient = summed_loss(model, batch)
        torch.testing.assert_close(loss, expected_loss)
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("position", ["sinusoidal", "learned"])
def test_packed_pairs(position, pairs, translation_tokenizer):
    config = hv.VanillaTransformerConfig(
        vocab_size=len(translation_tokenizer),
        encoder_layers=2,
        decoder_layers=2,
        position_embedding_type=position,
        decoder_start_token_id=translation_tokenizer.bos_token_id,
        **special(translation_tokenizer, "pad", "bos", "eos"),
        **SIZES,
    )
    features = [{"source": source, "target": target} for source, target in pairs[:12]]
    features[3]["source"] += " the old river ."
    features[5]["target"] += " das alte haus ."

    def collate(**options):
        return TranslationCollator(translation_tokenizer, **options)(features)

    packed = collate(packing=True), collate(packing=True, row_length=30), collate(packing=True, pad_to_multiple_of=64)
    assert "attention_mask" not in packed[0] and "decoder_attention_mask" in packed[1]
    assert_same_loss(hv.VanillaTransformerForConditionalGeneration(config), collate(), *packed)


def test_packed_masked_texts(pairs, encoder_tokenizer):
    config = hv.VanillaEncoderConfig(
        vocab_size=len(encoder_tokenizer), num_hidden_layers=2, **special(encoder_tokenizer, "pad"), **SIZES
    )
    features = [dict(encoder_tokenizer(text)) for pair in pairs[:10] for text in pair]

    def collate(**options):
        torch.manual_seed(0)
        return MaskedLanguageModelingCollator(encoder_tokenizer, 0.3, **options)(features)

    packed = collate(packing=True), collate(packing=True, row_length=24)
    assert_same_loss(hv.VanillaEncoderForMaskedLM(config), collate(), *packed)


def test_packed_documents(pairs, decoder_tokenizer):
    config = hv.VanillaDecoderConfig(
        vocab_size=len(decoder_tokenizer),
        num_hidden_layers=2,
        **special(decoder_tokenizer, "pad", "bos", "eos"),
        **SIZES,
    )
    features = [{"text": text} for pair in pairs[:10] for text in pair]

    def collate(block_size, packing):
        return CausalLanguageModelingCollator(decoder_tokenizer, block_size, packing=packing)(features)

    assert_same_loss(hv.VanillaDecoderForCausalLM(config), collate(48, False), collate(48, True), collate(256, True))
