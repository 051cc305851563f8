"""The examination of one process and its machine: versions, devices, threads, allocator, folder."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from importlib import metadata
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from ...device import default_device, hardware
from ...wording import counted
from ..memory import size
from .finding import Finding, ok, problem, warning

PACKAGE = "hf_vanilla_transformer"
# What must be equal on all processes, because it decides numbers or file formats.
COMPARED = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "safetensors", PACKAGE)
# A checkpoint of a small model, with its optimizer.
_LITTLE_SPACE = 2**30


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that must be equal on all processes."""
    found = {"Python": platform.python_version()}
    for name in COMPARED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def examine_versions() -> list[Finding]:
    """The versions, and those outside of the ranges that this package supports."""
    found = versions()
    findings = [ok("versions", ", ".join(f"{name} {version}" for name, version in found.items()))]
    for line in metadata.requires(PACKAGE) or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            findings.append(problem("versions", f"{requirement.name} is missing", f"pip install '{line}'"))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            text = f"{requirement.name} {version} is outside of {requirement.specifier}"
            findings.append(problem("versions", text, f"pip install '{line}'"))
    return findings


def examine_device(local_rank: int, local_world_size: int) -> list[Finding]:
    """The device of this process, and the threads that the processes of this machine share.

    Args:
        local_rank: number of this process on its machine.
        local_world_size: number of processes on this machine.
    """
    device = default_device()
    if device.type != "cpu":
        count = torch.accelerator.device_count()
        text = f"{hardware()}, {count} on this machine"
        if local_rank >= count:
            remedy = f"start at most {counted(count, 'process', 'processes')} on this machine"
            return [problem("device", f"{text}, but this is process {local_rank} here", remedy)]
        return [ok("device", text)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    text = f"{hardware()}, no accelerator; {counted(threads, 'thread')} a process"
    if threads * local_world_size > cores:
        remedy = f"export OMP_NUM_THREADS={max(1, cores // local_world_size)}"
        return [
            warning(
                "device",
                f"{text}, {counted(local_world_size, 'process', 'processes')} on {counted(cores, 'core')}",
                remedy,
            )
        ]
    return [ok("device", text)]


def examine_memory() -> Finding:
    """The memory that is free now."""
    memory = psutil.virtual_memory()
    return ok("memory", f"{size(memory.available)} of {size(memory.total)} are available")


def examine_folder(folder: Path) -> Finding:
    """Whether a run can write to `folder`, which may not exist yet; and the space on its disk."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        return problem("folder", f"{there} is a file", "choose another --output")
    probe = there / f".hf-vanilla-doctor-{socket.gethostname()}-{os.getpid()}"
    begin = time.perf_counter()
    try:
        with probe.open("wb") as file:
            file.write(bytes(2**20))
            file.flush()
            os.fsync(file.fileno())
        seconds = time.perf_counter() - begin
    except OSError as error:
        return problem("folder", f"{there} cannot be written: {error.strerror}", "choose another --output")
    finally:
        probe.unlink(missing_ok=True)
    free = shutil.disk_usage(there).free
    text = f"{there} can be written, {size(free)} free, 1 MiB on disk after {seconds * 1000:.0f} ms"
    if free < _LITTLE_SPACE:
        return warning("folder", text, "free some space: a run keeps several checkpoints")
    return ok("folder", text)
