"""The encoder for speech: convolutions that subsample frames, then the stack (Wang et al. 2020)."""

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .configuration_vanilla import VanillaTransformerConfig
from .masks_vanilla import check_mask
from .modeling_vanilla_encoder import VanillaEncoderModel

# Each convolution halves the number of frames.
_STRIDE = 2


class ConvolutionalSubsampler(nn.Module):
    """One-dimensional convolutions over time, each with stride 2 and a gated linear unit (Dauphin et al. 2017).

    (batch, frames, mel) -> conv, GLU -> conv, GLU -> (batch, frames / 4, hidden)
    """

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__()
        self.num_mel_bins = config.num_mel_bins
        self.masks = config.mask_convolutions
        layers = len(config.conv_kernel_sizes)
        # A gated linear unit halves the channels.
        inputs = [config.num_mel_bins, *[config.conv_channels // 2] * (layers - 1)]
        outputs = [*[config.conv_channels] * (layers - 1), 2 * config.hidden_size]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size=size, stride=_STRIDE, padding=size // 2)
            for before, after, size in zip(inputs, outputs, config.conv_kernel_sizes)
        )

    def forward(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Subsample.

        Args:
            input_features: (batch, frames, mel).
            attention_mask: (batch, frames), 1 for frames and 0 for padding.

        Returns:
            (batch, positions, hidden), with ceil(frames / 2) positions after each convolution.

        Raises:
            ValueError: the features have another shape, or no frames.
        """
        if input_features.dim() != 3 or input_features.shape[-1] != self.num_mel_bins or input_features.shape[1] == 0:
            raise ValueError(
                f"input_features has the shape {tuple(input_features.shape)}; give (batch, frames, "
                f"num_mel_bins={self.num_mel_bins}) with at least one frame, as the feature extractor of the model "
                "makes them."
            )
        hidden_states = input_features.transpose(1, 2)
        for convolution in self.convolutions:
            if self.masks and attention_mask is not None:
                hidden_states = hidden_states.masked_fill(attention_mask[:, None] == 0, 0.0)
            hidden_states = nn.functional.glu(convolution(hidden_states), dim=1)
            attention_mask = None if attention_mask is None else attention_mask[:, ::_STRIDE]
        return hidden_states.transpose(1, 2)

    def subsampled_mask(self, attention_mask: torch.Tensor | None) -> torch.Tensor | None:
        """(batch, frames) to (batch, positions): a position belongs to the frame in the middle of its kernel."""
        return None if attention_mask is None else attention_mask[:, :: _STRIDE ** len(self.convolutions)]


class VanillaSpeechEncoder(VanillaEncoderModel):
    """The encoder behind convolutions that subsample frames; it has no tokens."""

    main_input_name = "input_features"

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__(config.encoder_config(), add_pooling_layer=False)
        del self.embed_tokens
        self.subsampler = ConvolutionalSubsampler(config)
        self.post_init()

    def forward(
        self,
        input_features: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPooling:
        """Encode.

        Args:
            input_features: (batch, frames, mel).
            attention_mask: (batch, frames), 1 for frames and 0 for padding. Padding on the left changes nothing if it
                is a multiple of the subsampling, 4 frames.
            **kwargs: passed to the attention.

        Returns:
            `last_hidden_state` (batch, positions, hidden), with a quarter of the frames as positions.

        Raises:
            ValueError: no features, or features or mask of another shape.
        """
        if input_features is None:
            raise ValueError("Give input_features (batch, frames, mel), as the feature extractor makes them.")
        check_mask("attention_mask", attention_mask, *input_features.shape[:2])
        features = self.subsampler(input_features.to(self.dtype), attention_mask)
        return super().forward(
            inputs_embeds=features, attention_mask=self.subsampler.subsampled_mask(attention_mask), **kwargs
        )


__all__ = ["ConvolutionalSubsampler", "VanillaSpeechEncoder"]
