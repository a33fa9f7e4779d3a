"""A checkpoint that a run goes on from is checked before anything in it is used."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdist.engine.resumed import check_for_runner, leave_out
from mmdist.registry import HOOKS


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Refuses a checkpoint to go on from that does not fit the run, and whatever in it is more than data.

    mmdist's tools add it to every run, before all other hooks.

    Example:
        >>> ResumeCheckHook().priority
        'HIGHEST'
    """

    priority = "HIGHEST"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the whole of it where the run goes on from it; of one to start from, mmengine uses weights alone.

        Raises:
            CheckpointError: With the entry, its value, and what is allowed.
        """
        leave_out(checkpoint)
        if runner._resume:
            check_for_runner(checkpoint, runner, str(runner._load_from or "the latest checkpoint"))
