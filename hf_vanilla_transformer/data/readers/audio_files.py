"""Read recordings: WAV files by the standard library, other formats by soundfile; and change the sampling rate."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

# Longer than any recording of one utterance: six hours at 48 kHz.
_MOST_FRAMES = 1_000_000_000
_RIFF = b"RIFF"


def read_audio(source: str | Path | bytes) -> tuple[np.ndarray, int]:
    """The samples of a recording, mixed to one channel, and its sampling rate.

    Args:
        source: a file, or its content. WAV with integer samples of 8 to 32 bits needs no further package.

    Returns:
        (samples,) float32 in [-1, 1], and samples per second.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the content is not audio, is empty, or ends too early.
        ImportError: another format than WAV needs soundfile.
    """
    name = "the recording" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise FileNotFoundError(f"There is no file {source}; give a recording, such as digit.wav.")
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        samples, rate = _read_wav(content, name) if content[:4] == _RIFF else _read_soundfile(content, name)
    except wave.Error as error:  # floating-point or compressed WAV, or no WAV at all
        if "unknown format" not in str(error):
            raise ValueError(f"{name} is not a WAV file that can be read ({error}); record or convert it.") from error
        samples, rate = _read_soundfile(content, name)
    if len(samples) == 0:
        raise ValueError(f"{name} has no samples; record it again.")
    return samples, rate


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Samples at another rate, by cutting or extending the Fourier spectrum (exact for sounds below both limits).

    Args:
        samples: (samples,).
        rate: samples per second.
        new_rate: the same, of the result.

    Returns:
        (samples * new_rate / rate,) float32.

    Raises:
        ValueError: a rate is not positive.
    """
    if rate < 1 or new_rate < 1:
        raise ValueError(f"Sampling rates must be positive, not {rate} and {new_rate}.")
    if rate == new_rate:
        return np.asarray(samples, dtype=np.float32)
    length = max(1, round(len(samples) * new_rate / rate))
    spectrum = np.fft.rfft(np.asarray(samples, dtype=np.float64))[: length // 2 + 1]
    return (np.fft.irfft(spectrum, n=length) * (length / len(samples))).astype(np.float32)


def _read_wav(content: bytes, name: str) -> tuple[np.ndarray, int]:
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate, frames = file.getparams()[:4]
            data = file.readframes(min(frames, _MOST_FRAMES))
    except EOFError as error:
        raise ValueError(f"{name} ends within its header; copy it again.") from error
    if len(data) < frames * channels * width:
        raise ValueError(f"{name} ends after {len(data):,} of {frames * channels * width:,} bytes; copy it again.")
    if width == 1:  # the only width without a sign
        samples = (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128) / 128
    elif width == 3:
        padded = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        samples = padded.view("<i4")[:, 0].astype(np.float32) / (1 << 31)
    else:
        samples = np.frombuffer(data, dtype=f"<i{width}").astype(np.float32) / (1 << (8 * width - 1))
    return samples.reshape(-1, channels).mean(axis=1), rate


def _read_soundfile(content: bytes, name: str) -> tuple[np.ndarray, int]:
    try:
        import soundfile
    except ImportError as error:
        raise ImportError(
            f"{name} is not WAV with integer samples; other formats need soundfile: "
            "pip install 'hf_vanilla_transformer[audio]'."
        ) from error
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{name} is not a recording that can be read ({error}); convert it to WAV.") from error
    return samples.mean(axis=1), rate


__all__ = ["read_audio", "resample"]
