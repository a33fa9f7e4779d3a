"""``mmdist.RDDWeighting``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional.checks import check_choice
from mmdist.models.weightings.answers import Answers
from mmdist.models.weightings.calls import LossCall
from mmdist.models.weightings.maps import Maps, Options
from mmdist.models.weightings.rows import Rows
from mmdist.models.weightings.stages import FIRST, SECOND, Stages
from mmdist.models.weightings.targets import PIXELS, Target, auxiliary_source, find_targets, heads, teacher_source
from mmdist.registry import MODELS

FIRST_STAGES = ("auto", "auxiliary", "entropy", "none")
MIN_KEPT = 100_000  # pixels of the local batch, as the official code


@MODELS.register_module()
class RDDWeighting:
    r"""RDD: the teacher weighs the student's task loss, position by position.

    In the first stage by how much two heads of the teacher agree, in the second by which positions are hard for one
    of the two networks and not for the other:

    .. math::
        L_1 = \mathrm{mean}_{i}\, e^{-d_i} \ell_i, \qquad
        L_2 = \mathrm{mean}_{i:\, h^s_i \oplus h^t_i}\, \ell_i

    with :math:`d` the divergence of the teacher's two heads, :math:`h` whether the label's probability is at most the
    threshold, and :math:`\ell` the loss of the student's own config. It adds no loss: KD is configured beside it.

    For segmenters this is the paper's method. For one-stage detectors (each anchor or location, the divisor of the
    loss untouched) and classifiers (each sample) it is our extension.

    Args:
        warmup (int | float): Iterations of the first stage, or a share of all as a float. Defaults to 0.1.
        mode (str): ``xor``, ``or``, ``and`` or ``student`` (hard for the student alone). Defaults to ``xor``.
        blend (bool): Go over to the second stage linearly after the warm-up. Defaults to False.
        first_stage (str): ``auxiliary``: as the paper; ``entropy`` of the teacher's prediction (ours), for a teacher
            without an auxiliary head; ``none``: start with the second stage; ``auto``: the first that the teacher can.
        threshold (float): Label probability up to which a position is hard. Defaults to 0.7.
        min_kept (int, optional): At least as many positions of the batch are hard for each network. Defaults to
            100 000 for segmenters, as the official code, and 0 for others.
        class_weight (Sequence[float], optional): Weight of each class in the second stage.
        kl_direction (str): ``aux_main`` (official code) or ``main_aux`` (paper). Defaults to ``aux_main``.
        align_corners (bool): How the teacher's maps are enlarged. Defaults to True, as the official code.
        losses (Sequence[str], optional): Names of the student's loss modules to weigh. Defaults to all that classify.
        teacher_logits (str, optional): The teacher's method that returns its logits. Defaults to that of its head.
        teacher_auxiliary (str, optional): The method of its auxiliary head. Defaults to its last.

    Raises:
        ConfigError: A value that is not allowed.

    Source:
        RDD (Science China Information Sciences 2024), sections on TFE and TSE; released code for the defaults.

    Example:
        >>> RDDWeighting(warmup=4000, mode='xor').stages.warmup
        4000
    """

    def __init__(
        self,
        warmup: int | float = 0.1,
        mode: str = "xor",
        blend: bool = False,
        first_stage: str = "auto",
        threshold: float = 0.7,
        min_kept: int | None = None,
        class_weight: Sequence[float] | None = None,
        kl_direction: str = "aux_main",
        align_corners: bool = True,
        losses: Sequence[str] | None = None,
        teacher_logits: str | None = None,
        teacher_auxiliary: str | None = None,
    ) -> None:
        check_choice("model.weighting.first_stage", first_stage, FIRST_STAGES)
        self.stages = Stages(warmup, blend)
        self.options = Options(mode, threshold, min_kept, class_weight, kl_direction, align_corners)
        self.first_stage = first_stage
        self.losses = losses
        self.teacher_logits = teacher_logits
        self.teacher_auxiliary = teacher_auxiliary
        self.targets: list[Target] = []
        self.opinions: tuple[str, str] | None = None  # the teacher's methods that the first stage compares
        self._maps: Maps | None = None
        self._rows = Rows()
        self._checked = False

    def connect(self, student: BaseModel, teacher: BaseModel) -> dict[str, dict]:
        """Find what is weighted, and what of the teacher has to be recorded for that.

        Args:
            student (BaseModel): The student.
            teacher (BaseModel): The teacher.

        Returns:
            dict[str, dict]: Configs of the teacher's recorders by name.

        Raises:
            ConfigError: A loss that takes no weight, a first stage that the teacher cannot do, or a wrong name.
        """
        self.targets = find_targets(student, teacher, self.losses, self.teacher_logits)
        kind = self.targets[0].kind
        auxiliary = self.teacher_auxiliary or (auxiliary_source(teacher) if kind == PIXELS else None)
        if self.first_stage == "auxiliary" and auxiliary is None:
            wanted = "a teacher with an auxiliary head for first_stage='auxiliary'; 'entropy' and 'none' need none"
            raise ConfigError("model.weighting.first_stage", "auxiliary", wanted)
        if self.first_stage == "auto":
            self.first_stage = "entropy" if auxiliary is None else "auxiliary"
        values = self.options.class_weight
        classes = getattr(next(head for _, head in heads(student, kind)), "num_classes", None)
        if values is not None and classes is not None and len(values) != classes:
            raise ConfigError("model.weighting.class_weight", values, f"{classes} weights, one for each class")
        if self.options.min_kept is None:
            self.options = self.options.with_min_kept(MIN_KEPT if kind == PIXELS else 0)
        self.opinions, self._rows = None, Rows()
        if self.first_stage == "auxiliary":
            self.opinions = self.teacher_logits or teacher_source(teacher, "decode_head", kind), auxiliary
        compared = f" ({' and '.join(self.opinions)} of the teacher)" if self.opinions else ""
        weighed = ", ".join(target.path for target in self.targets)
        print_log(f"RDD weighs {weighed}; first stage: {self.first_stage}{compared}", "current", logging.INFO)
        return {recorder_name(source): dict(type="mmdist.Method", source=source) for source in self._sources()}

    @contextmanager
    def applied(self, student: BaseModel, recorders: RecorderManager) -> Iterator[None]:
        """Inside, the student's task losses are weighted by what the teacher's recorders hold.

        Args:
            student (BaseModel): The student, about to be run in ``loss`` mode.
            recorders (RecorderManager): The teacher's, after its pass.

        Raises:
            ConfigError: A loss that is never called, or that compares other rows than its head returns.
        """
        self._maps = self._present_maps(recorders)
        handles = [
            student.get_submodule(target.path).register_forward_pre_hook(partial(self._weigh, target), with_kwargs=True)
            for target in self.targets
        ]
        try:
            with self._rows.heard(student, self.targets):
                yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def weight_map(self, student: BaseModel, recorders: RecorderManager, logits: Tensor, label: Tensor) -> Tensor:
        """What the pixels of the student's main loss weigh in the present iteration.

        Args:
            student (BaseModel): A segmenter.
            recorders (RecorderManager): The teacher's, after its pass.
            logits (Tensor): The student's, (N, C, H, W), at the size of the labels.
            label (Tensor): (N, H, W). ``min_kept`` counts over all of them.

        Returns:
            Tensor: (N, H, W).
        """
        target = self.targets[0]
        call = LossCall(student.get_submodule(target.path), (logits, label), {})
        return self._present_maps(recorders).weight(target, recorder_name(target.teacher), call)[0]

    def logs(self) -> dict[str, Tensor]:
        """Of the iteration's main loss: the stage, the share of kept positions and the mean weight."""
        maps, self._maps = self._maps, None
        if maps is None or maps.totals is None:
            return {}
        valid, kept, weight = maps.totals
        if not self._checked and maps.share < 1:
            self._checked = True  # once: on a GPU, looking at a number waits for it
            if self.options.mode == "xor" and int(valid) <= (self.options.min_kept or 0):
                print_log(
                    f"RDD: {int(valid)} labelled positions in this batch are no more than min_kept = "
                    f"{self.options.min_kept}: all are hard for both networks, mode='xor' keeps none, and the task "
                    "loss is 0. Set a smaller model.weighting.min_kept",
                    "current",
                    logging.WARNING,
                )
        stage, count = kept.new_tensor(float(FIRST if maps.share == 1 else SECOND)), valid.clamp_min(1)
        return {"rdd.stage": stage, "rdd.kept": kept / count, "rdd.weight": weight / count}

    def _present_maps(self, recorders: RecorderManager) -> Maps:
        share = 0.0 if self.first_stage == "none" else self.stages.first_share()
        names = map(recorder_name, self._sources())
        answers = Answers({name: recorders.get_recorder(name).data_buffer for name in names})
        opinions = None if self.opinions is None else tuple(map(recorder_name, self.opinions))
        return Maps(self.options, share, answers, opinions)

    def _sources(self) -> list[str]:
        sources = [target.teacher for target in self.targets]
        return list(dict.fromkeys([*(self.opinions or ()), *sources]))

    @torch.compiler.disable
    def _weigh(self, target: Target, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        call = LossCall(module, args, kwargs)
        if call.reduction_override == "none":  # a pixel sampler that looks for the largest losses
            return args, kwargs
        if target.kind == PIXELS:
            call.ignore(target.ignore_index)
        with torch.no_grad():
            order = self._rows.order(target, call)
            if order is None and target.kind != PIXELS:
                return args, kwargs
            weight, average_over = self._maps.weight(target, recorder_name(target.teacher), call, order)
        call.weigh(weight, average_over)
        return call.args, call.kwargs


def recorder_name(source: str) -> str:
    """Name of the recorder of a teacher's method; no config spells a name so."""
    return f"rdd:{source}"
