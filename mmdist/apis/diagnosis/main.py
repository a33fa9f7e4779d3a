"""From a config to a diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from torch.utils.data import DataLoader

from mmdist.apis.diagnosis.data import training_batches, training_loader
from mmdist.apis.diagnosis.diagnosis import Diagnosis
from mmdist.apis.diagnosis.findings import Finding, of_losses, of_student, of_time
from mmdist.apis.diagnosis.losses import measure_losses
from mmdist.apis.diagnosis.models import Built, build
from mmdist.apis.diagnosis.predictions import predictions
from mmdist.apis.diagnosis.request import DoctorOptions, prepare
from mmdist.apis.diagnosis.steps import run_steps
from mmdist.apis.diagnosis.teacher_findings import of_comparison, of_teacher, unexplained
from mmdist.engine.gap.models import quietly
from mmdist.engine.hooks import random_state
from mmdist.engine.threads import threads_here, workers_of


def doctor(
    config: str,
    teacher_ckpt: str | None = None,
    student_ckpt: str | None = None,
    *,
    images: int = 32,
    iterations: int = 4,
    cfg_options: dict[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Look at a distillation before its long training: teacher, weights, losses, gradients, time and memory.

    Nothing is written, and no work dir is made. A few iterations are trained, in memory.

    Args:
        config (str): A distillation config, or ``pkg::path``. Of a plain config all is looked at but a teacher.
        teacher_ckpt (str, optional): The teacher's weights; by default those that the config names.
        student_ckpt (str, optional): Weights that the student starts from; likewise.
        images (int): Validation images that teacher and student predict; 0: none. Defaults to 32.
        iterations (int): Training batches for losses, gradients and times. Defaults to 4.
        cfg_options (dict, optional): Changes to the config, by dotted key.
        say (Callable, optional): Takes a line on what is being done.

    Returns:
        Diagnosis: ``findings``, ``serious``, all numbers by ``as_dict()``, a report by ``str()``.

    Raises:
        MMDistError: A config that cannot be trained at all, and why.

    Example:
        >>> found = doctor('dist_student.py', teacher_ckpt='teacher.pth')  # doctest: +SKIP
        >>> [finding.name for finding in found.findings]  # doctest: +SKIP
        ['permuted-classes']
    """
    say = say or (lambda _: None)
    asked = DoctorOptions(config, teacher_ckpt, student_ckpt, images, iterations, cfg_options)
    cfg, distils, notes = prepare(asked)
    found = Diagnosis(config, notes=notes)
    with quietly(), undisturbed(), DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        _look(cfg, distils, asked, found, say)
    if not distils:
        found.notes.append("the config has no teacher: losses, student and data alone were looked at")
    found.findings = sorted(_findings(found, distils), key=lambda finding: not finding.serious)
    return found


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, random numbers are the same in every diagnosis; afterwards they go on as they would have.

    The number of threads is afterwards what it was, too.
    """
    state, threads = random_state.capture(), torch.get_num_threads()
    set_random_seed(0)
    try:
        yield
    finally:
        random_state.restore(state)
        torch.set_num_threads(threads)


def _look(cfg: Config, distils: bool, asked: DoctorOptions, found: Diagnosis, say: Callable[[str], None]) -> None:
    from mmdist.engine.runner import explained

    chosen = threads_here(workers_of(cfg.get("train_dataloader")))
    if chosen is not None:  # as many as in the training, for its times
        torch.set_num_threads(chosen.count)
    say("building the models")
    built = build(cfg, distils)
    found.weights = built.weights
    with explained(cfg):
        loader = training_loader(cfg)
        check_built(cfg, built, loader)
        found.predicted = predictions(cfg, built, asked.images, unexplained, say)
        _train(cfg, built, loader, asked.iterations, found, say)


def check_built(cfg: Config, built: Built, loader: DataLoader) -> None:
    """What a training looks at before its first iteration.

    Raises:
        ConfigError: Modules or parameters that are not there, images that cannot be read, labels that are no class.
    """
    from mmdist.engine.checks import (
        LabelGuard,
        check_custom_keys,
        check_input_sizes,
        check_module_names,
        check_samples,
    )

    check_module_names(cfg, built.model)
    check_custom_keys(cfg.get("optim_wrapper"), built.model)
    check_samples(loader, built.model, "train_dataloader")
    check_input_sizes(loader, built.model, "train_dataloader")
    LabelGuard(built.model).look(loader, "train_dataloader")


def _train(
    cfg: Config, built: Built, loader: DataLoader, iterations: int, found: Diagnosis, say: Callable[[str], None]
) -> None:
    """Losses, then steps; warm-ups and stages are past, as in most of a training."""
    from mmdist.engine.gap.gradients import after_training

    batches, seconds = training_batches(loader, iterations)
    epochs = int((cfg.get("train_cfg") or {}).get("max_epochs") or 1)
    end = {"iter": len(loader) * epochs, "epoch": epochs} if "max_epochs" in (cfg.get("train_cfg") or {}) else {}
    with after_training(cfg, end):
        say(f"losses and gradients of {iterations} training batches")
        found.losses = measure_losses(built, batches)
        if not found.losses.any_gradient:
            return
        say(f"{iterations} iterations, for time and memory")
        found.steps = run_steps(cfg, built, batches, seconds, found.losses.reached)


def _findings(found: Diagnosis, distils: bool) -> list[Finding]:
    side = "student" if distils else "model"
    findings = []
    if distils:
        findings += [*of_teacher(found.weights["teacher"], found.predicted), *of_comparison(found.predicted)]
    findings += of_losses(found.losses)
    if not found.losses.any_gradient:
        why = "none asks for a gradient" if not found.losses.trainable else "no loss has a gradient for any of them"
        findings.append(
            Finding(
                "frozen-student",
                True,
                f"no parameter of the {side} can learn: {why}",
                "look at frozen_stages, model.student_trainable, and at modules that set requires_grad to False",
            )
        )
    return [*findings, *of_student(found.steps, side), *of_time(found.steps)]
