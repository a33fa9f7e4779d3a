"""From a checkpoint of a distillation run to a file that the plain task config loads."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.export.student import StudentConfig, check_fit, student_from_checkpoint, student_from_file
from mmdist.engine.export.verify import compare_models
from mmdist.engine.export.weights import StudentWeights, pick_student
from mmdist.engine.export.write import check_out, plain, read_back, replacing, to_bytes
from mmdist.errors import CheckpointError
from mmdist.version import __version__


@dataclass(frozen=True)
class Report:
    """What an export did.

    Args:
        out (Path): The written file.
        library (str): Package of the student's class, such as ``mmseg``; empty: nothing was built.
        numbers (int): Numbers in the student's weights, statistics of norm layers included.
        parameters (int, optional): Parameters of the student; None: nothing was built.
        tensors (int): Tensors that they are in.
        bytes_before (int): Size of the checkpoint.
        bytes_after (int): Size of the written file.
        meta (dict[str, Any]): What the file says about itself.
        averaged (bool): The checkpoint holds an average and the trained weights.
        dropped (Counter[str]): Tensors that were left out, by the first part of their names.
        left_out (list[str]): Entries of the checkpoint that were left out.
        verified (str): What was compared; empty: nothing.
    """

    out: Path
    library: str
    numbers: int
    parameters: int | None
    tensors: int
    bytes_before: int
    bytes_after: int
    meta: dict[str, Any]
    averaged: bool
    dropped: Counter[str]
    left_out: list[str]
    verified: str


def export_student(
    checkpoint: str, out: str, *, config: str | None = None, ema: bool | None = None, verify: bool = True
) -> Report:
    """Write the student of a distillation run into a file of its own.

    Nothing is written before everything that can be checked is; the file then appears whole, under its name, or not
    at all.

    Args:
        checkpoint (str): Checkpoint of the run.
        out (str): File to write, ``.pth`` or ``.safetensors``. One that is there is replaced at the very end.
        config (str, optional): Config of the run or of its student. By default the one in the checkpoint.
        ema (bool, optional): True: the average that ``EMAHook`` keeps; False: the weights under training; None: the
            average if there is one.
        verify (bool): Build the student, load the written file in full, and compare weights and outputs with those of
            the run. False: no config is needed; if one is given, the weights must fit it.

    Returns:
        Report: What was done.

    Raises:
        MMDistError: Nothing was exported, and why.
    """
    source, target = Path(checkpoint).expanduser(), Path(out).expanduser()
    check_out(target, source)
    content = load_checkpoint_file(source)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    weights = pick_student(content, checkpoint, ema)
    state = weights.plain()
    student = _student_config(config, meta, checkpoint) if config or verify else None
    original = student.build() if student else None
    if student and original:
        check_fit(original, state, checkpoint, student.key)
    described = _describe(meta, weights)
    with replacing(target, to_bytes(state, described, target.suffix)) as written:
        size = written.stat().st_size
        verified = _verify(student, original, weights, written, target) if student and original and verify else ""
    return Report(
        out=target,
        library=type(original).__module__.partition(".")[0] if original else "",
        numbers=sum(value.numel() for value in state.values()),
        parameters=sum(value.numel() for value in original.parameters()) if original else None,
        tensors=len(state),
        bytes_before=source.stat().st_size,
        bytes_after=size,
        meta=described,
        averaged=weights.averaged,
        dropped=weights.dropped,
        left_out=weights.left_out,
        verified=verified,
    )


def _student_config(config: str | None, meta: Mapping[str, Any], checkpoint: str) -> StudentConfig:
    return student_from_file(config) if config else student_from_checkpoint(meta, checkpoint)


def _describe(meta: Mapping[str, Any], weights: StudentWeights) -> dict[str, Any]:
    described = {"dataset_meta": plain(meta["dataset_meta"])} if isinstance(meta.get("dataset_meta"), Mapping) else {}
    described |= {name: int(meta[name]) for name in ("epoch", "iter") if isinstance(meta.get(name), int)}
    return {**described, "weights": weights.kind, "mmdist_version": __version__}


def _verify(student: StudentConfig, original: BaseModel, weights: StudentWeights, written: Path, out: Path) -> str:
    """The file, loaded in full into a new student, does what the weights do under the names that the run gave them."""
    from mmengine.runner import load_state_dict

    run = nn.Module()
    run.architecture = original
    run.load_state_dict(weights.state)
    exported = student.build()
    try:
        load_state_dict(exported, _ordered(read_back(written)), strict=True, logger="silent")
    except RuntimeError as error:
        raise CheckpointError(f"{out}: the exported file does not load into the student: {error}") from error
    return compare_models(original, exported, str(out))


def _ordered(state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    return state if isinstance(state, OrderedDict) else OrderedDict(state)
