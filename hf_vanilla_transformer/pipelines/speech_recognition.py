"""`pipeline("automatic-speech-recognition")`: transformers' own, which knows our model and needs no other program.

transformers reads files by the program ffmpeg, resamples by torchaudio, and recognises models of its own by a list of
names. This pipeline reads WAV files and resamples itself; all else is as in transformers, for every model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutomaticSpeechRecognitionPipeline

from ..data.readers.audio_files import read_audio, resample

_OUR_CLASS = "VanillaTransformerForSpeechSeq2Seq"
_WAV = (".wav", ".wave")
_SAMPLES = ("raw", "array")


class SpeechRecognitionPipeline(AutomaticSpeechRecognitionPipeline):
    """Transcribes recordings: arrays, `{"raw": samples, "sampling_rate": rate}` and files.

    ```python
    pipeline("automatic-speech-recognition", model="runs/digits/model")("three.wav")  # {"text": "three"}
    ```
    """

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        if type(model).__name__ == _OUR_CLASS:
            self.type = "seq2seq"

    def preprocess(self, inputs: Any, **parameters: Any) -> Iterator[dict[str, Any]]:
        """As in transformers; first reads WAV files and changes the sampling rate.

        Raises:
            FileNotFoundError, ValueError: there is no such file, or it is not a recording.
        """
        rate = self.feature_extractor.sampling_rate
        if isinstance(inputs, Path):
            inputs = str(inputs)
        if isinstance(inputs, str) and inputs.lower().endswith(_WAV) and "://" not in inputs:
            samples, own_rate = read_audio(inputs)
            inputs = {"raw": samples, "sampling_rate": own_rate}
        if isinstance(inputs, dict) and "stride" not in inputs and inputs.get("sampling_rate", rate) != rate:
            name = next((name for name in _SAMPLES if getattr(inputs.get(name), "ndim", 0) == 1), None)
            if name is not None:
                changed = resample(inputs[name], inputs["sampling_rate"], rate)
                inputs = {**inputs, name: changed, "sampling_rate": rate}
        yield from super().preprocess(inputs, **parameters)


__all__ = ["SpeechRecognitionPipeline"]
