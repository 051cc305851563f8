"""The three configurations: one flat list of fields, three sets of defaults, and the published sizes as presets."""

# No `from __future__ import annotations` here: `strict` checks the types of fields only where they are not strings.
import dataclasses
import difflib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import GenerationConfig
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import CONFIG_NAME

# Keywords without a field of ours that transformers stores in a config.json or passes to a configuration's constructor.
_TRANSFORMERS_KEYWORDS = {
    "attn_implementation",
    "auto_map",
    "custom_pipelines",
    "experts_implementation",
    "gradient_checkpointing",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "peft_config",
    "per_layer_config",
    "quantization_config",
    "task_specific_params",
    "tie_last_hidden_states",
    "tokenizer_class",
    "torch_dtype",
    "use_return_dict",
}

# Sizes beyond any published model; a larger value is a mistake or an attack, and would take memory without measure.
_LARGEST_SIZES = {
    "vocab_size": 10_000_000,
    "hidden_size": 1_000_000,
    "num_attention_heads": 100_000,
    "intermediate_size": 10_000_000,
    "max_position_embeddings": 10_000_000,
}
_MOST_LAYERS = 10_000
_MOST_LABELS = 1_000_000
# Positions times width: 512 MB in float32.
_LARGEST_SINUSOIDS = 1 << 27
_COMMON_ACTIVATIONS = ("relu", "gelu", "gelu_new", "tanh", "silu")

# Tensor parallelism over several devices: the first map of each sublayer is split by columns (by heads), the second by
# rows, so that each sublayer needs one all-reduce.
_LAYER_TENSOR_PARALLEL_PLAN = {
    "layers.*.self_attn.q_proj": "colwise",
    "layers.*.self_attn.k_proj": "colwise",
    "layers.*.self_attn.v_proj": "colwise",
    "layers.*.self_attn.o_proj": "rowwise",
    "layers.*.mlp.fc1": "colwise",
    "layers.*.mlp.fc2": "rowwise",
}
_CROSS_ATTENTION_TENSOR_PARALLEL_PLAN = {
    "layers.*.cross_attn.q_proj": "colwise",
    "layers.*.cross_attn.k_proj": "colwise",
    "layers.*.cross_attn.v_proj": "colwise",
    "layers.*.cross_attn.o_proj": "rowwise",
}


@strict
class VanillaConfig(PreTrainedConfig):
    """The fields that the three configurations share. It is not used on its own.

    Args:
        vocab_size: number of tokens.
        hidden_size: width of the residual stream (the paper's d_model).
        num_attention_heads: heads of every attention; each has `hidden_size / num_attention_heads` dimensions.
        intermediate_size: inner width of the feed-forward network (the paper's d_ff).
        hidden_act: activation function of that network, any name that transformers knows (`relu`, `gelu`, `gelu_new`).
        max_position_embeddings: rows of the position table. Learned positions end there; sinusoids grow on demand.
        position_embedding_type: `sinusoidal` (section 3.5 of the paper: sine and cosine interleaved),
            `sinusoidal_concat` (the same frequencies, sines first, then cosines: Marian, Pegasus), `sinusoidal_t2t`
            (sines, then cosines, frequencies spread over d/2 - 1: tensor2tensor, fairseq, M2M100) or `learned`.
        position_offset: position of the first token in a sinusoidal table (fairseq starts at 2).
        positions_from_mask: whether positions count only tokens that `attention_mask` keeps. Padding on the left and on
            the right then give the same result. `False` counts every column, as BERT, GPT-2 and BART do.
        norm_first: layer normalisation before each sublayer, with one more at the end of the stack (GPT-2), instead
            of after each residual connection (the paper, BERT).
        scale_embedding: multiply token embeddings by sqrt(hidden_size) (section 3.4).
        layernorm_embedding: layer normalisation of the summed embeddings (BERT, BART).
        type_vocab_size: number of segment embeddings, 0 for none.
        layer_norm_eps: epsilon of every layer normalisation.
        initializer: `xavier` (Xavier-uniform matrices and embeddings N(0, hidden_size^-0.5), as tensor2tensor and
            fairseq train the paper's model) or `normal` (N(0, initializer_range), as in BERT and GPT).
        initializer_range: standard deviation of `normal`. In a pre-norm stack, the last map of each sublayer is scaled
            by 1/sqrt(number of residual connections), as in GPT-2.
        dropout: on embeddings and on the output of each sublayer (section 5.4).
        attention_dropout: on attention weights.
        activation_dropout: inside the feed-forward network.
        classifier_dropout: before a classification head; `None` takes `dropout`.
        label_smoothing: ε of the language-model losses, in training only (section 5.4).
        lm_head_bias: whether the map to the vocabulary has a bias.
        lm_head_transform: dense layer, activation and layer normalisation before that map (BERT).
        tie_word_embeddings: whether the map to the vocabulary shares the embedding matrix.
        use_cache: whether a decoder returns keys and values for the next step by default, outside of training.

    Raises:
        TypeError: a keyword is unknown; the message names the nearest field.
        ValueError: a value is out of range, or values contradict each other.
    """

    keys_to_ignore_at_inference = ["past_key_values"]
    # Auto class: our class, as `file.Class`. Saved folders contain this table, and this process registers it.
    auto_classes = {}

    vocab_size: int = 37000
    hidden_size: int = 512
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    hidden_act: str = "relu"
    max_position_embeddings: int = 1024
    position_embedding_type: Literal["sinusoidal", "sinusoidal_concat", "sinusoidal_t2t", "learned"] = "sinusoidal"
    position_offset: int = 0
    positions_from_mask: bool = True
    norm_first: bool = False
    scale_embedding: bool = True
    layernorm_embedding: bool = False
    type_vocab_size: int = 0
    layer_norm_eps: float = 1e-5
    initializer: Literal["xavier", "normal"] = "xavier"
    initializer_range: float = 0.02
    dropout: float | int = 0.1
    attention_dropout: float | int = 0.0
    activation_dropout: float | int = 0.0
    classifier_dropout: float | int | None = None
    label_smoothing: float | int = 0.0
    lm_head_bias: bool = False
    lm_head_transform: bool = False
    tie_word_embeddings: bool = True
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self._refuse_unknown(kwargs)
        labels = kwargs.get("num_labels")
        if isinstance(labels, int) and not 0 <= labels <= _MOST_LABELS:  # transformers makes a name for each
            raise ValueError(f"num_labels must be from 0 to {_MOST_LABELS:,}, not {labels:,}.")
        super().__post_init__(**kwargs)

    @classmethod
    def _field_names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)] + list(cls.attribute_map)

    @classmethod
    def _nearest_field(cls, name: str) -> str | None:
        """The field that an unknown name resembles."""
        return next(iter(difflib.get_close_matches(name, cls._field_names(), n=1, cutoff=0.6)), None)

    @classmethod
    def _unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The values that are neither fields nor keywords of transformers."""
        allowed = {*cls._field_names(), *_TRANSFORMERS_KEYWORDS, *GenerationConfig._get_default_generation_params()}
        return {name: value for name, value in values.items() if name not in allowed and not name.startswith("_")}

    def _refuse_unknown(self, kwargs: dict[str, Any]) -> None:
        """Raise for unknown keywords, which transformers would store without a word."""
        for name, value in self._unknown(kwargs).items():
            nearest = self._nearest_field(name)
            remedy = f"did you mean {nearest!r}?" if nearest else "see its docstring for the fields."
            raise TypeError(f"{type(self).__name__} has no field {name!r} (given {value!r}); {remedy}")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The configuration of a `config.json`. Notes that a library or a user stored there are kept as attributes.

        Raises:
            TypeError: a name resembles a field, but is none.
            ValueError: the dictionary describes a model of another kind.
        """
        model_type = config_dict.get("model_type")
        if model_type not in (None, "", cls.model_type):
            raise ValueError(cls._other_model(config_dict, model_type))
        notes = {name: value for name, value in cls._unknown(config_dict).items() if not cls._nearest_field(name)}
        fields = {name: value for name, value in config_dict.items() if name not in notes}
        loaded = super().from_dict(fields, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        for name, value in notes.items():
            setattr(config, name, value)
        return loaded

    @classmethod
    def _other_model(cls, config_dict: dict[str, Any], model_type: str) -> str:
        """The error message for the folder of another kind of model."""
        wanted = f"{cls.__name__} describes a model of model_type={cls.model_type!r}"
        found = f"the folder holds model_type={model_type!r} (architectures={config_dict.get('architectures')})"
        if model_type == "vanilla_transformer":
            half = {"vanilla_encoder": "get_encoder()", "vanilla_decoder": "get_decoder()"}.get(cls.model_type)
            remedy = "Load it with VanillaTransformerModel.from_pretrained(folder)" + (
                f"; `.{half}` of that model is the stack alone." if half else "."
            )
        elif str(model_type).startswith("vanilla_"):
            remedy = "Load it with a class of that kind, or with AutoModel."
        else:
            remedy = "Convert it with hf_vanilla_transformer.from_checkpoint(folder)."
        return f"{wanted}, but {found}. {remedy}"

    def to_dict(self) -> dict[str, Any]:
        """The fields without `auto_map`, which belongs to a saved folder and not to the configuration."""
        values = super().to_dict()
        if self._has_auto_classes():
            values.pop("auto_map", None)
        return values

    def to_json_file(self, json_file_path: str | os.PathLike, use_diff: bool = True) -> None:
        """Write the configuration, and beside a `config.json` the code that loads the model without this package.

        transformers would list only the class that is saved. Then a saved masked language model could not be loaded as
        a plain encoder. `save_pretrained`, `push_to_hub` and Trainer call this method.
        """
        for name in self._unknown(vars(self)):
            if nearest := self._nearest_field(name):
                raise ValueError(
                    f"The configuration has an attribute {name!r} that is no field, and could not be loaded again. Did "
                    f"you mean {nearest!r}? Otherwise rename it."
                )
        values = json.loads(self.to_json_string(use_diff=use_diff))
        path = Path(json_file_path)
        if self._has_auto_classes():
            values["auto_map"] = dict(self.auto_classes)
            if path.name == CONFIG_NAME:
                for code in sorted(Path(__file__).parent.glob("*_vanilla*.py")):
                    shutil.copyfile(code, path.parent / code.name)
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _has_auto_classes(self) -> bool:
        """Whether this class itself has a table. A subclass elsewhere has its own files and names."""
        return bool(vars(type(self)).get("auto_classes"))

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings: `hidden_size`, unless the encoder's `embedding_size` is set."""
        return self.hidden_size

    @property
    def boundary_token_ids(self) -> tuple[int, ...]:
        """The ids of the start token and of the end tokens; `eos_token_id` may be an id, a list of ids or None."""
        ends = self.eos_token_id if isinstance(self.eos_token_id, list) else [self.eos_token_id]
        return tuple(token for token in (self.bos_token_id, *ends) if token is not None)

    def validate_architecture(self) -> None:
        """Check the fields. transformers calls this after construction and before saving."""
        for name, largest in _LARGEST_SIZES.items():
            self._check_size(name, largest, least=1)
        for name in ("dropout", "attention_dropout", "activation_dropout", "classifier_dropout", "label_smoothing"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must be at least 0 and less than 1, not {value}.")
        for name in ("type_vocab_size", "position_offset"):
            self._check_size(name, 1_000_000, least=0)
        self._check_activation("hidden_act")
        if self.layer_norm_eps <= 0:
            raise ValueError(f"layer_norm_eps must be positive, not {self.layer_norm_eps}.")
        if self.hidden_size % self.num_attention_heads:
            divisors = [n for n in range(1, self.hidden_size + 1) if self.hidden_size % n == 0]
            nearest = min(divisors, key=lambda n: abs(n - self.num_attention_heads))
            raise ValueError(
                f"hidden_size={self.hidden_size} cannot be divided among num_attention_heads="
                f"{self.num_attention_heads}; the nearest number of heads that works is {nearest}."
            )
        width = self.embedding_width
        name = "hidden_size" if width == self.hidden_size else "embedding_size"
        if self.position_embedding_type != "learned" and width % 2:
            raise ValueError(
                f"position_embedding_type={self.position_embedding_type!r} pairs sines with cosines and needs an even "
                f"{name}, not {width}; use {width + 1} or 'learned' positions."
            )
        if self.position_embedding_type == "sinusoidal_t2t" and width < 4:
            raise ValueError(f"position_embedding_type='sinusoidal_t2t' needs a {name} of 4, not {width}.")
        table = self.max_position_embeddings * width
        if self.position_embedding_type != "learned" and table > _LARGEST_SINUSOIDS:
            raise ValueError(
                f"max_position_embeddings={self.max_position_embeddings} and {name}={width} need a table of {table:,} "
                f"sinusoids, more than {_LARGEST_SINUSOIDS:,}; give the usual length: sinusoids grow on demand."
            )
        if self.position_embedding_type == "learned" and self.position_offset:
            raise ValueError(
                f"position_offset={self.position_offset} is for sinusoids; learned positions start at row 0."
            )
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"pad_token_id={self.pad_token_id} is not a token: vocab_size={self.vocab_size}. Give an id below "
                "vocab_size, or None for a model without padding."
            )

    def _check_size(self, name: str, largest: int, *, least: int) -> None:
        """Raise unless the field is from `least` to `largest`, which is far beyond any published model."""
        value = getattr(self, name)
        if value < least:
            few = "must not be negative, but is" if least == 0 else f"must be at least {least}, not"
            raise ValueError(f"{name} {few} {value}.")
        if value > largest:
            raise ValueError(f"{name} must be at most {largest:,}, not {value:,}.")

    def _check_activation(self, name: str) -> None:
        value = getattr(self, name)
        if value not in _COMMON_ACTIVATIONS:
            from transformers.activations import ACT2FN  # loads torch

            if value not in ACT2FN:
                near = difflib.get_close_matches(value, list(ACT2FN), n=3, cutoff=0.0)
                raise ValueError(f"{name}={value!r} is not an activation that transformers knows, such as {near}.")


@strict
class VanillaEncoderConfig(VanillaConfig):
    """The encoder alone. The defaults are BERT base (Devlin et al. 2018, section 3); fields as in `VanillaConfig`.

    Args:
        pooler_act: activation of the pooler, a dense layer on the first token: tanh (BERT, RoBERTa), relu (DistilBERT)
            or gelu (ELECTRA).
        classifier_pooling: input of heads with one label per text: `first` (the pooler's output), the `last` token, the
            `mean` of all tokens, or `concat` of last, maximum and mean (Howard and Ruder 2018, section 3.3).
        embedding_size: width of the embeddings, `None` for `hidden_size`. With another width, one more linear map leads
            to `hidden_size`, and `lm_head_transform` leads back (small ELECTRA).
        parser_arc_size: width of the word vectors that score the arcs of a dependency parser (Dozat and Manning 2017,
            table 1).
        parser_label_size: width of the word vectors that score its labels.
        parser_dropout: on both.
        word_pooling: vector of a word in a parser: its `first` token, or the `mean` of its tokens.

    ```python
    config = VanillaEncoderConfig(vocab_size=16000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4)
    ```
    """

    model_type = "vanilla_encoder"
    attribute_map = {"encoder_layers": "num_hidden_layers"}
    auto_classes = {
        "AutoConfig": "configuration_vanilla.VanillaEncoderConfig",
        "AutoModel": "modeling_vanilla_encoder.VanillaEncoderModel",
        "AutoModelForPreTraining": "modeling_vanilla_encoder.VanillaEncoderForPreTraining",
        "AutoModelForMaskedLM": "modeling_vanilla_encoder.VanillaEncoderForMaskedLM",
        "AutoModelForSequenceClassification": "modeling_vanilla_encoder.VanillaEncoderForSequenceClassification",
        "AutoModelForTokenClassification": "modeling_vanilla_encoder.VanillaEncoderForTokenClassification",
        "AutoModelForQuestionAnswering": "modeling_vanilla_encoder.VanillaEncoderForQuestionAnswering",
        "AutoModelForMultipleChoice": "modeling_vanilla_encoder.VanillaEncoderForMultipleChoice",
    }
    base_model_tp_plan = _LAYER_TENSOR_PARALLEL_PLAN

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    position_embedding_type: Literal["sinusoidal", "sinusoidal_concat", "sinusoidal_t2t", "learned"] = "learned"
    scale_embedding: bool = False
    layernorm_embedding: bool = True
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer: Literal["xavier", "normal"] = "normal"
    attention_dropout: float | int = 0.1
    lm_head_bias: bool = True
    lm_head_transform: bool = True
    pooler_act: str = "tanh"
    classifier_pooling: Literal["first", "last", "mean", "concat"] = "first"
    embedding_size: int | None = None
    parser_arc_size: int = 500
    parser_label_size: int = 100
    parser_dropout: float | int = 0.33
    word_pooling: Literal["first", "mean"] = "first"

    @classmethod
    def bert_base(cls, **overrides: Any) -> "VanillaEncoderConfig":
        """BERT base: 12 layers, 768, 12 heads; 110 M parameters."""
        return cls(**overrides)

    @classmethod
    def bert_large(cls, **overrides: Any) -> "VanillaEncoderConfig":
        """BERT large: 24 layers, 1024, 16 heads; 335 M parameters (the paper rounds to 340 M)."""
        size = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
        return cls(**{**size, **overrides})

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    def validate_architecture(self) -> None:
        if self.embedding_size is not None and self.embedding_size < 1:
            raise ValueError(f"embedding_size must be at least 1, or None, not {self.embedding_size}.")
        if self.embedding_size is not None:
            self._check_size("embedding_size", _LARGEST_SIZES["hidden_size"], least=1)
        super().validate_architecture()
        self._check_size("num_hidden_layers", _MOST_LAYERS, least=1)
        self._check_activation("pooler_act")
        if self.embedding_width != self.hidden_size and not self.lm_head_transform:
            raise ValueError(
                f"embedding_size={self.embedding_size} with hidden_size={self.hidden_size} needs "
                "lm_head_transform=True, which leads back to the width of the embeddings."
            )
        for name in ("parser_arc_size", "parser_label_size"):
            self._check_size(name, _LARGEST_SIZES["hidden_size"], least=1)
        if not 0.0 <= self.parser_dropout < 1.0:
            raise ValueError(f"parser_dropout must be at least 0 and less than 1, not {self.parser_dropout}.")


@strict
class VanillaDecoderConfig(VanillaConfig):
    """The decoder alone. The defaults are GPT-2 small (Radford et al. 2019); fields as in `VanillaConfig`.

    Args:
        add_cross_attention: whether each layer also attends to `encoder_hidden_states`.
        classifier_pooling: input of a head with one label per text: the `last` token, the `mean` of all tokens, or
            `concat` of last, maximum and mean (Howard and Ruder 2018, section 3.3).
        classifier_direction: order in which that head reads the text: `forward`, `backward` (tokens between the start
            and the end token reversed, for a language model trained on reversed text), or `both` with two backbones.
    """

    model_type = "vanilla_decoder"
    attribute_map = {"decoder_layers": "num_hidden_layers"}
    auto_classes = {
        "AutoConfig": "configuration_vanilla.VanillaDecoderConfig",
        "AutoModel": "modeling_vanilla_decoder.VanillaDecoderModel",
        "AutoModelForCausalLM": "modeling_vanilla_decoder.VanillaDecoderForCausalLM",
        "AutoModelForSequenceClassification": "modeling_vanilla_decoder.VanillaDecoderForSequenceClassification",
        "AutoModelForTokenClassification": "modeling_vanilla_decoder.VanillaDecoderForTokenClassification",
        "AutoModelForQuestionAnswering": "modeling_vanilla_decoder.VanillaDecoderForQuestionAnswering",
    }
    base_model_tp_plan = _LAYER_TENSOR_PARALLEL_PLAN

    vocab_size: int = 50257
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    position_embedding_type: Literal["sinusoidal", "sinusoidal_concat", "sinusoidal_t2t", "learned"] = "learned"
    norm_first: bool = True
    scale_embedding: bool = False
    initializer: Literal["xavier", "normal"] = "normal"
    attention_dropout: float | int = 0.1
    add_cross_attention: bool = False
    classifier_pooling: Literal["last", "mean", "concat"] = "last"
    classifier_direction: Literal["forward", "backward", "both"] = "forward"
    is_decoder: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256

    @classmethod
    def gpt1(cls, **overrides: Any) -> "VanillaDecoderConfig":
        """GPT (Radford et al. 2018, section 4.1): post-norm, 12 layers, 768, 12 heads; 117 M parameters."""
        size = {"vocab_size": 40478, "max_position_embeddings": 512, "norm_first": False}
        return cls(**{**size, "bos_token_id": None, "eos_token_id": None, **overrides})

    @classmethod
    def gpt2(cls, **overrides: Any) -> "VanillaDecoderConfig":
        """GPT-2 small: 12 layers, 768, 12 heads; 124 M parameters."""
        return cls(**overrides)

    @classmethod
    def gpt2_medium(cls, **overrides: Any) -> "VanillaDecoderConfig":
        """GPT-2 medium: 24 layers, 1024, 16 heads; 355 M parameters."""
        return cls._gpt2(1024, 24, 16, overrides)

    @classmethod
    def gpt2_large(cls, **overrides: Any) -> "VanillaDecoderConfig":
        """GPT-2 large: 36 layers, 1280, 20 heads; 774 M parameters."""
        return cls._gpt2(1280, 36, 20, overrides)

    @classmethod
    def gpt2_xl(cls, **overrides: Any) -> "VanillaDecoderConfig":
        """GPT-2 xl: 48 layers, 1600, 25 heads; 1558 M parameters."""
        return cls._gpt2(1600, 48, 25, overrides)

    @classmethod
    def _gpt2(cls, width: int, layers: int, heads: int, overrides: dict[str, Any]) -> "VanillaDecoderConfig":
        size = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
        return cls(**{**size, "intermediate_size": 4 * width, **overrides})

    def validate_architecture(self) -> None:
        super().validate_architecture()
        self._check_size("num_hidden_layers", _MOST_LAYERS, least=1)


@strict
class VanillaTransformerConfig(VanillaConfig):
    """Encoder and decoder. The defaults are the paper's base model (table 3); fields as in `VanillaConfig`.

    Args:
        encoder_layers: depth of the encoder (also read as `num_hidden_layers`).
        decoder_layers: depth of the decoder.
        share_encoder_decoder_embeddings: one embedding matrix for source and target. With `tie_word_embeddings` it
            is the three-way tie of section 3.4.
        decoder_start_token_id: the first input of the decoder; labels are shifted right behind it.
        num_mel_bins: speech only: features of each frame (`VanillaTransformerForSpeechSeq2Seq`).
        conv_channels: speech only: channels between the convolutions that subsample; the gates of the linear units
            take one half of them.
        conv_kernel_sizes: speech only: the width of each convolution, an odd number of frames. Each halves the number
            of frames.
        mask_convolutions: speech only: whether the convolutions read zeros in padding, so that padding changes
            nothing. Speech2Text reads there what the layer before computes, and the last positions depend on it.
    """

    model_type = "vanilla_transformer"
    attribute_map = {"num_hidden_layers": "encoder_layers"}
    auto_classes = {
        "AutoConfig": "configuration_vanilla.VanillaTransformerConfig",
        "AutoModel": "modeling_vanilla_transformer.VanillaTransformerModel",
        "AutoModelForSeq2SeqLM": "modeling_vanilla_transformer.VanillaTransformerForConditionalGeneration",
        "AutoModelForSpeechSeq2Seq": "modeling_vanilla_transformer.VanillaTransformerForSpeechSeq2Seq",
    }
    base_model_tp_plan = {
        **{f"encoder.{name}": style for name, style in _LAYER_TENSOR_PARALLEL_PLAN.items()},
        **{
            f"decoder.{name}": style
            for name, style in {**_LAYER_TENSOR_PARALLEL_PLAN, **_CROSS_ATTENTION_TENSOR_PARALLEL_PLAN}.items()
        },
    }
    base_model_fsdp_plan = {}  # each stack has its own plan

    encoder_layers: int = 6
    decoder_layers: int = 6
    share_encoder_decoder_embeddings: bool = True
    is_encoder_decoder: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 3
    decoder_start_token_id: int | None = 3
    num_mel_bins: int = 80
    conv_channels: int = 1024
    conv_kernel_sizes: list[int] | tuple[int, ...] = (5, 5)
    mask_convolutions: bool = True

    @classmethod
    def tiny(cls, **overrides: Any) -> "VanillaTransformerConfig":
        """4+4 layers, 128, 256, 4 heads: "Transformer-Tiny" of Wu et al. 2021, table 1."""
        size = {"encoder_layers": 4, "decoder_layers": 4, "hidden_size": 128, "intermediate_size": 256}
        return cls(**{**size, "num_attention_heads": 4, "vocab_size": 10000, **overrides})

    @classmethod
    def base(cls, **overrides: Any) -> "VanillaTransformerConfig":
        """The paper's base model: 6+6 layers, 512, 2048, 8 heads; 63 M parameters at 37,000 tokens (table 3: 65 M)."""
        return cls(**overrides)

    @classmethod
    def big(cls, **overrides: Any) -> "VanillaTransformerConfig":
        """The paper's big model: 6+6 layers, 1024, 4096, 16 heads, dropout 0.3; 214 M parameters (table 3: 213 M)."""
        size = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "dropout": 0.3}
        return cls(**{**size, **overrides})

    @classmethod
    def speech_small(cls, **overrides: Any) -> "VanillaTransformerConfig":
        """The small Speech2Text (Wang et al. 2020): pre-norm, 12+6 layers, 256, 2048, 4 heads; 30 M parameters."""
        size = {"encoder_layers": 12, "decoder_layers": 6, "hidden_size": 256, "intermediate_size": 2048}
        return cls(**{**size, "num_attention_heads": 4, "norm_first": True, "vocab_size": 10000, **overrides})

    def encoder_config(self) -> "VanillaEncoderConfig":
        """The configuration of the encoder alone."""
        return self._stack_config(VanillaEncoderConfig, self.encoder_layers)

    def decoder_config(self) -> "VanillaDecoderConfig":
        """The configuration of the decoder alone, with its cross-attention."""
        return self._stack_config(VanillaDecoderConfig, self.decoder_layers, add_cross_attention=True)

    def _stack_config(self, config_class: type[VanillaConfig], layers: int, **more: Any) -> Any:
        shared = {field.name for field in dataclasses.fields(VanillaConfig)} - {"is_encoder_decoder", "architectures"}
        values = {name: getattr(self, name) for name in shared if hasattr(self, name)}
        stack_config = config_class(**values, num_hidden_layers=layers, **more)
        stack_config._attn_implementation_internal = self._attn_implementation_internal
        return stack_config

    def validate_architecture(self) -> None:
        super().validate_architecture()
        self._check_size("encoder_layers", _MOST_LAYERS, least=1)
        self._check_size("decoder_layers", _MOST_LAYERS, least=1)
        start = self.decoder_start_token_id
        if start is not None and not 0 <= start < self.vocab_size:
            raise ValueError(f"decoder_start_token_id={start} is not a token: vocab_size={self.vocab_size}.")
        self._check_size("num_mel_bins", 10_000, least=1)
        self._check_size("conv_channels", _LARGEST_SIZES["hidden_size"], least=2)
        if self.conv_channels % 2:
            raise ValueError(
                f"conv_channels must be even, not {self.conv_channels}: gated linear units halve it; use "
                f"{self.conv_channels + 1}."
            )
        sizes = list(self.conv_kernel_sizes)
        if not 1 <= len(sizes) <= 8 or any(size % 2 == 0 or not 1 <= size <= 1000 for size in sizes):
            raise ValueError(
                f"conv_kernel_sizes must be 1 to 8 odd numbers of frames, such as [5, 5], not {sizes}; an odd kernel "
                "has a frame in its middle."
            )


__all__ = ["VanillaConfig", "VanillaDecoderConfig", "VanillaEncoderConfig", "VanillaTransformerConfig"]
