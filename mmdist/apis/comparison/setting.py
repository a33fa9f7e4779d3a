"""What a report says of a comparison, beside its numbers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from mmdist.apis.comparison.prepare import Prepared
from mmdist.apis.comparison.results import Setting
from mmdist.apis.comparison.trainings import device_name
from mmdist.version import __version__

PACKAGES = ("torch", "mmengine", "mmcv", "mmrazor", "mmdet", "mmsegmentation", "mmpretrain")


def setting_of(prepared: Prepared, command: str = "") -> Setting:
    """The setting of a comparison.

    Args:
        prepared (Prepared): What is compared.
        command (str): That does it again.
    """
    plan = prepared.plan
    return Setting(
        title=plan.title or f"Did it help? {os.path.basename(plan.student)}",
        metric=prepared.metric,
        length=prepared.lengths.schedule,
        unit=prepared.unit,
        seeds=plan.seeds,
        arms={arm.name: arm.text or arm.name for arm in plan.arms},
        searched={arm.name: arm.rate for arm in plan.arms},
        chosen_on=prepared.choosing.text,
        judged_on=prepared.judging.text,
        teacher=plan.teacher.config if plan.teacher else "",
        learning_rate=dict(prepared.rates),
        command=command,
        versions=versions(),
        machine=f"{_cores()} cores, {device_name()}, Python {platform.python_version()}",
        time_step=prepared.lengths.time_step,
    )


def versions() -> dict[str, str]:
    """Of the packages that a result depends on, as far as they are installed."""
    found = {"mmdist": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
