"""Speech recognition: padding, masks, features, generation, saving; each against an independent reference."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import (
    AutoModelForSpeechSeq2Seq,
    AutoProcessor,
    Speech2TextConfig,
    Speech2TextFeatureExtractor,
    Speech2TextForConditionalGeneration,
    Speech2TextProcessor,
)

from hf_vanilla_transformer import VanillaFeatureExtractor, VanillaTransformerConfig, VanillaTransformerForSpeechSeq2Seq
from hf_vanilla_transformer.models.speech_encoder_vanilla import ConvolutionalSubsampler

from ..tiny_models import gradients, tiny_model, tiny_tokenizer, tokens

MEL = 5
SPEECH = {"num_mel_bins": MEL, "conv_channels": 12}


def speech_model(**fields):
    return tiny_model(VanillaTransformerForSpeechSeq2Seq, **SPEECH | fields)


def frames(batch, length, seed=0):
    return torch.randn(batch, length, MEL, generator=torch.Generator().manual_seed(seed))


def test_the_convolutions_equal_a_loop_over_positions():
    model = speech_model().model.encoder.subsampler
    features = frames(1, 11)
    expected = features[0]
    for layer in model.convolutions:
        padded = functional.pad(expected, (0, 0, 2, 2))
        positions = []
        for middle in range(0, len(expected), 2):
            window = padded[middle : middle + 5]  # frames middle - 2 to middle + 2
            value = torch.einsum("fc,ocf->o", window, layer.weight) + layer.bias
            half = len(value) // 2
            positions.append(value[:half] * torch.sigmoid(value[half:]))
        expected = torch.stack(positions)
    torch.testing.assert_close(model(features)[0], expected)
    assert expected.shape == (3, 16)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("length", [9, 10, 11, 12])
def test_padding_on_the_right_changes_nothing(length, norm_first, attention):
    model = speech_model(norm_first=norm_first)
    model.set_attn_implementation(attention)
    alone, labels = frames(1, length), tokens(1, 4)
    batch = torch.cat([torch.full((1, 23, MEL), 7.0), frames(1, 23, seed=1)])
    batch[0, :length] = alone[0]
    mask = torch.ones(2, 23, dtype=torch.long)
    mask[0, length:] = 0
    expected = model(alone, labels=labels)
    both = model(batch, attention_mask=mask, labels=labels.expand(2, 4))
    torch.testing.assert_close(both.logits[:1], expected.logits, rtol=0, atol=2e-6)
    # The gradients of a row are those of the row alone, too.
    first = gradients(model, model(batch, attention_mask=mask, labels=torch.cat([labels, labels * 0 - 100])).loss)
    for name, gradient in gradients(model, expected.loss).items():
        torch.testing.assert_close(first[name], gradient, rtol=1e-4, atol=2e-6)


def test_padding_on_the_left_by_whole_positions_changes_nothing():
    model = speech_model()
    alone, labels = frames(1, 11), tokens(1, 4)
    mask = torch.tensor([[0] * 8 + [1] * 11])
    padded = torch.cat([torch.full((1, 8, MEL), 7.0), alone], dim=1)
    torch.testing.assert_close(
        model(padded, attention_mask=mask, labels=labels).logits, model(alone, labels=labels).logits
    )


def test_without_masked_convolutions_padding_reaches_the_last_positions():
    # As in Speech2Text: the second convolution reads what the first one computed from padding.
    subsampler = speech_model(mask_convolutions=False).model.encoder.subsampler
    alone = frames(1, 10)
    padded = functional.pad(alone, (0, 0, 0, 8))
    mask = torch.tensor([[1] * 10 + [0] * 8])
    before, after = subsampler(alone), subsampler(padded, mask)[:, :3]
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 2], after[:, 2], atol=1e-3)


def test_the_subsampled_mask_has_as_many_positions_as_the_features():
    subsampler = ConvolutionalSubsampler(VanillaTransformerConfig.tiny(num_mel_bins=MEL, conv_channels=8))
    for length in range(1, 14):
        mask = torch.ones(1, length, dtype=torch.long)
        positions = subsampler(frames(1, length), mask).shape[1]
        assert subsampler.subsampled_mask(mask).shape[1] == positions == -(-length // 4)


def test_generation_of_a_padded_batch_equals_that_of_each_row():
    model = speech_model(norm_first=True)
    batch, mask = frames(2, 24), torch.ones(2, 24, dtype=torch.long)
    mask[1, 13:] = 0
    options = {"max_new_tokens": 6, "do_sample": False, "no_repeat_ngram_size": 2, "eos_token_id": None}
    for beams in (1, 3):
        both = model.generate(batch, attention_mask=mask, num_beams=beams, **options)
        assert torch.equal(both[1:], model.generate(batch[1:, :13], num_beams=beams, **options))
        assert torch.equal(
            both, model.generate(batch, attention_mask=mask, num_beams=beams, use_cache=False, **options)
        )


def test_dropout_and_smoothing_act_in_training_only_and_embeddings_are_tied():
    model = speech_model(dropout=0.3, label_smoothing=0.1)
    features, labels = frames(2, 12), tokens(2, 4)
    assert torch.equal(model(features, labels=labels).loss, model(features, labels=labels).loss)
    model.train()
    assert not torch.equal(model(features, labels=labels).loss, model(features, labels=labels).loss)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.resize_token_embeddings(60)
    assert model(features, labels=labels).logits.shape[-1] == 60 == model.model.decoder.config.vocab_size


@pytest.mark.parametrize(
    ("features", "mask", "message"),
    [
        (None, None, "Give input_features"),
        (torch.zeros(1, 8, MEL + 1), None, r"\(1, 8, 6\).*num_mel_bins=5"),
        (torch.zeros(1, 0, MEL), None, "at least one frame"),
        (torch.zeros(1, 8, MEL), torch.ones(1, 7), "attention_mask"),
    ],
)
def test_wrong_inputs_are_named(features, mask, message):
    with pytest.raises(ValueError, match=message):
        speech_model()(features, attention_mask=mask, labels=tokens(1, 3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"conv_channels": 7}, "use 8"), ({"conv_kernel_sizes": [4, 5]}, "odd"), ({"num_mel_bins": 0}, "num_mel_bins")],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(Exception, match=message):
        VanillaTransformerConfig.tiny(**fields)


def test_the_small_published_size_has_its_parameters():
    # The defaults of transformers' configuration are those of facebook/s2t-small-librispeech-asr.
    with torch.device("meta"):
        ours = VanillaTransformerForSpeechSeq2Seq(VanillaTransformerConfig.speech_small())
        theirs = Speech2TextForConditionalGeneration(Speech2TextConfig())
    assert ours.num_parameters() == theirs.num_parameters() == 29_536_256


def test_features_equal_those_of_speech2text():
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 9000)).astype(np.float32)
    sounds = [sound[0], sound[1, :5000]]
    options = {"sampling_rate": 16000, "padding": True, "return_tensors": "pt"}
    theirs, ours = Speech2TextFeatureExtractor()(sounds, **options), VanillaFeatureExtractor()(sounds, **options)
    assert torch.equal(theirs.attention_mask, ours.attention_mask)
    torch.testing.assert_close(theirs.input_features, ours.input_features, rtol=0, atol=2e-5)


def test_frames_last_as_long_at_every_rate():
    for rate in (8000, 16000, 22050, 48000):
        features = VanillaFeatureExtractor(20, rate)(np.sin(np.arange(rate) / 9), sampling_rate=rate)
        assert features["input_features"][0].shape == (98, 20)


def test_silence_and_a_moment_have_finite_features():
    extractor = VanillaFeatureExtractor(MEL, 8000)
    for sound in (np.zeros(900), np.ones(3)):
        features = extractor(sound, sampling_rate=8000, return_tensors="np")["input_features"]
        assert np.isfinite(features).all() and features.shape[1] >= 1
    with pytest.raises(ValueError, match="at least one sample"):
        extractor(np.zeros(0), sampling_rate=8000)


def test_model_and_processor_of_a_folder_give_the_same(tmp_path):
    tokenizer = tiny_tokenizer("seq2seq")
    model = tiny_model(VanillaTransformerForSpeechSeq2Seq, tokenizer, **SPEECH)
    processor = Speech2TextProcessor(VanillaFeatureExtractor(MEL, 8000), tokenizer)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded, again = AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    sound = np.random.default_rng(0).normal(0, 0.1, 4000)
    inputs = processor(sound, sampling_rate=8000, text="Two dogs", return_tensors="pt")
    inputs_again = again(sound, sampling_rate=8000, text="Two dogs", return_tensors="pt")
    assert torch.equal(inputs["input_features"], inputs_again["input_features"])
    assert torch.equal(model(**inputs).logits, loaded(**inputs_again).logits)
