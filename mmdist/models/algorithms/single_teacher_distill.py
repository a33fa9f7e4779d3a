"""``mmdist.SingleTeacherDistill``."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModel
from mmrazor.models.algorithms import SingleTeacherDistill as RazorSingleTeacherDistill
from mmrazor.models.distillers import BaseDistiller
from mmrazor.models.task_modules import ModuleInputsRecorder, ModuleOutputsRecorder, ParameterRecorder
from mmrazor.models.task_modules.recorder.base_recorder import BaseRecorder
from torch import nn

from mmdist.compat.inplace import disable_inplace
from mmdist.errors import ConfigError, nearest
from mmdist.models.builder import ModelSource, build_model, load_model_config, load_weights
from mmdist.registry import MODELS


@MODELS.register_module()
class SingleTeacherDistill(RazorSingleTeacherDistill):
    """One teacher, one student, and a distiller that compares what the two compute.

    Takes MMRazor's config keys. Against MMRazor's class: the teacher is in evaluation mode as a whole (its dropout
    and drop-path too), recorded activations are not overwritten by in-place modules, a teacher checkpoint that leaves
    keys missing is an error, and a misspelt recorder source is answered with the nearest module names.

    Args:
        distiller (dict | BaseDistiller): Config of the distiller, such as ``mmrazor.ConfigurableDistiller``.
        teacher (str | dict | BaseModel): Config path, ``pkg::`` path, config or built model.
        architecture (str | dict | BaseModel): The student, likewise.
        teacher_ckpt (str, optional): File or URL of the teacher's weights.
        student_ckpt (str, optional): File or URL of weights that the student starts from.
        teacher_trainable (bool): Whether the teacher trains too. Defaults to False.
        teacher_norm_eval (bool): Whether the norm layers of a teacher that trains keep their statistics.
        student_trainable (bool): False computes the student without gradients. Defaults to True.
        calculate_student_loss (bool): False leaves the student's task loss out. Defaults to True.
        teacher_module_inplace (bool): True leaves the teacher's in-place modules as they are. Defaults to False.
        data_preprocessor (dict | nn.Module, optional): For a student whose config has none of its own.
        **kwargs: ``init_cfg`` and ``module_inplace`` as in MMRazor's ``BaseAlgorithm``.

    Raises:
        ConfigError: A model that cannot be built, or a recorder source that does not exist.
        CheckpointError: Weights that do not fit.
    """

    def __init__(
        self,
        distiller: dict | BaseDistiller,
        teacher: ModelSource,
        architecture: ModelSource,
        teacher_ckpt: str | None = None,
        student_ckpt: str | None = None,
        teacher_trainable: bool = False,
        teacher_norm_eval: bool = True,
        student_trainable: bool = True,
        calculate_student_loss: bool = True,
        teacher_module_inplace: bool = False,
        data_preprocessor: dict | nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        # MMRazor's constructor is passed over: it prepares the recorders before anybody can check their sources,
        # and loads the teacher with missing keys unnoticed.
        student = build_student(architecture, data_preprocessor)
        if isinstance(architecture, str | dict):
            data_preprocessor = student.data_preprocessor
        super(RazorSingleTeacherDistill, self).__init__(student, data_preprocessor, **kwargs)
        self.teacher = build_model(teacher, "model.teacher")
        if not teacher_module_inplace:
            disable_inplace(self.teacher)
        if teacher_ckpt:
            load_weights(self.teacher, teacher_ckpt, "model.teacher_ckpt")
        if student_ckpt:
            load_weights(self.student, student_ckpt, "model.student_ckpt")
        if not teacher_trainable:
            self.teacher.requires_grad_(False)

        self.distiller = MODELS.build(distiller) if isinstance(distiller, dict) else distiller
        for side, model in (("student", self.student), ("teacher", self.teacher)):
            recorders = getattr(self.distiller, f"{side}_recorders", None)
            if recorders is not None:
                check_recorder_sources(recorders.recorders, model, side)
        self.distiller.prepare_from_student(self.student)
        self.distiller.prepare_from_teacher(self.teacher)

        self.teacher_trainable = teacher_trainable
        self.teacher_norm_eval = teacher_norm_eval
        self.student_trainable = student_trainable
        self.calculate_student_loss = calculate_student_loss
        self.teacher_module_inplace = teacher_module_inplace
        self.distillation_stopped = False  # MMRazor's StopDistillHook sets it

    def set_module_inplace_false(self, architecture: nn.Module, varstr: str) -> None:
        """Switch in-place modules off; MMRazor's own traversal finds none on current PyTorch."""
        disable_inplace(architecture)

    def train(self, mode: bool = True) -> SingleTeacherDistill:
        """Training mode for the student; a teacher that does not train stays in evaluation mode as a whole."""
        super().train(mode)
        if not self.teacher_trainable:
            self.teacher.eval()
        return self


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


def check_recorder_sources(recorders: dict[str, BaseRecorder], model: nn.Module, side: str) -> None:
    """Every module or parameter that a recorder names exists in the model.

    Args:
        recorders (dict[str, BaseRecorder]): MMRazor's recorders by name.
        model (nn.Module): The student or the teacher.
        side (str): ``student`` or ``teacher``, for messages.

    Raises:
        ConfigError: A source that does not exist, with the nearest names.
    """
    modules = [name for name, _ in model.named_modules() if name]
    parameters = [name for name, _ in model.named_parameters()]
    for name, recorder in recorders.items():
        if isinstance(recorder, ModuleInputsRecorder | ModuleOutputsRecorder):
            kind, known = "module", modules
        elif isinstance(recorder, ParameterRecorder):
            kind, known = "parameter", parameters
        else:
            continue
        if recorder.source not in known:
            close = nearest(recorder.source, known)
            hint = f"did you mean {' or '.join(repr(option) for option in close)}?" if close else ""
            raise ConfigError(
                f"model.distiller.{side}_recorders.{name}.source",
                recorder.source,
                f"the name of a {kind} of the {side} ({type(model).__name__})",
                hint,
            )
