"""Everything that a config can name, scope ``mmdist``."""

from mmdist import compat

compat.apply()  # again: what this import brings along may need a fix that was not needed before

from mmdist.models import algorithms, backbones, connectors, heads, losses, recorders, weightings  # noqa: E402

__all__ = ["algorithms", "backbones", "connectors", "heads", "losses", "recorders", "weightings"]
