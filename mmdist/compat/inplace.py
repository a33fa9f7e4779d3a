"""In-place activations overwrite what a recorder has recorded.

Reason: MMRazor switches ``inplace`` off before it records, but looks for
``nn.Module`` attributes held in an ``OrderedDict``; torch 2.5 made them a plain
``dict``, and the switch-off silently does nothing. A ReLU then writes over the
batch-norm output that was recorded for the loss.

Window: torch >= 2.5. The traversal here is right for every version, and the
algorithm class calls it for teacher and student.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmdist.compat import versions

if TYPE_CHECKING:
    from torch import nn

NUMBER = 5
NAME = "in-place activations"
REASON = "recorded features are overwritten by the activation that follows"
WINDOW = "torch >= 2.5"
WHEN = "mmdist's algorithms"


def needed() -> bool:
    """Whether MMRazor's own switch-off does nothing beside the installed torch."""
    return versions.at_least(versions.installed("torch"), "2.5")


def active() -> bool:
    """Never by itself: the algorithms call :func:`disable_inplace`."""
    return False


def apply() -> None:
    """Nothing to do for the process as a whole."""


def disable_inplace(module: nn.Module) -> list[str]:
    """Switch ``inplace`` off in a module and all its children.

    Args:
        module (nn.Module): Changed in place; its outputs stay the same.

    Returns:
        list[str]: Names of the modules that were changed, as in ``named_modules`` (the module itself is ``''``).

    Example:
        >>> from torch import nn
        >>> disable_inplace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True)))
        ['1']
    """
    changed = []
    for name, child in module.named_modules():
        if getattr(child, "inplace", None) is True:
            child.inplace = False
            changed.append(name)
    return changed
