"""Which weights of a checkpoint are the student's, and which of its two sets when the run kept an average."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmdist.errors import CheckpointError, ConfigError, printable

STUDENT = "architecture."  # MMRazor's name for what is trained
WRAPPER = "module."  # before the keys of a model that a wrapper (DDP, EMA) holds
WEIGHTS = ("state_dict", "ema_state_dict")


@dataclass(frozen=True)
class StudentWeights:
    """The student's part of a checkpoint.

    Args:
        state (OrderedDict[str, Tensor]): Under the names of the distiller, ``architecture.`` included.
        kind (str): ``ema``: an exponential moving average; ``trained``: as the optimizer left them.
        averaged (bool): The checkpoint holds an average too, or only that.
        dropped (Counter[str]): Tensors that are not the student's, counted by the first part of their names.
        left_out (list[str]): What else the checkpoint holds: ``optimizer`` and the like.
    """

    state: OrderedDict[str, Tensor]
    kind: str
    averaged: bool
    dropped: Counter[str]
    left_out: list[str]

    def plain(self) -> OrderedDict[str, Tensor]:
        """The weights under the names that the plain task config gives them."""
        plain = _with_versions({name.removeprefix(STUDENT): value for name, value in self.state.items()}, {})
        versions = getattr(self.state, "_metadata", {})
        prefix = STUDENT.removesuffix(".")
        plain._metadata = OrderedDict(
            (name.removeprefix(prefix).removeprefix("."), value)
            for name, value in versions.items()
            if name == prefix or name.startswith(STUDENT)
        )
        return plain


def pick_student(checkpoint: dict[str, Any], path: str, ema: bool | None = None) -> StudentWeights:
    """The student's weights in the checkpoint of a distillation run.

    mmengine's ``EMAHook`` swaps the two sets when it saves: ``state_dict`` holds the average, ``ema_state_dict`` what
    the optimizer has been working on.

    Args:
        checkpoint (dict[str, Any]): What is in the file.
        path (str): The file, for messages.
        ema (bool, optional): True: the average; False: the weights under training; None: the average if there is one.

    Returns:
        StudentWeights: Tensors of the checkpoint, not copied.

    Raises:
        CheckpointError: There is no student, or its weights are not numbers.
        ConfigError: An average is asked for and there is none.
    """
    saved = _tensors(checkpoint.get("state_dict", checkpoint), path)
    student = _student(saved)
    if not student:
        raise CheckpointError(
            f"{path} holds no student: none of its {len(saved)} weights is under {STUDENT!r}, as those of a "
            "distillation run are. A plain checkpoint needs no export"
        )
    average = checkpoint.get("ema_state_dict")
    # Before the average begins, mmengine keeps a copy of the trained weights in its place.
    averaged = isinstance(average, Mapping) and _count(average.get("steps")) != 0
    if ema and not averaged:
        why = "its average has not begun" if isinstance(average, Mapping) else "the run had no EMAHook"
        raise ConfigError("--ema", path, "a checkpoint that holds an average", why)
    if averaged and ema is False:
        trained = _student(_tensors(average, path))
        if trained.keys() != student.keys():
            raise CheckpointError(f"{path}: the two sets of weights, averaged and trained, have different keys")
        student = trained
    _refuse_nan(student, path)
    dropped = Counter(name.partition(".")[0] for name in saved if not name.startswith(STUDENT))
    left_out = [name for name in checkpoint if name not in (*WEIGHTS, "meta")] if "state_dict" in checkpoint else []
    return StudentWeights(student, "ema" if averaged and ema is not False else "trained", averaged, dropped, left_out)


def is_step(value: Any) -> bool:
    """Whether a value out of a checkpoint is a number of epochs or iterations.

    Example:
        >>> is_step(40000), is_step(-1), is_step('40000')
        (True, False, False)
    """
    return type(value) is int and 0 <= value < 2**63


def _count(steps: Any) -> int | None:
    if isinstance(steps, Tensor):
        return int(steps) if steps.numel() == 1 and not steps.is_floating_point() else None
    return steps if isinstance(steps, int) else None


def _tensors(state: Any, path: str) -> OrderedDict[str, Tensor]:
    """A state dict without what wrappers put before its keys."""
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f"{path} has no weights in its state_dict")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise CheckpointError(f"{path}: {printable(name)!r} is no tensor but a {kind}: no state_dict of a run")
    return _with_versions({_unwrapped(name): value for name, value in state.items()}, _versions(state))


def _versions(state: Mapping[str, Any]) -> dict[str, Any]:
    versions = getattr(state, "_metadata", None)
    if not isinstance(versions, Mapping):
        return {}
    return {
        _unwrapped(f"{name}.").removesuffix("."): {"version": value["version"]}
        for name, value in versions.items()
        if isinstance(name, str) and isinstance(value, Mapping) and type(value.get("version")) is int
    }


def _with_versions(state: Mapping[str, Tensor], versions: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    # Modules that changed their keys once ask for the version that PyTorch keeps beside the tensors.
    kept = OrderedDict(state)
    kept._metadata = OrderedDict(versions)
    return kept


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPER):
        name = name.removeprefix(WRAPPER)
    return name


def _student(state: OrderedDict[str, Tensor]) -> OrderedDict[str, Tensor]:
    own = {name: value for name, value in state.items() if name.startswith(STUDENT)}
    versions = {name: v for name, v in state._metadata.items() if f"{name}.".startswith(STUDENT)}
    return _with_versions(own, versions)


def _refuse_nan(state: Mapping[str, Tensor], path: str) -> None:
    real = {name: value for name, value in state.items() if value.is_floating_point()}
    broken = [name for name, value in real.items() if bool(torch.isnan(value.float()).any())]
    if broken:
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise CheckpointError(
            f"{path}: the student's weights are NaN in {len(broken)} of {len(state)} tensors: "
            f"{', '.join(map(printable, broken[:5]))}{more}. The training has diverged: take an earlier checkpoint"
        )
