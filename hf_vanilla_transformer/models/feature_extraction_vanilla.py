"""Log-mel features of speech at any sampling rate, without torchaudio."""

from typing import Any

import numpy as np
from transformers import Speech2TextFeatureExtractor
from transformers.audio_utils import mel_filter_bank, window_function

# Kaldi's frames: 25 ms, one each 10 ms.
_FRAME_SECONDS = 0.025
_HOP_SECONDS = 0.010
# Kaldi reads 16-bit samples.
_SAMPLE_SCALE = 1 << 15
_PREEMPHASIS = 0.97


class VanillaFeatureExtractor(Speech2TextFeatureExtractor):
    """Kaldi's log-mel filter banks, normalised over each recording to mean 0 and variance 1 (Wang et al. 2020).

    The features of `Speech2TextFeatureExtractor`, with two differences: frames last 25 ms at every sampling rate, and
    the code is numpy whether or not torchaudio is installed, so that a model hears the same everywhere.

    Args:
        num_mel_bins: filters of the bank, features of a frame.
        sampling_rate: samples per second of the recordings.
        **kwargs: as in `Speech2TextFeatureExtractor`.
    """

    _auto_class = "AutoFeatureExtractor"

    def __init__(self, num_mel_bins: int = 80, sampling_rate: int = 16000, **kwargs: Any) -> None:
        for computed in ("feature_size", "mel_filters", "window"):  # a saved file may hold them
            kwargs.pop(computed, None)
        super().__init__(feature_size=num_mel_bins, num_mel_bins=num_mel_bins, sampling_rate=sampling_rate, **kwargs)
        self.frame_length = round(_FRAME_SECONDS * sampling_rate)
        self.hop_length = round(_HOP_SECONDS * sampling_rate)
        self.fft_length = 1 << (self.frame_length - 1).bit_length()
        self.mel_filters = mel_filter_bank(
            num_frequency_bins=self.fft_length // 2 + 1,
            num_mel_filters=num_mel_bins,
            min_frequency=20,
            max_frequency=sampling_rate // 2,
            sampling_rate=sampling_rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        self.window = window_function(self.frame_length, "povey", periodic=False)

    def to_dict(self) -> dict[str, Any]:
        """The settings. What is computed from them is not saved."""
        computed = ("mel_filters", "window", "frame_length", "hop_length", "fft_length")
        return {name: value for name, value in super().to_dict().items() if name not in computed}

    def _extract_fbank_features(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) in [-1, 1] to (frames, mel)."""
        waveform = np.squeeze(np.asarray(waveform, dtype=np.float32))
        if waveform.ndim != 1 or waveform.size == 0:
            raise ValueError(f"A recording has the shape {waveform.shape}; give one channel with at least one sample.")
        if len(waveform) < self.frame_length:  # shorter than one frame
            waveform = np.pad(waveform, (0, self.frame_length - len(waveform)))
        # All frames at once, which takes a twentieth of the time of `transformers.audio_utils.spectrogram`.
        samples = waveform.astype(np.float64) * _SAMPLE_SCALE
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.frame_length)[:: self.hop_length].copy()
        if self.dither:
            frames += self.dither * np.random.standard_normal(frames.shape)
        frames -= frames.mean(axis=1, keepdims=True)
        frames[:, 1:] -= _PREEMPHASIS * frames[:, :-1]
        frames[:, 0] *= 1 - _PREEMPHASIS
        power = np.abs(np.fft.rfft(frames * self.window, n=self.fft_length)) ** 2
        return np.log(np.maximum(power @ self.mel_filters, np.finfo(np.float32).eps)).astype(np.float32)

    @staticmethod
    def utterance_cmvn(
        x: np.ndarray,
        input_length: int,
        normalize_means: bool | None = True,
        normalize_vars: bool | None = True,
        padding_value: float = 0.0,
    ) -> np.ndarray:
        """(frames, mel) to the same, mean 0 and variance 1 over the first `input_length` frames.

        A feature that never changes, as in digital silence or in a single frame, becomes 0; Speech2Text divides by 0.
        """
        x = np.array(x, dtype=np.float32)
        spoken = x[:input_length]
        if normalize_means:
            spoken -= spoken.mean(axis=0)
        if normalize_vars:
            spoken /= np.maximum(spoken.std(axis=0), 1e-5)
        x[input_length:] = padding_value
        return x


__all__ = ["VanillaFeatureExtractor"]
