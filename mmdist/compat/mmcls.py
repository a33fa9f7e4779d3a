"""An installed ``mmcls`` makes MMRazor's import fail.

Reason: MMRazor tries ``import mmcls`` and survives an ImportError, but mmcls,
long renamed to mmpretrain, answers a newer mmcv with an AssertionError. The
package cannot be imported in any case; hiding it turns its AssertionError into
the ImportError that MMRazor expects.

Window: mmcv >= 2.1 (mmcls's last release refuses it).
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from mmdist.compat import versions

NUMBER = 2
NAME = "an installed mmcls"
REASON = "import mmrazor.models fails with mmcls's AssertionError about mmcv"
WINDOW = "an installed mmcls, mmcv >= 2.1"
WHEN = "import mmdist"


def needed() -> bool:
    """Whether an mmcls is installed that cannot work beside the installed mmcv."""
    return versions.at_least(versions.installed("mmcv", "mmcv-lite"), "2.1") and (active() or _is_there())


def _is_there() -> bool:
    # A module that was made by hand and has no spec makes find_spec raise.
    try:
        return find_spec("mmcls") is not None
    except ValueError:
        return True


def active() -> bool:
    """Whether mmcls is hidden."""
    return "mmcls" in sys.modules and sys.modules["mmcls"] is None


def apply() -> None:
    """Hide mmcls, unless somebody did import it."""
    sys.modules.setdefault("mmcls", None)  # type: ignore[arg-type]
