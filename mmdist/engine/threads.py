"""How many threads a run on the CPU computes with.

The number follows from the machine, the launcher and the config, never from the load: it changes how sums are rounded,
so a run that is resumed needs the number that it began with. One CPU at least is left where there are several, because
a thread that waits for its CPU holds up all others in every operation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.logging import print_log

from mmdist.engine._cpus import available_cpus, positive
from mmdist.errors import ConfigError

# What torch itself takes its number from; the first one that is set counts.
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Threads:
    """A number of threads and where it comes from.

    Args:
        count (int): Of one process.
        cpus (int): That this process may use; shared with the other processes of the run on this machine.
        processes (int): Of the run on this machine.
        variable (str): The environment variable by which the user chose; empty if nobody did.
    """

    count: int
    cpus: int
    processes: int = 1
    variable: str = ""

    def __str__(self) -> str:
        if self.variable:
            return f"{self.count} ({self.variable})"
        shared = f" shared by {self.processes} processes" if self.processes > 1 else ""
        return f"{self.count} ({self.cpus} CPU{'s' * (self.cpus > 1)}{shared}; OMP_NUM_THREADS=N sets another number)"


def choose_threads(cpus: int, workers: int, environment: Mapping[str, str]) -> Threads:
    """The number of threads of one process: its share of the CPUs, less one for each data worker.

    At least one CPU is left and at most half of the share, so that many workers do not slow down the computing.

    Args:
        cpus (int): That this process may use.
        workers (int): Processes that load data for this one.
        environment (Mapping[str, str]): Of the process: the user's choice, and what launchers say.

    Returns:
        Threads: At least one.

    Raises:
        ConfigError: A variable that holds no number above 0.

    Example:
        >>> choose_threads(8, 2, {}).count, choose_threads(8, 2, {'LOCAL_WORLD_SIZE': '2'}).count
        (6, 2)
    """
    processes = local_processes(environment)
    for name in VARIABLES:
        if text := environment.get(name, "").strip():
            first = text.split(",")[0].strip()  # further numbers are for nested parallel regions
            if not first.isdecimal() or int(first) < 1:
                raise ConfigError(name, text, "a number above 0")
            return Threads(int(first), cpus, processes, name)
    share = max(1, cpus // processes)
    return Threads(max(1, share - min(max(1, workers), share // 2)), cpus, processes)


def local_processes(environment: Mapping[str, str]) -> int:
    """How many processes of a run share this machine's CPUs, or what slurm has given to this task of them.

    Example:
        >>> local_processes({'SLURM_STEP_ID': '0', 'SLURM_STEP_TASKS_PER_NODE': '4(x2),3'})
        4
    """
    counts = [environment.get(name, "") for name in ("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")]
    if "SLURM_STEP_ID" in environment and not positive(environment.get("SLURM_CPUS_PER_TASK")):
        # The first one is right where srun was given fewer tasks than its job has.
        tasks = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_NTASKS_PER_NODE", "")
        counts.append(max((number for number, _ in re.findall(r"(\d+)(\(x\d+\))?", tasks)), key=int, default=""))
    return max(1, *map(positive, counts))


def threads_here(workers: int) -> Threads | None:
    """The threads of a process on this machine; with a GPU None.

    Args:
        workers (int): Processes that load data for this one.

    Returns:
        Threads | None: What the user chose is left as it is, and so is a number that is lower already.

    Raises:
        ConfigError: A variable that holds no number above 0.
    """
    if get_device() != "cpu":
        return None
    chosen, now = choose_threads(available_cpus(), workers, os.environ), torch.get_num_threads()
    # torch counts cores, not hyperthreads
    return replace(chosen, count=now if chosen.variable else min(chosen.count, now))


def use_threads(workers: int) -> Threads | None:
    """Compute with the threads of :func:`threads_here`, and say so once a run; with a GPU do nothing.

    Args:
        workers (int): Processes that load data for this one.

    Returns:
        Threads | None: What is in use.
    """
    chosen = threads_here(workers)
    if chosen is None:
        return None
    if not chosen.variable:
        torch.set_num_threads(chosen.count)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for name in VARIABLES:  # mmengine sets what is missing to 1, which nothing reads any more, and warns
            os.environ.setdefault(name, str(chosen.count))
    if get_rank() == 0:
        print_log(f"CPU threads: {chosen}", "current")
    return chosen


def variables_for_tools(chosen: Threads | None) -> dict[str, str]:
    """The environment that gives the processes which this one starts the same threads.

    A thread that has nothing to do sleeps instead of spinning: beside other programs, spinning takes the CPU from the
    very threads that are waited for. OpenMP reads that when torch is imported, too early for a process itself.
    """
    if chosen is None:
        return {}
    own = {} if chosen.variable else {"OMP_NUM_THREADS": str(chosen.count)}
    return own | {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}


def workers_of(loader: Any) -> int:
    """The processes of a dataloader's config; 0 where there is none."""
    workers = loader.get("num_workers", 0) if isinstance(loader, dict) else 0
    return workers if isinstance(workers, int) else 0
