"""One process or many: what a launcher needs before the Runner is built."""

from __future__ import annotations

import torch
from mmengine.config import Config

from mmdist.compat import process_group, slurm
from mmdist.errors import ConfigError

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


def end_launch() -> None:
    """Close the process group, if one is open."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
