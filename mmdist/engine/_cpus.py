"""How many CPUs a process may use. Nothing here needs more than the standard library: the set-up loads it too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MEMBERSHIP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available_cpus() -> int:
    """The CPUs that this process may use: those that it is bound to, and no more than its cgroup or slurm grants it."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = [positive(os.environ.get("SLURM_CPUS_PER_TASK")) or bound]
    with suppress(OSError, ValueError):  # another system
        granted += map(int, cgroup_limits(MEMBERSHIP.read_text(encoding="utf-8"), GROUPS))
    return max(1, min(bound, *granted))


def cgroup_limits(membership: str, root: Path) -> Iterator[float]:
    """The CPU times per second that the cgroups of a process grant it, of version 1 and 2, its parents' included.

    Args:
        membership (str): ``/proc/self/cgroup``.
        root (Path): Where the cgroups are mounted.

    Yields:
        float: In CPUs; nothing where there is no limit.
    """
    for line in membership.splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [root / name for name in (controllers, "cpu")] if controllers else [root, root / "unified"]
        group = Path(place.lstrip("/"))
        # In a container the path can be that of the host: then its own group is the mount itself.
        for folder in {mount / part for mount in mounts for part in (group, *group.parents)}:
            quota = _words(folder / "cpu.max") or [
                word for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us") for word in _words(folder / name)
            ]
            if len(quota) == 2 and all(map(positive, quota)):
                yield int(quota[0]) / int(quota[1])


def positive(text: str | None) -> int:
    """A number above 0, or 0 for anything else."""
    return int(text) if text and text.isdecimal() else 0


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
