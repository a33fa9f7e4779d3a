"""What there is to record in a model: paths, shapes and calls of its modules, teacher and student side by side."""

from mmdist.engine.modules.main import MODES, list_modules

__all__ = ["MODES", "list_modules"]
