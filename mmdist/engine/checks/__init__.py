"""What shows only once a run is built: its first images, their labels, the parameters' names."""

from __future__ import annotations

from mmdist.engine.checks.input_sizes import check_input_sizes
from mmdist.engine.checks.labels import LabelGuard
from mmdist.engine.checks.module_names import check_module_names
from mmdist.engine.checks.parameter_rules import check_custom_keys
from mmdist.engine.checks.samples import check_samples
from mmdist.engine.checks.validation_images import warn_of_validation_images

__all__ = [
    "LabelGuard",
    "check_custom_keys",
    "check_input_sizes",
    "check_module_names",
    "check_samples",
    "warn_of_validation_images",
]
