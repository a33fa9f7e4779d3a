"""What can be known of a run only after it is built, asked before its first iteration."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdist.engine.checks import (
    LabelGuard,
    check_custom_keys,
    check_input_sizes,
    check_module_names,
    check_samples,
    warn_of_validation_images,
)


class RunCheckHook(Hook):
    """Looks at the first images, at labels and at ``custom_keys`` before training, and at the labels of each batch."""

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self.guard: LabelGuard | None = None
        self.trained = False  # at least one iteration is done

    def before_run(self, runner: Runner) -> None:
        """Raises a ``ConfigError`` for modules to change that are not there: mmengine changes them right after this."""
        if runner.cfg and isinstance(runner.model, nn.Module):  # a FlexibleRunner changes none
            check_module_names(runner.cfg, runner.model.module if is_model_wrapper(runner.model) else runner.model)

    def before_train(self, runner: Runner) -> None:
        """Raises a ``ConfigError`` for what would end, or empty, the run."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_custom_keys(runner.cfg.get("optim_wrapper"), model)
        check_samples(runner.train_dataloader, model, "train_dataloader")
        check_input_sizes(runner.train_dataloader, model, "train_dataloader")
        if runner.val_loop is not None:
            check_samples(runner.val_dataloader, model, "val_dataloader")
            if is_main_process():
                warn_of_validation_images(runner.train_dataloader.dataset, runner.val_dataloader.dataset)
        self.guard = LabelGuard(model)
        self.guard.look(runner.train_dataloader, "train_dataloader")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """The labels of the batch are classes of the model; on a GPU a wrong one would end the process."""
        if self.guard is not None:
            self.guard.check_batch(data_batch)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """The run has begun."""
        self.trained = True
