"""A distillation config for a student and a teacher of the user's own."""

from mmdist.engine.new.main import Written, new_config
from mmdist.engine.new.methods import METHODS

__all__ = ["METHODS", "Written", "new_config"]
