"""Slurm jobs that collide, and messages that say nothing.

Reason: mmengine asks ``scontrol`` for the first node, which is not installed in
every container and whose error text then becomes the address; it takes a node's
name for its address, also where slurm knows another; it takes port 29500 for
every job, so that two jobs on one node meet in one group; outside ``srun`` it
fails with a KeyError, or waits for processes that nobody started.

Window: every mmengine so far. Called by mmdist's tools before the Runner, which
keeps an address and a port that are set.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess

from mmdist.errors import ConfigError

NUMBER = 8
NAME = "slurm's environment"
REASON = "needs scontrol, and two jobs on one node take the same port"
WINDOW = "jobs of slurm"
WHEN = "mmdist's tools (--launcher slurm)"

# Below the range from which Linux hands out ports by itself.
_FIRST_PORT, _PORTS = 10_000, 20_000


def needed() -> bool:
    """Whether this process belongs to a slurm job."""
    return "SLURM_JOB_ID" in os.environ


def active() -> bool:
    """Whether the environment of this step was prepared."""
    return needed() and os.environ.get("MASTER_PORT") is not None and os.environ.get("RANK") is not None


def apply() -> None:
    """Nothing to do before the launcher is known."""


def prepare_environment() -> None:
    """Set MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE and LOCAL_RANK from slurm's variables.

    An address and a port that are set already are kept. The port is derived
    from the numbers of job and step, so every task finds the same one and two
    jobs on a node find different ones.

    Raises:
        ConfigError: this is no task of ``srun``, the port is taken, or the first node has no address.
    """
    rank, size, local_rank = _number("SLURM_PROCID"), _number("SLURM_NTASKS"), _number("SLURM_LOCALID")
    if size > 1 and not _step():
        raise _not_in_srun("SLURM_STEP_ID")
    address = os.environ.get("MASTER_ADDR") or _first_address()
    port = os.environ.get("MASTER_PORT") or _default_port(rank)
    values = {"MASTER_ADDR": address, "MASTER_PORT": port, "RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": local_rank}
    os.environ.update({name: str(value) for name, value in values.items()})


def first_host(nodelist: str) -> str:
    """The first node of a list in slurm's notation.

    Example:
        >>> first_host('n[1-3,7]'), first_host('gpu-[007-012]-a,login'), first_host('n1,n2')
        ('n1', 'gpu-007-a', 'n1')
    """
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodelist.strip())
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first.group() if first else "")


def default_port(job: int, step: int = 0) -> int:
    """The port of a job's step: the same on every task, another one for the next job.

    Example:
        >>> default_port(4711) == default_port(4711, 0) != default_port(4712)
        True
    """
    # A prime stride keeps the steps of neighbouring jobs apart.
    return _FIRST_PORT + (job + 127 * step) % _PORTS


def _number(name: str) -> int:
    value = os.environ.get(name)
    if value is None:
        raise _not_in_srun(name)
    try:
        return int(value)
    except ValueError:
        raise ConfigError(name, value, "a whole number") from None


def _not_in_srun(name: str) -> ConfigError:
    return ConfigError(
        "launcher",
        "slurm",
        f"a task started by srun ({name} is not set)",
        "start it with srun, as tools/slurm_train.sh does, or pass --launcher none",
    )


def _step() -> str | None:
    return os.environ.get("SLURM_STEP_ID") or os.environ.get("SLURM_STEPID")


def _first_address() -> str:
    if os.environ.get("SLURM_STEP_NUM_NODES") == "1":
        return "127.0.0.1"
    nodes = next(
        (os.environ[n] for n in ("SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST") if n in os.environ), ""
    )
    host = first_host(nodes)
    if not host:
        raise _not_in_srun("SLURM_STEP_NODELIST")
    if _resolves(host):
        return host
    address = _node_address(host)
    if not _resolves(address):
        # torch would try for minutes before it gave up.
        hint = "set MASTER_ADDR to the address of the first node"
        raise ConfigError("MASTER_ADDR", host, "a name with an address", hint)
    return address


def _resolves(name: str) -> bool:
    try:
        return bool(name and socket.getaddrinfo(name, None))
    except OSError:
        return False


def _node_address(host: str) -> str:
    """Where slurm itself reaches a node whose name says nothing to the name service; empty without an answer."""
    try:
        command = ["scontrol", "show", "node", "-o", host]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"\bNodeAddr=(\S+)", answer)
    return found[1] if found else ""


def _default_port(rank: int) -> int:
    port = default_port(_number("SLURM_JOB_ID"), int(_step() or 0))
    if rank == 0:
        with socket.socket() as probe:
            # As torch's store binds: a connection of an earlier job that is still closing is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                hint = "set MASTER_PORT to another one"
                raise ConfigError("MASTER_PORT", port, "a port that is free on the first node", hint) from None
    return port
