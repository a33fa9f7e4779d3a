"""What the runs of these tests import: a hook that writes down which process ran which iteration, and takes time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class TraceHook(Hook):
    """One file a process, one line an iteration: its number and the node. ``TRACE_PAUSE`` is the pause before each."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Write down, then wait."""
        with Path(runner.work_dir, f"rank{get_rank()}.txt").open("a") as file:
            file.write(f"{runner.iter} {os.environ['SLURMD_NODENAME']}\n")
        time.sleep(float(os.environ.get("TRACE_PAUSE", "0")))
