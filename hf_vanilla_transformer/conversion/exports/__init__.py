"""Export to other formats. Every exported model is run and compared with the original before its folder is created."""

from .protocol import Check, ExportReport
from .verified_export import TARGETS, export_to

__all__ = ["TARGETS", "Check", "ExportReport", "export_to"]
