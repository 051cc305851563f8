"""The configuration of the predecessors of the Transformer, with a preset for each published architecture."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
import dataclasses
import difflib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import CONFIG_NAME


@strict
class PredecessorConfig(PreTrainedConfig):
    """One encoder-decoder without self-attention. `architecture` chooses the kind; the other fields are its sizes.

    Args:
        architecture: `recurrent`, `bytenet` (Kalchbrenner et al. 2016) or `convs2s` (Gehring et al. 2017).
        cell: of a recurrent model: `rnn` (Elman), `lstm` or `gru`.
        attention: of a recurrent model: `none` (one vector for the source, Cho et al. 2014), `bahdanau` (additive,
            Bahdanau et al. 2015), or `luong_dot`, `luong_general`, `luong_concat` (Luong et al. 2015, section 3.1, with
            input feeding).
        vocab_size: number of tokens, shared by source and target.
        hidden_size: width of the embeddings, of the decoder and of the encoder's output.
        encoder_layers: layers or blocks of the encoder.
        decoder_layers: layers or blocks of the decoder.
        kernel_size: width of the convolutions, odd.
        dilation_cycle: ByteNet doubles the dilation from block to block, and begins with 1 again after this many.
        max_position_embeddings: positions of ConvS2S, and the longest sentence that is translated.
        dropout: on embeddings and between layers.
        label_smoothing: ε of the loss, in training only.
        use_cache: whether a decoder returns its state for the next step, outside of training.

    Raises:
        TypeError: a keyword is unknown.
        ValueError: a value is out of range.
    """

    model_type = "vanilla_predecessor"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {"num_hidden_layers": "encoder_layers"}
    auto_classes = {
        "AutoConfig": "configuration_predecessor.PredecessorConfig",
        "AutoModel": "modeling_predecessor.PredecessorModel",
        "AutoModelForSeq2SeqLM": "modeling_predecessor.PredecessorForConditionalGeneration",
    }

    architecture: Literal["recurrent", "convs2s", "bytenet"] = "recurrent"
    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    attention: Literal["none", "bahdanau", "luong_dot", "luong_general", "luong_concat"] = "none"
    vocab_size: int = 10000
    hidden_size: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 2
    kernel_size: int = 3
    dilation_cycle: int = 5
    max_position_embeddings: int = 1024
    dropout: float | int = 0.1
    label_smoothing: float | int = 0.0
    tie_word_embeddings: bool = True
    use_cache: bool = True
    is_encoder_decoder: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 1

    def __post_init__(self, **kwargs: Any) -> None:
        names = [field.name for field in dataclasses.fields(self)]
        for name in kwargs:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
            if close:
                raise TypeError(f"{type(self).__name__} has no field {name!r}; did you mean {close[0]!r}?")
        super().__post_init__(**kwargs)

    @classmethod
    def rnn(cls, **fields: Any) -> "PredecessorConfig":
        """Elman's cell, the source as one vector."""
        return cls(**{"cell": "rnn", **fields})

    @classmethod
    def lstm(cls, **fields: Any) -> "PredecessorConfig":
        """LSTM, the source as one vector (Sutskever et al. 2014)."""
        return cls(**{"cell": "lstm", **fields})

    @classmethod
    def gru(cls, **fields: Any) -> "PredecessorConfig":
        """GRU, the source as one vector (Cho et al. 2014)."""
        return cls(**{"cell": "gru", **fields})

    @classmethod
    def bahdanau(cls, **fields: Any) -> "PredecessorConfig":
        """GRU with additive attention from the state before (Bahdanau et al. 2015)."""
        return cls(**{"cell": "gru", "attention": "bahdanau", **fields})

    @classmethod
    def luong(cls, **fields: Any) -> "PredecessorConfig":
        """LSTM with multiplicative attention from the present state, and input feeding (Luong et al. 2015)."""
        return cls(**{"cell": "lstm", "attention": "luong_general", **fields})

    @classmethod
    def convs2s(cls, **fields: Any) -> "PredecessorConfig":
        """Convolutions with gated linear units, attention in every block (Gehring et al. 2017)."""
        return cls(**{"architecture": "convs2s", "encoder_layers": 4, "decoder_layers": 4, **fields})

    @classmethod
    def bytenet(cls, **fields: Any) -> "PredecessorConfig":
        """Dilated convolutions, the decoder on top of the encoder (Kalchbrenner et al. 2016)."""
        return cls(**{"architecture": "bytenet", "encoder_layers": 5, "decoder_layers": 5, **fields})

    @property
    def position_embedding_type(self) -> str:
        """`learned` for ConvS2S; the others know the order without positions."""
        return "learned" if self.architecture == "convs2s" else "none"

    def validate_architecture(self) -> None:
        """Check the fields. transformers calls this after construction and before saving."""
        sizes = ("vocab_size", "hidden_size", "encoder_layers", "decoder_layers", "kernel_size", "dilation_cycle")
        for name in (*sizes, "max_position_embeddings"):
            if not 1 <= getattr(self, name) <= 10_000_000:
                raise ValueError(f"{name} must be from 1 to 10,000,000, not {getattr(self, name)}.")
        for name in ("dropout", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be at least 0 and less than 1, not {getattr(self, name)}.")
        if self.hidden_size % 2:
            raise ValueError(
                f"hidden_size must be even, not {self.hidden_size}: the two directions of the encoder and the halves "
                f"of a gated unit share it; use {self.hidden_size + 1}."
            )
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd, not {self.kernel_size}: the encoder looks as far to both sides."
            )
        if self.dilation_cycle > 20:
            raise ValueError(f"dilation_cycle must be at most 20, not {self.dilation_cycle}: dilations double.")
        if self.architecture != "recurrent" and self.attention != "none":
            raise ValueError(
                f"attention={self.attention!r} is for architecture='recurrent', not for {self.architecture!r}; leave "
                "it out: ConvS2S has its own attention, ByteNet has none."
            )
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"pad_token_id={self.pad_token_id} is not a token: vocab_size={self.vocab_size}. Give an id below it."
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields without `auto_map`, which belongs to a saved folder."""
        values = super().to_dict()
        values.pop("auto_map", None)
        return values

    def to_json_file(self, json_file_path: str | os.PathLike, use_diff: bool = True) -> None:
        """Write the configuration, and beside a `config.json` the code that loads the model without this package."""
        path = Path(json_file_path)
        values = json.loads(self.to_json_string(use_diff=use_diff))
        values["auto_map"] = dict(self.auto_classes)
        if path.name == CONFIG_NAME:
            for code in sorted(Path(__file__).parent.glob("*_predecessor.py")):
                if code.resolve().parent != path.resolve().parent:
                    shutil.copyfile(code, path.parent / code.name)
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


__all__ = ["PredecessorConfig"]
