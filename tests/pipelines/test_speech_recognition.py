"""`pipeline("automatic-speech-recognition")` transcribes arrays and WAV files without ffmpeg and torchaudio."""

import sys
import wave

import numpy as np
import pytest
import torch
from transformers import Speech2TextProcessor, pipeline

from hf_vanilla_transformer import VanillaFeatureExtractor, VanillaTransformerForSpeechSeq2Seq
from hf_vanilla_transformer.data.readers.audio_files import resample
from hf_vanilla_transformer.pipelines.speech_recognition import SpeechRecognitionPipeline

from ..tiny_models import tiny_model, tiny_tokenizer

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    tokenizer = tiny_tokenizer("seq2seq")
    tiny_model(
        VanillaTransformerForSpeechSeq2Seq, tokenizer, num_mel_bins=5, conv_channels=8, noise=0.3
    ).save_pretrained(folder)
    Speech2TextProcessor(VanillaFeatureExtractor(5, RATE), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def recognise(folder):
    recogniser = pipeline("automatic-speech-recognition", model=str(folder))
    assert type(recogniser) is SpeechRecognitionPipeline
    return recogniser


@pytest.fixture(scope="module")
def sound():
    return np.random.default_rng(0).normal(0, 0.1, 4000).clip(-1, 1).astype(np.float32)


def text_of(recognise, sound):
    """The text by the model itself."""
    inputs = recognise.feature_extractor(sound, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        tokens = recognise.model.generate(**inputs, num_beams=5, max_new_tokens=9)
    return recognise.tokenizer.decode(tokens[0], skip_special_tokens=True)


def test_arrays_and_wav_files_have_the_text_of_the_model(recognise, sound, tmp_path):
    rounded = np.round(sound * 32768).astype("<i2")
    path = tmp_path / "sound.WAV"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes(rounded.tobytes())
    sound = rounded.astype(np.float32) / 32768
    expected = text_of(recognise, sound)
    assert expected.strip()
    options = {"generate_kwargs": {"num_beams": 5, "max_new_tokens": 9}}
    for given in (sound, {"raw": sound, "sampling_rate": RATE}, str(path), path):
        assert recognise(given, **options) == {"text": expected}
    assert recognise([sound, sound], batch_size=2, **options) == [{"text": expected}] * 2


def test_other_rates_are_changed_without_torchaudio(recognise, sound, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    given = {"array": resample(sound, RATE, 16000), "sampling_rate": 16000}
    options = {"generate_kwargs": {"num_beams": 5, "max_new_tokens": 9}}
    assert recognise(given, **options)["text"] == text_of(recognise, resample(given["array"], 16000, RATE))
    assert given["sampling_rate"] == 16000


def test_a_missing_file_is_named(recognise):
    with pytest.raises(FileNotFoundError, match=r"no\.wav"):
        recognise("no.wav")
