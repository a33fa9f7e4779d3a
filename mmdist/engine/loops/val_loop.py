"""``mmdist.DistillValLoop``: the student's validation, beside it the teacher's."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner, ValLoop, autocast
from torch import nn
from torch.utils.data import DataLoader

from mmdist.engine.hooks import random_state
from mmdist.engine.predicting import predict, teachers_preprocessor
from mmdist.errors import ConfigError
from mmdist.registry import LOOPS

PREFIX = "teacher."


@LOOPS.register_module()
class DistillValLoop(ValLoop):
    """Validate the student as mmengine's loop does and, on request, the teacher on the same data.

    Hooks fire once, for the student. Validation leaves no trace in the training: random numbers and the modes of the
    modules are afterwards what they were before.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The validation data.
        evaluator (Evaluator | dict | list): The metrics.
        fp16 (bool): Validate under autocast. Defaults to False.
        teacher (bool): Whether the teacher is evaluated too, before the student: once in a run, or, if it trains,
            every time. Its metrics are called ``teacher.<name>``. Defaults to False.

    Raises:
        ConfigError: ``teacher=True`` with a model that has none, or whose teacher has weights for its backbone alone.

    Example:
        >>> val_cfg = dict(type='mmdist.DistillValLoop', teacher=True)
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        fp16: bool = False,
        teacher: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.evaluates_teacher = teacher
        self.teacher_metrics: dict[str, Any] | None = None  # None: not known yet, or of weights that have changed
        if teacher and not isinstance(getattr(self.model, "teacher", None), BaseModel):
            raise ConfigError(
                "val_cfg.teacher",
                teacher,
                f"False for {type(self.model).__name__}, which has no teacher",
                "model.type='mmdist.SingleTeacherDistill' has one",
            )
        if teacher and hasattr(self.model, "_teacher"):
            from mmdist.models.teacher_weights import check_whole_teacher  # brings MMRazor along

            check_whole_teacher(self.model)

    @property
    def model(self) -> nn.Module:
        """The model without DDP around it."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    def run(self) -> dict[str, Any]:
        """Validate.

        Returns:
            dict[str, Any]: The student's metrics, then the teacher's.
        """
        models = [self.runner.model, *([self.model.teacher] if self.evaluates_teacher else [])]
        with _same_random_numbers(), _same_modes(models):
            self.runner.call_hook("before_val")
            self.runner.call_hook("before_val_epoch")
            self.runner.model.eval()
            if self.evaluates_teacher:
                # Before the student, because metrics write files of fixed names: those of the student shall stay.
                with _same_random_numbers():
                    self._evaluate_teacher()
            metrics = self._evaluate_student()
            metrics.update({f"{PREFIX}{name}": value for name, value in (self.teacher_metrics or {}).items()})
            self.runner.call_hook("after_val_epoch", metrics=metrics)
            self.runner.call_hook("after_val")
        return metrics

    def _evaluate_student(self) -> dict[str, Any]:
        if hasattr(self, "val_loss"):  # mmengine's since 0.10
            self.val_loss.clear()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        if getattr(self, "val_loss", None):
            from mmengine.runner.loops import _parse_losses

            metrics.update(_parse_losses(self.val_loss, "val"))
        return metrics

    def _evaluate_teacher(self) -> None:
        teacher = self.model.teacher
        if self.teacher_metrics is not None and not any(weight.requires_grad for weight in teacher.parameters()):
            return
        print_log("evaluating the teacher", "current", logging.INFO)
        teacher.eval()
        preprocessor = teachers_preprocessor(self.model)
        for batch in self.dataloader:
            with autocast(enabled=self.fp16):
                predictions = predict(teacher, preprocessor, batch)
            self.evaluator.process(data_samples=predictions, data_batch=batch)
        self.teacher_metrics = self.evaluator.evaluate(len(self.dataloader.dataset))


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Even a data loader without any randomness draws a number each time it starts."""
    state = random_state.capture()
    try:
        yield
    finally:
        random_state.restore(state)


@contextmanager
def _same_modes(models: Sequence[nn.Module]) -> Iterator[None]:
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
