"""Recorders of an algorithm: are their sources right, did they fire, and nothing is kept after the losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmrazor.models.distillers import BaseDistiller
from mmrazor.models.task_modules import ModuleInputsRecorder, ModuleOutputsRecorder, ParameterRecorder, RecorderManager
from mmrazor.models.task_modules.recorder.base_recorder import BaseRecorder
from torch import Tensor, nn

from mmdist.errors import ConfigError, nearest
from mmdist.models.recorders.base import InstanceRecorder
from mmdist.models.recorders.owners import tensors
from mmdist.models.recorders.sources import find_part, outside_python

SIDES = ("student", "teacher")


def managers(distiller: BaseDistiller) -> Iterator[tuple[str, RecorderManager]]:
    """The recorder managers that the distiller has, by side."""
    for side in SIDES:
        manager = getattr(distiller, f"{side}_recorders", None)
        if manager is not None:
            yield side, manager


def add_recorders(distiller: BaseDistiller, configs: dict[str, dict]) -> None:
    """More recorders of the teacher than the user's config names."""
    distiller.teacher_recorders.recorders.update(RecorderManager(configs).recorders)


def recorder_key(side: str, name: str) -> str:
    """Where a recorder's source stands in the user's config."""
    return f"model.distiller.{side}_recorders.{name}.source"


def check_sources(recorders: dict[str, BaseRecorder], model: nn.Module, side: str) -> None:
    """Every module, method or parameter that a recorder names exists in the model.

    Args:
        recorders (dict[str, BaseRecorder]): By name.
        model (nn.Module): The student or the teacher.
        side (str): ``student`` or ``teacher``, for messages.

    Raises:
        ConfigError: A source that does not exist, with the nearest names.
    """
    modules = [name for name, _ in model.named_modules() if name]
    parameters = [name for name, _ in model.named_parameters()]
    for name, recorder in recorders.items():
        if isinstance(recorder, InstanceRecorder):
            try:
                recorder._check(model)
            except ConfigError as error:
                raise error.at(recorder_key(side, name)) from error
        if isinstance(recorder, ModuleInputsRecorder | ModuleOutputsRecorder):
            kind, known = "module", modules
        elif isinstance(recorder, ParameterRecorder):
            kind, known = "parameter", parameters
        else:
            continue
        if recorder.source not in known:
            close = nearest(recorder.source, known)
            hint = f"did you mean {' or '.join(repr(option) for option in close)}?" if close else ""
            wanted = f"the name of a {kind} of the {side} ({type(model).__name__})"
            raise ConfigError(recorder_key(side, name), recorder.source, wanted, hint)


def silent(recorders: RecorderManager) -> dict[str, BaseRecorder]:
    """The recorders that recorded nothing, by name."""
    return {name: recorder for name, recorder in recorders.recorders.items() if not recorder.data_buffer}


def check_fired(recorders: RecorderManager, model: nn.Module, side: str) -> None:
    """Every recorder recorded something.

    Args:
        recorders (RecorderManager): After a pass.
        model (nn.Module): What they record.
        side (str): ``student`` or ``teacher``, for messages.

    Raises:
        ConfigError: The source exists, but nothing calls it as a module in this pass.
    """
    for name, recorder in silent(recorders).items():
        hint = outside_python(model, recorder.source) or (
            recorder.why_silent()
            if isinstance(recorder, InstanceRecorder)
            else "where its method is called directly, as mmseg does with its heads, use "
            f"dict(type='mmdist.Method', source='{recorder.source}.forward')"
        )
        wanted = f"something that fires in a pass of the {side} (tools/analysis_tools/list_modules.py lists it)"
        raise ConfigError(recorder_key(side, name), recorder.source, wanted, hint)


def check_gradients(recorders: RecorderManager, student: nn.Module) -> None:
    """What a module that trains has answered carries a gradient.

    Raises:
        ConfigError: It does not: the module ran inside a block that is computed again for the backward pass.
    """
    for name, recorder in recorders.recorders.items():
        outputs = isinstance(recorder, ModuleOutputsRecorder) or getattr(recorder, "what", "inputs") == "outputs"
        module = find_part(student, recorder.source.removesuffix(".forward"))
        if not outputs or not isinstance(module, nn.Module):  # another method may return what trains nothing
            continue
        found = [tensor for tensor in tensors(recorder.data_buffer) if tensor.is_floating_point()]
        if not found or any(tensor.requires_grad for tensor in found):
            continue
        if any(parameter.requires_grad for parameter in module.parameters()):
            wanted = "something that carries a gradient to the student"
            hint = (
                "under activation checkpointing (activation_checkpointing, with_cp) what is inside of a checkpointed "
                "block is first computed without a graph: record that block, or what comes after it"
            )
            raise ConfigError(recorder_key("student", name), recorder.source, wanted, hint)


def empty(distiller: BaseDistiller) -> None:
    """Let go of everything recorded: the losses' graph holds what the backward pass needs."""
    for _, manager in managers(distiller):
        for recorder in manager.recorders.values():
            recorder.reset_data_buffer()


@dataclass
class Listening:
    """Whose recorders listen to the teacher. A copy shares the teacher, and its own recorders do not listen yet.

    No attribute of the algorithm's own: a module there would be a part of it.
    """

    distiller: BaseDistiller | None = None

    def __deepcopy__(self, memo: dict) -> Listening:
        return Listening()


def unused_losses(distiller: BaseDistiller, acclimated: nn.Module) -> dict[str, Tensor]:
    """Nothing, of what trains beside the student: DDP waits for the gradient of each of its parameters."""
    parts = (*distiller.parameters(), *acclimated.parameters())
    trained = [parameter for parameter in parts if parameter.requires_grad]
    return {"distill.loss_stopped": sum(parameter.sum() * 0 for parameter in trained)} if trained else {}
