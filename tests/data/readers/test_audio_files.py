"""WAV files of every width, broken ones, and other sampling rates."""

import io
import sys
import wave

import numpy as np
import pytest

from hf_vanilla_transformer.data.readers.audio_files import read_audio, resample

RATE = 8000


def wav(samples, width=2, channels=1, rate=RATE):
    """The content of a WAV file; samples (frames, channels) in [-1, 1]."""
    largest = 1 << (8 * width - 1)
    whole = np.round(np.asarray(samples) * (largest - 1)).astype(np.int64)
    if width == 1:
        data = (whole + 128).astype(np.uint8).tobytes()
    else:
        data = b"".join(int(value).to_bytes(width, "little", signed=True) for value in whole.ravel())
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels), file.setsampwidth(width), file.setframerate(rate)
        file.writeframes(data)
    return content.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_each_width_is_read(width, tmp_path):
    samples = np.sin(np.arange(100) / 5)
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(samples, width))
    read, rate = read_audio(path)
    assert rate == RATE and read.dtype == np.float32
    np.testing.assert_allclose(read, samples, atol=2.0 / (1 << (8 * width - 1)) + 1e-7)


def test_channels_are_mixed():
    both = np.stack([np.full(10, 0.5), np.full(10, -0.25)], axis=1)
    np.testing.assert_allclose(read_audio(wav(both, channels=2))[0], np.full(10, 0.125), atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(np.zeros(50))[:-20], "ends after 80 of 100 bytes"),
        (wav(np.zeros(0)), "no samples"),
        (wav(np.zeros(50))[:30], "ends within its header"),
        (b"RIFF\x10\x00\x00\x00JUNKJUNKJUNK", "not a WAV file"),
    ],
)
def test_a_broken_file_is_one_line(content, message):
    with pytest.raises(ValueError, match=message):
        read_audio(content)


def test_other_formats_name_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"hf_vanilla_transformer\[audio\]"):
        read_audio(b"fLaC....")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_audio(tmp_path / "none.wav")


@pytest.mark.parametrize("new_rate", [4000, 11025, 16000, 48000])
def test_a_tone_stays_the_same_tone(new_rate):
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    expected = np.sin(2 * np.pi * 500 * np.arange(new_rate) / new_rate)
    np.testing.assert_allclose(resample(tone, RATE, new_rate), expected, atol=1e-5)
    with pytest.raises(ValueError, match="positive"):
        resample(tone, RATE, 0)
