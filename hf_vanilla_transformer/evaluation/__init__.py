"""Metrics, as modules of the `evaluate` library, and calibration."""

from .metric_table import METRICS, load_metric

__all__ = ["METRICS", "load_metric"]
