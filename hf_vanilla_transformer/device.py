"""Where a model runs, and what that is called."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def default_device() -> torch.device:
    """The accelerator of this machine if it has one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def check_device(name: str) -> None:
    """Checks that this machine has the device `name`, such as `cpu`, `cuda` or `cuda:1`.

    Raises:
        ValueError: it does not, or there is no such kind of device.
    """
    counts = {"cpu": 1}
    if torch.accelerator.is_available():
        counts[default_device().type] = torch.accelerator.device_count()
    try:
        device = torch.device(name)
    except RuntimeError:  # an unknown kind
        device = None
    if device is None or (device.index or 0) >= counts.get(device.type, 0):
        listed = ", ".join(kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}" for kind, count in counts.items())
        raise ValueError(f"device {name!r} is not available; this machine has {listed}.")


def has_bfloat16_arithmetic() -> bool:
    """Whether this processor multiplies bfloat16 by itself; elsewhere it is emulated, and slower than float32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(feature, False) for feature in ("avx512_bf16", "amx_bf16", "bf16"))


def hardware(processes: int = 1) -> str:
    """What a run of so many processes computes on, in words: `8 x NVIDIA H100`, `2 cores of an AMD EPYC`.

    Args:
        processes: of the run; each has an accelerator of its own.
    """
    device = default_device()
    if device.type == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"{cores} core{'s' if cores != 1 else ''} of {_processor()}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{processes} x {name}" if processes > 1 else name


def _processor() -> str:
    """The model of the processor where the system says it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
