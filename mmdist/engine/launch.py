"""One process or many: what a launcher needs before the Runner is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from mmengine.config import Config

from mmdist.compat import process_group, slurm
from mmdist.errors import ConfigError, MMDistError

Result = TypeVar("Result")
LAUNCHERS = process_group.LAUNCHERS


def prepare_launch(cfg: Config) -> None:
    """Make the environment what the launcher promises, and open the process group where mmengine cannot.

    Args:
        cfg (Config): With ``launcher``: none, pytorch, slurm or mpi; changed in place where several processes run on
            CPUs.

    Raises:
        ConfigError: The launcher is unknown, or did not start this process.
    """
    launcher = cfg.get("launcher", "none")
    if launcher not in LAUNCHERS:
        raise ConfigError("--launcher", launcher, LAUNCHERS)
    if launcher == "none":
        return
    if launcher == "slurm":
        slurm.prepare_environment()
    process_group.init_cpu_process_group(launcher)
    process_group.use_cpu_model_wrapper(cfg)


def first_process(
    work: Callable[[], Result], launcher: str, dist_cfg: dict[str, Any] | None = None, what: str = "its part"
) -> Result | None:
    """Let the first of a launcher's processes do something while the others wait for it.

    Args:
        work (Callable): What is to be done.
        launcher (str): none, pytorch, slurm or mpi; with a launcher a process group is open afterwards.
        dist_cfg (dict, optional): ``env_cfg.dist_cfg`` of the config, for mmengine.
        what (str): What is done, for the message of the processes that waited in vain.

    Returns:
        Any: What it returned; None in the other processes.

    Raises:
        MMDistError: In the other processes, where it failed in the first.

    Example:
        >>> first_process(lambda: 3, 'none')
        3
    """
    if launcher == "none":
        return work()
    from mmengine import dist

    prepare_launch(Config({"launcher": launcher}))
    if not dist.is_distributed():
        dist.init_dist(launcher, **(dist_cfg or {}))
    told = ["the first process ended"]
    result = None
    try:
        if dist.get_rank() == 0:
            result = work()
            told = [""]
    except MMDistError as error:
        told = [str(error)]
        raise
    finally:
        dist.broadcast_object_list(told)
    if told[0]:
        raise MMDistError(f"the first process could not make {what}: {told[0]}")
    return result


def end_launch() -> None:
    """Close the process group, if one is open."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
