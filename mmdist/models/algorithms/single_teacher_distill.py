"""``mmdist.SingleTeacherDistill``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
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
from mmdist.errors import ConfigError, MMDistError
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
from mmdist.models.algorithms.parts import Records, losses_of_parts
from mmdist.models.algorithms.passes import recorded_rois
from mmdist.models.algorithms.probing import find_fusible, keep_records
from mmdist.models.algorithms.pseudo_labels import make_pseudo_labels
from mmdist.models.algorithms.randomness import isolated_randomness
from mmdist.models.algorithms.statistics import kept_buffers
from mmdist.models.algorithms.student import StudentAttributes, build_student
from mmdist.models.algorithms.teacher import LOSSES, TEACHER, UNLABELED, Teacher
from mmdist.models.algorithms.unlabeled import SplitForward, is_unlabeled, named_failure, split
from mmdist.models.builder import ModelSource, load_weights
from mmdist.models.ignore_index import inherit_ignore_index
from mmdist.models.teacher_weights import build_teacher, check_teacher_weights, say_random
from mmdist.models.weightings import RDDWeighting
from mmdist.registry import MODELS


@MODELS.register_module()
class SingleTeacherDistill(StudentAttributes, RazorSingleTeacherDistill):
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
        teacher_ckpt (str, optional): File or URL of the teacher's weights; None: its config names them.
        student_ckpt (str, optional): File or URL of weights that the student starts from.
        teacher_trainable (bool): Whether the whole teacher trains too, as in MMRazor. Defaults to False.
        teacher_norm_eval (bool): Whether the norm layers of a teacher that trains keep their statistics.
        student_trainable (bool): False computes the student without gradients. Defaults to True.
        calculate_student_loss (bool): False leaves the student's task loss out. Defaults to True.
        teacher_module_inplace (bool): True leaves the teacher's in-place modules as they are. Defaults to False.
        random_teacher (bool): True takes a teacher without weights, or a checkpoint that fits in part. Defaults to
            False.
        teacher_dtype (str, optional): float32, float16 or bfloat16: the teacher's autocast; None: as the student.
        teacher_channels_last (bool): Run the teacher in this memory format. Defaults to False.
        teacher_input_size (int | Sequence[int], optional): Height and width, in pixels, that the student's batch is
            resized to for a teacher that takes no other; a classifier alone. None: as the student.
        teacher_fuse_conv_bn (bool): Let the teacher's frozen convolutions compute the frozen batch norms after them,
            with weights of their own, on a CPU laid out for oneDNN once; its records then differ by rounding. Defaults
            to True.
        acclimated (Sequence[str]): Names of the teacher's modules that train, on losses that do not detach it
            (``mmdist.AcclimationLoss``). Defaults to none.
        update_bn (bool): Whether unlabelled images (``mmdist.LabeledUnlabeledDataset``) move the running statistics of
            the student's norm layers. Defaults to False.
        pseudo_labels (dict, optional): ``score_thr``, and if wanted ``loss_weight`` and ``strong_view``: the teacher's
            decisions label unlabelled images for the student's task loss. None: that loss is dropped.
        weighting (dict, optional): How the teacher weighs the student's task loss, such as ``mmdist.RDDWeighting``.
        data_preprocessor (dict | nn.Module, optional): For a student whose config has none of its own.
        **kwargs: ``init_cfg`` and ``module_inplace`` as in MMRazor's ``BaseAlgorithm``.

    Raises:
        ConfigError: A model that cannot be built, a teacher without weights, or one that is or shares a part of the
            student, a recorder source that does not exist, or a softmax over one class.
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
        update_bn: bool = False,
        pseudo_labels: dict | None = None,
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
            model = build_teacher(teacher, teacher_ckpt, partly=random_teacher)
            distiller = {"type": "mmrazor.ConfigurableDistiller"} if distiller is None else distiller
            self.distiller = MODELS.build(distiller) if isinstance(distiller, dict) else distiller
            self.weighting = MODELS.build(weighting) if isinstance(weighting, dict) else weighting
        refuse_shared(self.student, model, trained=teacher_trainable)
        for part in (self.distiller, model):
            give_contiguous_maps(part)
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
        check_teacher_weights(self, teacher, teacher_ckpt, random_teacher)
        self.pseudo_labels = make_pseudo_labels(pseudo_labels, self)
        inherit_ignore_index(self.distiller, self.student)
        self.distiller.prepare_from_student(self.student)
        self._listening = records.Listening()
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
        self.update_bn = update_bn
        self.data_preprocessor.forward = SplitForward(self.data_preprocessor)
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
        say_random(self)
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
    def forward(
        self, inputs: Tensor, data_samples: Sequence | None = None, mode: str = "tensor", unlabeled: dict | None = None
    ) -> Any:
        """As every mmengine model's; in ``loss`` mode also with images without labels, as :meth:`loss` takes them.

        Compiled, the student's passes are graphs; the rest runs as it does otherwise.
        """
        with guarded_hooks():
            if mode == "loss":
                return self.loss(inputs, data_samples, unlabeled)
            return super().forward(inputs, data_samples, mode)

    @torch.compiler.disable(recursive=False)
    def loss(
        self, batch_inputs: Tensor, data_samples: Sequence | None = None, unlabeled: dict | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch, prefixed ``student.``, ``distill.`` and, for a teacher that trains, ``teacher.``.

        Unlabelled images go through teacher and student after the labelled ones.

        Args:
            batch_inputs (Tensor): (N, C, H, W), preprocessed for the student.
            data_samples (Sequence, optional): The data samples.
            unlabeled (dict, optional): ``inputs`` and ``data_samples`` of images without labels.

        Returns:
            dict[str, Tensor]: As the student's own ``loss``.

        Raises:
            ConfigError: Unlabelled images, and a model or losses that cannot do without labels.
        """
        try:
            if unlabeled is None:
                batch_inputs, data_samples, unlabeled = split(batch_inputs, data_samples)
            alone = unlabeled is None and data_samples and is_unlabeled(data_samples[0])
            if (alone or unlabeled is not None) and self.teacher_trainable:
                raise ConfigError("model.teacher_trainable", True, "False beside unlabelled images")
            if alone and self.calculate_student_loss:
                hint = "mmdist.LabeledUnlabeledDataset has labelled images too"
                raise ConfigError("model.calculate_student_loss", True, "False: no image of the batch has labels", hint)
            if self.teacher_trainable:
                return self._loss_of_both(batch_inputs, data_samples)
            return self._loss(batch_inputs, data_samples, unlabeled, alone=bool(alone))
        finally:
            records.empty(self.distiller)

    @torch.compiler.disable(recursive=False)
    def _loss(
        self, inputs: Tensor, samples: Sequence | None, unlabeled: dict | None, *, alone: bool
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        own = self._passes(inputs, samples, labeled=not alone)
        if alone or self.calculate_student_loss:
            losses.update(own if alone else add_prefix(own, "student"))
        if not self.distillation_stopped:
            self._check_records()
            several = alone or unlabeled is not None
            parts = self._parts(inputs, samples, unlabeled, losses) if several else None
            losses.update(add_prefix(self._distill_losses(inputs, parts), "distill"))
            losses.update(self.weighting.logs() if self.weighting is not None else {})
        elif torch.distributed.is_available() and torch.distributed.is_initialized():
            losses.update(records.unused_losses(self.distiller, self.acclimated))
        return losses

    def _check_records(self) -> None:
        records.check_fired(self.distiller.student_recorders, self.student, "student")
        if self.student_trainable and torch.is_grad_enabled():
            records.check_gradients(self.distiller.student_recorders, self.student)

    @torch.compiler.disable(recursive=False)
    def _passes(self, inputs: Tensor, samples: Sequence | None, *, labeled: bool = True) -> dict[str, Tensor]:
        """Both models' passes, whose records are then there; the task losses, without labels those of pseudo-labels."""
        distiller, teaching, by_rois = self.distiller, not self.distillation_stopped, False
        pseudo = self.pseudo_labels if teaching and not labeled else None
        distiller.set_deliveries_override(False)
        if teaching:
            self._prepare_teacher()
            pictures = self._teacher.prepare(inputs, samples)
            by_rois = self._teacher.record_before_student(distiller, pictures, samples)
        if pseudo is not None:
            inputs, samples = pseudo.label(self._teacher, pictures, inputs, samples)
        distiller.set_deliveries_override(True)
        seen = recorded_rois(self.student) if by_rois else nullcontext([])
        with seen as rois, nullcontext() if pseudo is None else pseudo.applied(self.student, samples):
            losses = self._student_loss(inputs, samples, weighted=labeled)
        if by_rois:
            self._teacher.record_rois(distiller.teacher_recorders, rois[0])
        if labeled:
            return losses
        return {} if pseudo is None else pseudo.losses(losses)

    @torch.compiler.disable(recursive=False)
    def _parts(
        self, inputs: Tensor, samples: Sequence | None, unlabeled: dict | None, losses: dict[str, Tensor]
    ) -> tuple[Records | None, Records]:
        """The labelled images' records, and those of the others, which go through both models and add losses here."""
        first = Records(self.distiller, inputs, samples)
        if unlabeled is None:
            return None, first
        others = unlabeled["inputs"], unlabeled["data_samples"]
        kept = kept_buffers(self.student, update_norms=self.update_bn)
        with self._teacher.own_numbers(UNLABELED, inputs), kept, named_failure(self.student):
            losses.update(self._passes(*others, labeled=False))
        self._check_records()
        return first, Records(self.distiller, *others)

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

    @torch.compiler.disable(recursive=False)
    def _student_loss(self, inputs: Tensor, samples: Sequence | None, *, weighted: bool) -> dict[str, Tensor]:
        grad = torch.set_grad_enabled(self.student_trainable and torch.is_grad_enabled())
        weights = nullcontext()
        if weighted and self.weighting is not None and not self.distillation_stopped:
            weights = self.weighting.applied(self.student, self.distiller.teacher_recorders)
        with Untraced(self.distiller.student_recorders, self.distiller.deliveries, weights), grad:
            return self.student(inputs, samples, mode="loss")

    @torch.compiler.disable
    def _distill_losses(self, inputs: Tensor, parts: tuple[Records | None, Records] | None = None) -> dict[str, Tensor]:
        if parts is None:
            match_connectors(self.distiller)
        try:
            with self._teacher.own_numbers(LOSSES, inputs):  # of random masks, of dropout in a head on regions
                if parts is not None:
                    return losses_of_parts(self.distiller, *parts, pseudo=self.pseudo_labels is not None)
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
            self._listening = records.Listening(self.distiller)
