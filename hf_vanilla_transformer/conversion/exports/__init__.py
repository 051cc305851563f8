"""Models of ours in the formats of others, each run and compared with the model before it is handed over."""

from .export import TARGETS, export_to
from .report import Check, ExportReport

__all__ = ["TARGETS", "Check", "ExportReport", "export_to"]
