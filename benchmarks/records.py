"""What a benchmark writes down: where it ran, what it measured, as JSON that is complete or absent."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions: what a figure means nothing without."""
    import torch

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        facts = dict(map(str.strip, line.split(":", 1)) for line in cpuinfo.read_text().splitlines() if ":" in line)
        processor = facts.get("model name", processor)
        # Machines to rent name no model: AMD's family 23 is Zen 1 and 2, 25 is Zen 3 and 4, 26 is Zen 5.
        processor += f", family {facts['cpu family']}" if "cpu family" in facts else ""
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "nice": os.nice(0) if hasattr(os, "nice") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": metadata.version("transformers"),
    }


def peak_memory() -> int:
    """The most bytes that this process has held in memory.

    Linux hands `ru_maxrss` on from the parent to a program it starts; the figure in /proc belongs to the program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def summary(values: list[float]) -> dict[str, Any]:
    """Median and spread of repeated measurements.

    Raises:
        ValueError: if there is nothing to summarise.
    """
    if not values:
        raise ValueError("values is empty: at least one measurement is needed")
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "values": list(values)}


def write_text(path: str | Path, text: str) -> Path:
    """Write aside, then rename, so that a reader never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path


def write_json(path: str | Path, record: dict[str, Any]) -> Path:
    """Write a record as JSON, whole or not at all."""
    return write_text(path, json.dumps(record, indent=2) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        FileNotFoundError: with the command that writes such files.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no results at {path}: run the benchmark that writes it (see docs/benchmarks.md)")
    return json.loads(path.read_text(encoding="utf-8"))
