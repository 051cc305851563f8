"""One result of an examination, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """Whether a run would work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One result.

    Attributes:
        subject: what was examined.
        status: whether a run would work.
        text: what was found.
        remedy: what to do; empty where nothing is wrong.
        rank: the process that found it; None where it concerns all.
    """

    subject: str
    status: Status
    text: str
    remedy: str = ""
    rank: int | None = None


def ok(subject: str, text: str) -> Finding:
    """A finding without a fault."""
    return Finding(subject, Status.OK, text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """A finding that makes a run slow or fragile."""
    return Finding(subject, Status.WARNING, text, remedy)


def problem(subject: str, text: str, remedy: str) -> Finding:
    """A finding that makes a run fail, or makes it another run."""
    return Finding(subject, Status.PROBLEM, text, remedy)


def findings_table(findings: Sequence[Finding]) -> str:
    """One line a finding, the remedies below, and the verdict in the last line."""
    width = max((len(finding.subject) for finding in findings), default=0)
    lines = []
    for finding in findings:
        where = "" if finding.rank is None else f"[process {finding.rank}] "
        lines.append(f"{finding.status.value:8} {finding.subject:{width}}  {where}{finding.text}")
        if finding.remedy:
            lines.append(f"{'':8} {'':{width}}  → {finding.remedy}")
    counts = {status: sum(finding.status is status for finding in findings) for status in Status}
    if counts[Status.PROBLEM]:
        number = counts[Status.PROBLEM]
        lines.append(f"{number} problem{'s' if number > 1 else ''}: a run would fail, or not be the one you asked for.")
    elif counts[Status.WARNING]:
        number = counts[Status.WARNING]
        lines.append(f"No problem, {number} warning{'s' if number > 1 else ''}.")
    else:
        lines.append("All is well.")
    return "\n".join(lines)
