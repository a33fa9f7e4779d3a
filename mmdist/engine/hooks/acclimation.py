"""Is the teacher's learning rate one that it survives? Asked before the first iteration, in DDP too."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdist.registry import HOOKS


@HOOKS.register_module()
class AcclimationHook(Hook):
    """Looks at the learning rate of the acclimated modules, as the algorithm's own ``train_step`` does.

    DDP calls the algorithm's ``forward`` and never its ``train_step``.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner: Runner) -> None:
        """Raises a ``ConfigError`` where the optimizer does not have the modules, and warns of a rate too high."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check = getattr(model, "check_acclimation", None)
        if check is not None:
            check(runner.optim_wrapper)
