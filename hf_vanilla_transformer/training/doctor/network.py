"""The examination of what lies between processes: the address where they meet, and the interfaces."""

from __future__ import annotations

import errno
import os
import socket

from ..launch import Launch
from .finding import Finding, ok, problem, warning

# Libraries that choose an interface, and the variable that chooses for them.
_INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


def examine_launch(launch: Launch, wanted: int | None) -> Finding:
    """Whether as many processes were started as were asked for.

    Args:
        launch: how this process was started.
        wanted: the number that the user expects; None for what the launcher was asked for.
    """
    wanted = wanted if wanted is not None else launch.asked
    text = f"{launch.world_size} started, {launch.local_world_size} on this machine"
    if launch.divides is not None:
        remedy = "set distributed.fsdp_size in the recipe, and distributed_type: MULTI_GPU in the file of accelerate"
        return problem("processes", f"{text}; accelerate was asked for {launch.divides}, which is refused", remedy)
    if wanted is not None and wanted != launch.world_size:
        remedy = (
            f"torchrun --nproc_per_node {wanted} -m hf_vanilla_transformer.commands.main ..., or accelerate launch "
            "with scripts/accelerate/two_processes_cpu.yaml (accelerate's --cpu starts one process)"
        )
        return problem("processes", f"{text}, but {wanted} were asked for", remedy)
    return ok("processes", text)


def examine_address(launch: Launch) -> Finding:
    """Whether the address where the processes meet can be used; before they try.

    Args:
        launch: of several processes.
    """
    assert launch.address is not None
    host, port = launch.address
    try:
        resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror as error:
        remedy = "set MASTER_ADDR (--rdzv_endpoint of torchrun) to the address of the first machine"
        return problem("address", f"{host}: {error.strerror}", remedy)
    text = f"{host}:{port}" + (f" ({resolved})" if resolved != host else "")
    # Below torchrun, the agent that started this process already listens there.
    if launch.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return problem("address", f"port {port} is used by another program", "export MASTER_PORT to a free one")
            return problem("address", f"port {port}: {error.strerror}", "export MASTER_PORT to a port above 1023")
    if launch.local_world_size < launch.world_size and resolved.startswith("127."):
        remedy = "set MASTER_ADDR to an address that the other machines reach"
        return problem("address", f"{text} is this machine only, but the processes are on several", remedy)
    return ok("address", text)


def examine_interfaces() -> Finding:
    """The network interfaces, and whether the environment chooses one that exists."""
    names = [name for _, name in socket.if_nameindex()]
    text = ", ".join(names)
    for variable in _INTERFACE_VARIABLES:
        chosen = os.environ.get(variable)
        if chosen is None:
            continue
        text += f"; {variable}={chosen}"
        # NCCL takes prefixes, and lists with commas.
        if not any(name.startswith(prefix.lstrip("=^")) for prefix in chosen.split(",") for name in names):
            return problem("interfaces", text, f"unset {variable}, or set it to one of these interfaces")
    return ok("interfaces", text)


def examine_hosts(hosts: list[tuple[str, str]]) -> Finding:
    """Whether the machines of a run find each other by their names.

    Args:
        hosts: name and address by which each process knows its own machine.
    """
    names = sorted({name for name, _ in hosts})
    loopback = sorted({name for name, address in hosts if address.startswith("127.")})
    text = ", ".join(names)
    if len(names) > 1 and loopback and "GLOO_SOCKET_IFNAME" not in os.environ:
        remedy = "export GLOO_SOCKET_IFNAME (and NCCL_SOCKET_IFNAME) to the interface between the machines"
        return warning("machines", f"{text}; {', '.join(loopback)} finds only itself by its name", remedy)
    return ok("machines", text)


def this_host() -> tuple[str, str]:
    """The name of this machine, and the address that it resolves to."""
    name = socket.gethostname()
    try:
        return name, socket.gethostbyname(name)
    except OSError:
        return name, "unknown"
