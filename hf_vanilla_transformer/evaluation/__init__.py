"""Metrics, as modules of the `evaluate` library, and calibration."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "METRICS": "metric_table",
        "load_metric": "metric_table",
    },
)
