"""Trained models in use on a CPU: packed weights, linear maps in fewer bits, encoders without padding."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "LowPrecisionLinear": "low_precision",
        "check_precision": "low_precision",
        "describe_precision": "low_precision",
        "drop_packed_weights": "packed_weights",
        "encoder_modules": "flat_encoder",
        "lower_precision": "low_precision",
        "skipped_padding": "flat_encoder",
    },
)
