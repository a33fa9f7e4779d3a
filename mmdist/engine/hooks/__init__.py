"""Hooks: safe checkpoints, exact resuming, an orderly end when a run is told to stop, pictures of a distillation."""

from __future__ import annotations

from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import Runner

from mmdist import compat
from mmdist.engine.hooks.acclimation import AcclimationHook
from mmdist.engine.hooks.checkpoint import CheckpointHook
from mmdist.engine.hooks.preempt import Preempted, PreemptHook
from mmdist.engine.hooks.resume import ExactResumeHook
from mmdist.engine.hooks.resume_check import ResumeCheckHook
from mmdist.engine.hooks.visualization import DistillVisualizationHook

compat.apply()  # again: mmengine's runner, which is imported by now, needs the loader of its checkpoints repaired

__all__ = [
    "AcclimationHook",
    "CheckpointHook",
    "DistillVisualizationHook",
    "ExactResumeHook",
    "PreemptHook",
    "Preempted",
    "ResumeCheckHook",
    "add_default_hooks",
]


def add_default_hooks(runner: Runner) -> None:
    """Give a runner what every run of mmdist's tools has; hooks that its config names itself are left as they are.

    Args:
        runner (Runner): Before it runs. A plain CheckpointHook becomes mmdist's, with its arguments.
    """
    for hook in runner.hooks:
        # Not by the config, which is written to the work dir: that copy shall work with the task libraries' tools too.
        if type(hook) is _CheckpointHook:
            hook.__class__ = CheckpointHook
    for kind in (ResumeCheckHook, ExactResumeHook, PreemptHook, AcclimationHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
