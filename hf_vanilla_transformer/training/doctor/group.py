"""The examination of all processes together: whether they meet, agree, share a folder, and add up numbers."""

from __future__ import annotations

import os
import secrets
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ..launch import Launch
from .finding import Finding, ok, problem
from .machine import versions
from .network import examine_hosts, this_host

# Numbers in the all-reduce whose time is measured: 16 MiB, as the gradients of a small model.
_NUMBERS = 1 << 22
_REPEATS = 5


def meet(launch: Launch, seconds: float) -> Finding:
    """Forms the group of all processes.

    Args:
        launch: of several processes.
        seconds: how long to wait for the others.
    """
    assert launch.address is not None
    host, port = launch.address
    begin = time.perf_counter()
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo",
            timeout=timedelta(seconds=seconds),
        )
    except Exception as error:  # torch raises errors of several kinds, whose base differs between versions
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        text = f"not all {launch.world_size} processes reached {host}:{port} within {seconds:g} s: {reason}"
        remedy = (
            "start the missing ones (torchrun on every machine, with the same --rdzv_endpoint), and open the port and "
            "those above 1023 between the machines"
        )
        return problem("meeting", text, remedy)
    return ok("meeting", f"all {launch.world_size} processes met after {time.perf_counter() - begin:.1f} s")


def gathered(value: Any) -> list[Any]:
    """The value of each process, on all of them."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def examine_agreement() -> list[Finding]:
    """Whether all processes have the same versions, and how their machines find each other."""
    by_process = gathered((versions(), this_host()))
    findings = []
    for name in by_process[0][0]:
        found = [process[0][name] for process in by_process]
        if len(set(found)) > 1:
            listed = ", ".join(f"process {rank} has {version}" for rank, version in enumerate(found))
            findings.append(problem("agreement", f"{name}: {listed}", f"install one version of {name} everywhere"))
    findings = findings or [ok("agreement", "all processes have the same versions")]
    return [*findings, examine_hosts([process[1] for process in by_process])]


def examine_shared_folder(folder: Path) -> Finding:
    """Whether all processes read what the first one writes to `folder`, or to the nearest folder that exists.

    Only the first process writes checkpoints, and all read them when a run is resumed.
    """
    mark = gathered(secrets.token_hex(8))[0]
    first = dist.get_rank() == 0
    there = folder.absolute()
    while not there.is_dir():
        there = there.parent
    places = gathered(str(there))
    file = there / f".hf-vanilla-doctor-{mark}"
    try:
        written = ""
        if first:
            try:
                file.write_text(mark, encoding="utf-8")
            except OSError as error:
                written = error.strerror or str(error)
        if failed := gathered(written)[0]:
            return problem(
                "shared folder", f"process 0 cannot write to {places[0]}: {failed}", "choose another --output"
            )
        try:
            seen = file.read_text(encoding="utf-8") == mark
        except OSError:
            seen = False
        blind = [rank for rank, sees in enumerate(gathered(seen)) if not sees]
    finally:
        if first:
            file.unlink(missing_ok=True)
    if blind:
        listed = "; ".join(f"process {rank} looks at {places[rank]}" for rank in blind)
        remedy = "give --output an absolute path on a file system that all machines mount"
        return problem("shared folder", f"what process 0 writes to {places[0]} is not seen: {listed}", remedy)
    return ok("shared folder", f"what process 0 writes to {places[0]} is read by all")


def examine_reduction() -> Finding:
    """Whether the processes add up a tensor correctly, and how fast."""
    device = torch.device("cpu")
    if torch.cuda.is_available() and dist.is_nccl_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    count = dist.get_world_size()
    tensor = torch.full((_NUMBERS,), float(dist.get_rank() + 1), device=device)
    dist.all_reduce(tensor)
    expected = count * (count + 1) / 2
    if not bool((tensor == expected).all()):
        text = f"the sum of 1 to {count} over all processes is {tensor.min().item():g} to {tensor.max().item():g}"
        return problem("all-reduce", f"{text}, not {expected:g}", "look for a fault of the network or of a device")
    timings = []
    for _ in range(_REPEATS):
        dist.barrier()
        begin = time.perf_counter()
        dist.all_reduce(tensor)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        timings.append(time.perf_counter() - begin)
    # A ring sends 2 (n - 1) / n of the bytes over each link.
    rate = 2 * (count - 1) / count * tensor.nbytes / sorted(timings)[_REPEATS // 2]
    backend = "NCCL" if device.type == "cuda" else "gloo"
    return ok("all-reduce", f"correct over {backend}; {rate / 1e9:.2f} GB/s over each link, 16 MiB")
