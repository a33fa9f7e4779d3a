"""``mmdist.SingleTeacherDistill``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModel
from mmrazor.models.algorithms import SingleTeacherDistill as RazorSingleTeacherDistill
from mmrazor.models.distillers import BaseDistiller
from mmrazor.models.utils import add_prefix
from torch import Tensor, nn

from mmdist.compat.compiled_graphs import Untraced, guarded_hooks
from mmdist.compat.layout import give_contiguous_maps
from mmdist.errors import MMDistError
from mmdist.models.algorithms import records
from mmdist.models.algorithms.acclimation import acclimated_modules, check_learning_rate
from mmdist.models.algorithms.alignment import advice_on_shapes, check_channels, match_connectors, shape_connectors
from mmdist.models.algorithms.normalisation import translation, warn_of_divisors
from mmdist.models.algorithms.options import (
    DTYPES,
    check_dtype,
    check_input_size,
    refuse_beside_training,
    refuse_shared,
)
from mmdist.models.algorithms.overhaul import give_margins
from mmdist.models.algorithms.passes import ROI_HEAD, recorded_rois, under
from mmdist.models.algorithms.probing import find_fusible, keep_records
from mmdist.models.algorithms.randomness import isolated_randomness
from mmdist.models.algorithms.teacher import LOSSES, TEACHER, Teacher
from mmdist.models.builder import (
    ModelSource,
    build_model,
    load_model_config,
    load_weights,
    mark_initialised,
    warn_random_teacher,
)
from mmdist.models.ignore_index import inherit_ignore_index
from mmdist.models.weightings import RDDWeighting
from mmdist.registry import MODELS


@MODELS.register_module()
class SingleTeacherDistill(RazorSingleTeacherDistill):
    """One teacher, one student, and a distiller that compares what the two compute.

    Takes MMRazor's config keys. Against MMRazor's class: the teacher is no part of the model (not of its parameters,
    state, optimizer, moving average or DDP buckets), is in evaluation mode as a whole, gets pictures in its own
    normalisation, runs no further than what is recorded, fuses its norms and never computes its loss; in-place modules
    that would overwrite a record are switched off; records are let go after the losses; wrong sources and weights are
    errors; neither the teacher, built or run, nor a loss of the distillation draws a random number of the student's;
    losses that take labels leave out what the student's head does.

    Args:
        distiller (dict | BaseDistiller, optional): Config of the distiller, such as ``mmrazor.ConfigurableDistiller``;
            None: one that compares nothing, for a weighting alone.
        teacher (str | dict | BaseModel): Config path, ``pkg::`` path, config or built model.
        architecture (str | dict | BaseModel): The student, likewise.
        teacher_ckpt (str, optional): File or URL of the teacher's weights.
        student_ckpt (str, optional): File or URL of weights that the student starts from.
        teacher_trainable (bool): Whether the whole teacher trains too, as in MMRazor. Defaults to False.
        teacher_norm_eval (bool): Whether the norm layers of a teacher that trains keep their statistics.
        student_trainable (bool): False computes the student without gradients. Defaults to True.
        calculate_student_loss (bool): False leaves the student's task loss out. Defaults to True.
        teacher_module_inplace (bool): True leaves the teacher's in-place modules as they are. Defaults to False.
        random_teacher (bool): True takes a teacher without weights, or a checkpoint that fits in part.
        teacher_dtype (str, optional): float32, float16 or bfloat16: the teacher's autocast; None: as the student.
        teacher_channels_last (bool): Run the teacher in this memory format. Defaults to False.
        teacher_input_size (int | Sequence[int], optional): Height and width, in pixels, that the student's batch is
            resized to for a teacher that takes no other; a classifier alone. None: as the student.
        teacher_fuse_conv_bn (bool): Let the teacher's frozen convolutions compute the frozen batch norms after them,
            with weights of their own, on a CPU laid out for oneDNN once; its records then differ by rounding. Defaults
            to True.
        acclimated (Sequence[str]): Names of the teacher's modules that train, on losses that do not detach it
            (``mmdist.AcclimationLoss``). Defaults to none.
        weighting (dict, optional): How the teacher weighs the student's task loss, such as ``mmdist.RDDWeighting``.
        data_preprocessor (dict | nn.Module, optional): For a student whose config has none of its own.
        **kwargs: ``init_cfg`` and ``module_inplace`` as in MMRazor's ``BaseAlgorithm``.

    Raises:
        ConfigError: A model that cannot be built, a teacher that is or shares a part of the student, a recorder source
            that does not exist, or a softmax over one class.
        CheckpointError: Weights that do not fit.
    """

    def __init__(
        self,
        distiller: dict | BaseDistiller | None,
        teacher: ModelSource,
        architecture: ModelSource,
        teacher_ckpt: str | None = None,
        student_ckpt: str | None = None,
        teacher_trainable: bool = False,
        teacher_norm_eval: bool = True,
        student_trainable: bool = True,
        calculate_student_loss: bool = True,
        teacher_module_inplace: bool = False,
        random_teacher: bool = False,
        teacher_dtype: str | None = None,
        teacher_channels_last: bool = False,
        teacher_fuse_conv_bn: bool = True,
        acclimated: Sequence[str] = (),
        weighting: dict | RDDWeighting | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        teacher_input_size: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        # MMRazor's constructor is passed over: it prepares the recorders before anybody can check their sources,
        # makes the teacher a part of the model, and loads it with missing keys unnoticed.
        check_dtype(teacher_dtype)
        student = build_student(architecture, data_preprocessor)
        if isinstance(architecture, str | dict):
            data_preprocessor = student.data_preprocessor
        super(RazorSingleTeacherDistill, self).__init__(student, data_preprocessor, **kwargs)
        if student_ckpt:
            load_weights(self.student, student_ckpt, "model.student_ckpt")
        with isolated_randomness():
            model = build_model(teacher, "model.teacher")
            if isinstance(teacher, BaseModel):  # it comes with its weights, which `init_weights` would draw anew
                mark_initialised(model)
            if teacher_ckpt:
                load_weights(model, teacher_ckpt, "model.teacher_ckpt", partly=random_teacher)
            elif not random_teacher:
                warn_random_teacher(teacher)
            distiller = {"type": "mmrazor.ConfigurableDistiller"} if distiller is None else distiller
            self.distiller = MODELS.build(distiller) if isinstance(distiller, dict) else distiller
            self.weighting = MODELS.build(weighting) if isinstance(weighting, dict) else weighting
        refuse_shared(self.student, model, trained=teacher_trainable)
        give_contiguous_maps(self.distiller)
        if not teacher_trainable:
            model.requires_grad_(False).eval()
        if teacher_trainable:
            given = dict(weighting=weighting, acclimated=acclimated, teacher_dtype=teacher_dtype)
            given["teacher_input_size"] = teacher_input_size
            refuse_beside_training(dict(given, teacher_channels_last=teacher_channels_last))
            self._modules["teacher"] = model
        self.acclimated = acclimated_modules(model, acclimated)
        # A plain object, so that nn.Module does not know of it.
        self._teacher = Teacher(
            model,
            translation(self.data_preprocessor, getattr(model, "data_preprocessor", None)),
            dtype=DTYPES.get(teacher_dtype),
            channels_last=teacher_channels_last,
            acclimated=len(self.acclimated) > 0,
            input_size=check_input_size(teacher_input_size, model),
        )
        self._teacher.owned_by(self)
        if not teacher_trainable:
            warn_of_divisors(self.data_preprocessor, getattr(model, "data_preprocessor", None))
        if self.weighting is not None:
            records.add_recorders(self.distiller, self.weighting.connect(self.student, model))
        for side, manager in records.managers(self.distiller):
            records.check_sources(manager.recorders, self.student if side == "student" else model, side)
        inherit_ignore_index(self.distiller, self.student)
        self.distiller.prepare_from_student(self.student)
        self._listening = Listening()
        self._prepare_teacher()
        with isolated_randomness():
            for side, manager in records.managers(self.distiller):
                if side == "student" and not self.module_inplace:
                    keep_records(self.student, manager, partial(check_channels, self.distiller))
                elif side == "teacher" and not teacher_module_inplace:
                    keep_records(model, manager, size=self._teacher.input_size)
            give_margins(self.distiller, model)
            shape_connectors(self.distiller, self.student, model, self._teacher.input_size)
            if teacher_fuse_conv_bn and not teacher_trainable:
                find_fusible(self._teacher.fused, self.distiller.teacher_recorders, self._teacher.input_size)

        self.teacher_trainable = teacher_trainable
        self.teacher_norm_eval = teacher_norm_eval
        self.student_trainable = student_trainable
        self.calculate_student_loss = calculate_student_loss
        self.teacher_module_inplace = teacher_module_inplace
        self.distillation_stopped = False  # MMRazor's StopDistillHook sets it
        self._checked = False

    @property
    def teacher_input_size(self) -> tuple[int, int] | None:
        """Height and width of the teacher's pictures; None: those of the student's."""
        return self._teacher.input_size

    @property
    def teacher(self) -> BaseModel:
        """The teacher, which is no submodule unless it trains as a whole."""
        return self._modules.get("teacher", self._teacher.model)

    def __getattr__(self, name: str) -> Any:
        """What the algorithm does not have is the student's: hooks of the task libraries ask for it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            student = self.__dict__.get("_modules", {}).get("architecture")
            if student is None or name.startswith("__"):
                raise
            return getattr(student, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What the algorithm does not have, and the student has, is set where it is read: hooks write it too."""
        built = "_checked" in self.__dict__
        if built and not self._owns(name) and hasattr(self.architecture, name):
            setattr(self.architecture, name, value)
        else:
            super().__setattr__(name, value)

    def _owns(self, name: str) -> bool:
        parts = (self.__dict__, self._modules, self._parameters, self._buffers)
        return hasattr(type(self), name) or any(name in part for part in parts)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SingleTeacherDistill:
        """The teacher follows to another device or dtype."""
        super()._apply(fn, recurse)
        if "_teacher" in self.__dict__ and "teacher" not in self._modules and self._teacher.owned_by(self):
            self.teacher._apply(fn)
        return self

    def init_weights(self) -> None:
        """Initialise the student as in its plain training, then the rest, which draws nothing from its random numbers.

        A teacher whose config names pretrained weights (``init_cfg``) gets them here.
        """
        if not self.architecture.is_init:
            self.architecture.init_weights()
        with isolated_randomness():
            super().init_weights()
            if "teacher" not in self._modules and not self.teacher.is_init:
                self.teacher.init_weights()
                give_margins(self.distiller, self.teacher)

    def set_module_inplace_false(self, architecture: nn.Module, varstr: str) -> None:
        """Nothing yet: MMRazor's constructor comes too early to know what is recorded, see ``keep_records``."""

    def train(self, mode: bool = True) -> SingleTeacherDistill:
        """Training mode for the student; a teacher that does not train stays in evaluation mode as a whole."""
        super().train(mode)
        if not self.teacher_trainable:
            self.teacher.eval()
        return self

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One iteration; before the first, the acclimated modules' learning rate is looked at."""
        self.check_acclimation(optim_wrapper)
        return super().train_step(data, optim_wrapper)

    def check_acclimation(self, optim_wrapper: Any) -> None:
        """Look at the acclimated modules' learning rate, once.

        Raises:
            ConfigError: The optimizer does not have them.
        """
        if not self._checked and len(self.acclimated):
            check_learning_rate(self.acclimated, optim_wrapper)
        self._checked = True

    @torch.compiler.disable(recursive=False)
    def forward(self, inputs: Tensor, data_samples: Sequence | None = None, mode: str = "tensor") -> Any:
        """As MMRazor's. Compiled, the student's passes are graphs; the rest runs as it does otherwise."""
        with guarded_hooks():
            return super().forward(inputs, data_samples, mode)

    @torch.compiler.disable(recursive=False)
    def loss(self, batch_inputs: Tensor, data_samples: Sequence | None = None) -> dict[str, Tensor]:
        """Losses of one batch, prefixed ``student.``, ``distill.`` and, for a teacher that trains, ``teacher.``.

        Args:
            batch_inputs (Tensor): (N, C, H, W), preprocessed for the student.
            data_samples (Sequence, optional): The data samples.

        Returns:
            dict[str, Tensor]: As the student's own ``loss``.
        """
        try:
            if self.teacher_trainable:
                return self._loss_of_both(batch_inputs, data_samples)
            return self._loss(batch_inputs, data_samples)
        finally:
            records.empty(self.distiller)

    @torch.compiler.disable(recursive=False)
    def _loss(self, inputs: Tensor, samples: Sequence | None) -> dict[str, Tensor]:
        distiller, losses = self.distiller, {}
        teaching = not self.distillation_stopped
        if teaching:
            self._prepare_teacher()
            pictures = self._teacher.prepare(inputs, samples)
        by_rois = teaching and any(under(r.source, ROI_HEAD) for r in distiller.teacher_recorders.recorders.values())
        distiller.set_deliveries_override(False)
        if by_rois:
            self._teacher.extract(distiller.teacher_recorders, pictures)
        elif teaching:
            with distiller.deliveries:
                whole = bool(distiller.deliveries.deliveries)
                self._teacher.record(distiller.teacher_recorders, pictures, samples, whole=whole)

        distiller.set_deliveries_override(True)
        if by_rois:
            with recorded_rois(self.student) as rois:
                student_losses = self._student_loss(inputs, samples)
            self._teacher.record_rois(distiller.teacher_recorders, rois[0])
        else:
            student_losses = self._student_loss(inputs, samples)
        if self.calculate_student_loss:
            losses.update(add_prefix(student_losses, "student"))
        if teaching:
            records.check_fired(distiller.student_recorders, self.student, "student")
            if self.student_trainable and torch.is_grad_enabled():
                records.check_gradients(distiller.student_recorders, self.student)
            losses.update(add_prefix(self._distill_losses(inputs), "distill"))
            losses.update(self.weighting.logs() if self.weighting is not None else {})
        elif torch.distributed.is_available() and torch.distributed.is_initialized():
            losses.update(self._unused())
        return losses

    @torch.compiler.disable(recursive=False)
    def _loss_of_both(self, inputs: Tensor, samples: Sequence | None) -> dict[str, Tensor]:
        """As in MMRazor: the teacher trains as a whole, on its own task loss too."""
        distiller = self.distiller
        distiller.set_deliveries_override(False)
        with self._teacher.own_numbers(TEACHER, inputs), distiller.teacher_recorders, distiller.deliveries:
            losses = add_prefix(self.teacher(inputs, samples, mode="loss"), "teacher")
        distiller.set_deliveries_override(True)
        grad = torch.set_grad_enabled(
            (self.student_trainable or self.calculate_student_loss) and torch.is_grad_enabled()
        )
        with Untraced(distiller.student_recorders, distiller.deliveries), grad:
            student_losses = self.student(inputs, samples, mode="loss")
        if self.calculate_student_loss:
            losses.update(add_prefix(student_losses, "student"))
        if not self.distillation_stopped:
            records.check_fired(distiller.teacher_recorders, self.teacher, "teacher")
            records.check_fired(distiller.student_recorders, self.student, "student")
            losses.update(add_prefix(self._distill_losses(inputs), "distill"))
        return losses

    def _unused(self) -> dict[str, Tensor]:
        """Nothing, of what trains beside the student: DDP waits for the gradient of each of its parameters."""
        parts = (*self.distiller.parameters(), *self.acclimated.parameters())
        trained = [parameter for parameter in parts if parameter.requires_grad]
        return {"distill.loss_stopped": sum(parameter.sum() * 0 for parameter in trained)} if trained else {}

    @torch.compiler.disable(recursive=False)
    def _student_loss(self, inputs: Tensor, samples: Sequence | None) -> dict[str, Tensor]:
        grad = torch.set_grad_enabled(self.student_trainable and torch.is_grad_enabled())
        weighted = nullcontext()
        if self.weighting is not None and not self.distillation_stopped:
            weighted = self.weighting.applied(self.student, self.distiller.teacher_recorders)
        with Untraced(self.distiller.student_recorders, self.distiller.deliveries, weighted), grad:
            return self.student(inputs, samples, mode="loss")

    @torch.compiler.disable
    def _distill_losses(self, inputs: Tensor) -> dict[str, Tensor]:
        match_connectors(self.distiller)
        try:
            with self._teacher.own_numbers(LOSSES, inputs):  # of random masks, of dropout in a head on regions
                return self.distiller.compute_distill_losses()
        except MMDistError:  # which says by itself what to do
            raise
        except ValueError as error:
            raise MMDistError(f"model.distiller: {error}{advice_on_shapes(str(error))}") from error

    @torch.compiler.disable
    def _prepare_teacher(self) -> None:
        """Let the teacher's recorders listen; again in a copy, whose recorders nobody has prepared."""
        if self._listening.distiller is not self.distiller:
            self.distiller.prepare_from_teacher(self.teacher)
            self._listening = Listening(self.distiller)


@dataclass
class Listening:
    """Whose recorders listen to the teacher. A copy shares the teacher, and its own recorders do not listen yet.

    No attribute of the algorithm's own: a module there would be a part of it.
    """

    distiller: BaseDistiller | None = None

    def __deepcopy__(self, memo: dict) -> Listening:
        return Listening()


def build_student(architecture: ModelSource, data_preprocessor: dict | nn.Module | None) -> BaseModel:
    """Build the student with the data preprocessor that its plain training would use.

    The runner hands the config's top-level ``data_preprocessor`` to whatever it builds. A plain model takes it only if
    its own config has none, and may complete it: mmpretrain's has no ``type``.

    Args:
        architecture (str | dict | BaseModel): See :class:`SingleTeacherDistill`.
        data_preprocessor (dict | nn.Module, optional): What the runner handed down.

    Returns:
        BaseModel: The student.
    """
    key = "model.architecture"
    if isinstance(architecture, str):
        architecture = load_model_config(architecture, key)
    if isinstance(architecture, dict) and "type" in architecture and data_preprocessor is not None:
        architecture = {"data_preprocessor": data_preprocessor, **architecture}
    return build_model(architecture, key)
