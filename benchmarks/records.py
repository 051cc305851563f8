"""Records of benchmarks: the machine and the measurements, as JSON files that are complete or absent."""

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
    """Processor, cores, load and versions, without which a figure cannot be interpreted."""
    import torch

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        facts = dict(map(str.strip, line.split(":", 1)) for line in cpuinfo.read_text().splitlines() if ":" in line)
        processor = facts.get("model name", processor)
        # Virtual machines often hide the model. AMD's family 23 is Zen 1 and 2, 25 is Zen 3 and 4, 26 is Zen 5.
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
    """The peak resident memory of this process, in bytes.

    On Linux, a program inherits `ru_maxrss` from the process that started it; /proc has the value of the program alone.
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
        ValueError: `values` is empty.
    """
    if not values:
        raise ValueError("values is empty: give at least one measurement")
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "values": list(values)}


def write_text(path: str | Path, text: str) -> Path:
    """Writes to a temporary file and renames it, so that a reader never sees an incomplete file.

    It does not use `hf_vanilla_transformer.files`, because the runs of peers import nothing of the package.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path


def write_json(path: str | Path, record: dict[str, Any]) -> Path:
    """Writes a record as JSON."""
    return write_text(path, json.dumps(record, indent=2) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Reads a record.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no record {path}: run the benchmark that writes it (see docs/benchmarks.md)."
        )
    return json.loads(path.read_text(encoding="utf-8"))
