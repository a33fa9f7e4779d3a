"""What a training left: its losses, its time and its size from the checkpoint, its validations from the logs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdist.errors import CheckpointError

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
STUDENT = "architecture."  # before the student's weights in the checkpoint of a distiller


@dataclass(frozen=True)
class History:
    """One training.

    Args:
        loss (np.ndarray): (iterations,) the task's own loss; what distillation adds is left out.
        seconds (float): Sum of the iterations' times. They are in the checkpoint, so a training that was interrupted
            and resumed counts every iteration once, and the break not at all.
        iteration_seconds (float): Median time of an iteration, which a busy moment of the machine does not change.
        parameters (int): Learnable numbers of the model; of the student alone, where there is a teacher.
    """

    loss: np.ndarray
    seconds: float
    iteration_seconds: float
    parameters: int


def read_history(checkpoint: Path) -> History:
    """Read a checkpoint that mmengine wrote.

    Args:
        checkpoint (Path): The file.

    Returns:
        History: Of the whole training up to this checkpoint.

    Raises:
        CheckpointError: It cannot be read.
    """
    from mmdist.compat.checkpoint import load_checkpoint_file

    content = load_checkpoint_file(checkpoint)
    scalars = {name: buffer.data[0] for name, buffer in content["message_hub"]["log_scalars"].items()}
    if "train/time" not in scalars:
        raise CheckpointError(f"{checkpoint} has no times of iterations: default_hooks.timer has to be IterTimerHook")
    return History(
        loss=task_loss(scalars),
        seconds=float(np.sum(scalars["train/time"])),
        iteration_seconds=float(np.median(scalars["train/time"])),
        parameters=count_parameters(content["state_dict"]),
    )


def task_loss(scalars: dict[str, np.ndarray]) -> np.ndarray:
    """The sum of the losses that a model has without distillation.

    Args:
        scalars (dict[str, np.ndarray]): (iterations,) each, by the names in mmengine's message hub.

    Returns:
        np.ndarray: (iterations,).

    Example:
        >>> task_loss({'train/loss': np.ones(1) * 5, 'train/student.loss_ce': np.ones(1), 'train/distill.loss_kd': 4})
        array([1.])
    """
    parts = [
        values
        for name, values in scalars.items()
        if name.startswith("train/")
        and "loss" in name
        and name != "train/loss"
        and not name.startswith("train/distill.")
    ]
    return np.sum(parts, axis=0) if parts else np.asarray(scalars["train/loss"])


def count_parameters(state: dict[str, Any]) -> int:
    """How many learnable numbers there are in the weights of a model, or of a distiller's student."""
    names = [name for name in state if name.startswith(STUDENT)] or list(state)
    return sum(math.prod(state[name].shape) for name in names if not name.endswith(BUFFERS))


def read_validations(run: Path, key: str) -> dict[int, float]:
    """The validations that a training logged.

    Args:
        run (Path): The work dir; all its log folders are read, a later one wins.
        key (str): The metric's name.

    Returns:
        dict[int, float]: Value by iteration.
    """
    found: dict[int, float] = {}
    for file in sorted(run.glob("*/vis_data/scalars.json")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # the line that an interruption cut short
                continue
            if isinstance(entry, dict) and key in entry and "step" in entry:
                found[int(entry["step"])] = float(entry[key])
    return dict(sorted(found.items()))
