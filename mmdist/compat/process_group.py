"""mmengine's launchers cannot start a group of CPU processes.

Reason: whatever the backend, they call ``torch.cuda.set_device`` first, and the
Runner then hands a device number to ``DistributedDataParallel``, which refuses
one for a CPU model. Where there is no accelerator, mmdist's tools create the
gloo group before the Runner, which then skips its own start, and give the
wrapper no device number.

Window: every mmengine so far.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mmdist.compat import slurm
from mmdist.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NUMBER = 7
NAME = "process groups on CPUs"
REASON = "mmengine's launchers call torch.cuda.set_device whatever the machine has"
WINDOW = "machines without an accelerator"
WHEN = "mmdist's tools"

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def needed() -> bool:
    """Whether this machine has no accelerator."""
    try:
        import torch
    except (ImportError, OSError):
        return False
    return not torch.cuda.is_available()


def active() -> bool:
    """Whether a gloo group runs in this process."""
    try:
        import torch.distributed as dist
    except (ImportError, OSError):
        return False
    return dist.is_available() and dist.is_initialized() and dist.get_backend() == "gloo"


def apply() -> None:
    """Nothing to do before the launcher is known."""


def init_cpu_process_group(launcher: str) -> None:
    """Create the gloo group of CPU processes; do nothing with an accelerator, or where a group exists.

    Args:
        launcher (str): Who started the processes: none, pytorch (torchrun), slurm or mpi.

    Raises:
        ConfigError: the launcher is unknown, or its environment variables are missing.

    Example:
        >>> init_cpu_process_group('none')
    """
    if launcher not in LAUNCHERS:
        raise ConfigError("launcher", launcher, LAUNCHERS)
    if launcher == "none" or not _cpu_only():
        return
    import torch.distributed as dist

    if dist.is_initialized():
        return
    {"pytorch": _check_torchrun, "slurm": slurm.prepare_environment, "mpi": _prepare_mpi}[launcher]()
    dist.init_process_group("gloo")


def use_cpu_model_wrapper(cfg: MutableMapping[str, Any]) -> None:
    """Let the Runner wrap a CPU model: without a device number; do nothing with an accelerator.

    Args:
        cfg (MutableMapping): The Runner's config, changed in place; a ``model_wrapper_cfg`` of its own is completed.
    """
    if not _cpu_only():
        return
    if cfg.get("model_wrapper_cfg") is None:
        # The values the Runner passes when there is no such key.
        unused = cfg.get("find_unused_parameters", False)
        cfg["model_wrapper_cfg"] = {"broadcast_buffers": False, "find_unused_parameters": unused}
    cfg["model_wrapper_cfg"].setdefault("type", "MMDistributedDataParallel")
    cfg["model_wrapper_cfg"]["device_ids"] = None


def _cpu_only() -> bool:
    from mmengine.device import get_device

    return get_device() == "cpu"


def _check_torchrun() -> None:
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(
            "launcher",
            "pytorch",
            f"the environment variables that torchrun sets ({', '.join(missing)} not set)",
            "start it with torchrun, as tools/dist_train.sh does",
        )
    # The Runner reads it, and hand-made launches tend to forget it.
    os.environ.setdefault("LOCAL_RANK", os.environ["RANK"])


def _prepare_mpi() -> None:
    names = {"RANK": "RANK", "WORLD_SIZE": "SIZE", "LOCAL_RANK": "LOCAL_RANK"}
    missing = [f"OMPI_COMM_WORLD_{name}" for name in names.values() if f"OMPI_COMM_WORLD_{name}" not in os.environ]
    if missing:
        raise ConfigError(
            "launcher",
            "mpi",
            f"the environment variables that Open MPI sets ({', '.join(missing)} not set)",
            "start it with mpirun -n 2 python tools/train.py CONFIG --launcher mpi",
        )
    alone = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == os.environ["OMPI_COMM_WORLD_SIZE"]
    if "MASTER_ADDR" not in os.environ and not alone:
        raise ConfigError("MASTER_ADDR", None, "the address of the first machine", "pass it with mpirun -x MASTER_ADDR")
    for name, source in names.items():
        os.environ[name] = os.environ[f"OMPI_COMM_WORLD_{source}"]
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
