"""mmdist: knowledge distillation for OpenMMLab.

``custom_imports = dict(imports=['mmdist'])`` in a config is all it takes. The
import is light: no task library is loaded until a config asks for one, and
``mmdist.functional`` works where nothing but torch is installed.
"""

from importlib.util import find_spec

from mmdist import compat
from mmdist.version import __version__

compat.apply()

if find_spec("mmengine") is not None:
    from mmdist import registry  # noqa: F401  (adds the mmdist nodes to the registry tree)

__all__ = ["__version__"]
