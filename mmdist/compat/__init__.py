"""Third-party breakages, one module each, and nothing else.

``import mmdist`` calls :func:`apply`. Nothing in site-packages is changed, and
nothing heavier than torch is imported.
"""

from __future__ import annotations

from typing import cast

from mmdist.compat import (
    checkpoint,
    inplace,
    layer_decay,
    layout,
    local_rank,
    mmcls,
    multimodal,
    optional_packages,
    process_group,
    quantization,
    slurm,
    tests_package,
    torchvision_ops,
)
from mmdist.compat.fix import Fix, FixStatus

FIXES = cast(
    "tuple[Fix, ...]",
    (
        *(quantization, mmcls, torchvision_ops, checkpoint, inplace),
        *(tests_package, process_group, slurm, local_rank, layout, layer_decay),
        *(multimodal, optional_packages),
    ),
)


def apply() -> None:
    """Apply every fix that this environment needs.

    May be called again, and has to be after ``mmengine.runner`` was imported:
    the checkpoint loader can be registered only then, and the optimizers'
    constructors changed.
    """
    at_import = (quantization, mmcls, torchvision_ops, multimodal, optional_packages)
    for fix in (*at_import, checkpoint, layer_decay):
        if fix.needed():
            fix.apply()


def status() -> list[FixStatus]:
    """The state of every fix in this process, in the order of the documentation."""
    return [
        FixStatus(fix.NUMBER, fix.NAME, fix.REASON, fix.WINDOW, fix.needed(), fix.active(), fix.WHEN) for fix in FIXES
    ]


def notes() -> list[str]:
    """What the fixes have switched off in this process that a user may miss, one line each."""
    return [note for note in (multimodal.note(), optional_packages.note()) if note]


__all__ = ["FIXES", "FixStatus", "apply", "notes", "status"]
