"""Examines what a run needs before it starts: versions, devices, processes, network, folder and memory."""

from .examination import examine
from .finding import Finding, Status, findings_table

__all__ = ["Finding", "Status", "examine", "findings_table"]
