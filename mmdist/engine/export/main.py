"""From a checkpoint of a distillation run to a file that the plain task config loads."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdist.compat.checkpoint import check_content, load_checkpoint_file
from mmdist.engine.export.student import StudentConfig, check_fit, student_from_checkpoint, student_from_file
from mmdist.engine.export.verify import compare_models, compare_tensors
from mmdist.engine.export.weights import StudentWeights, is_step, pick_student
from mmdist.engine.export.write import check_out, plain, read_back, replacing, to_bytes
from mmdist.errors import CheckpointError, ConfigError
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
        built_from (str): What the student was built from: ``--config CONFIG`` or ``--trust-config``; empty: no model
            was built, and nothing that the checkpoint says was opened.
        verified (str): What was compared; empty: nothing.
        checksum (str): What showed that the checkpoint is whole: ``sha256``, ``crc32`` or ``sha256 in its name``;
            empty: its format has no checksum.
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
    built_from: str
    verified: str
    checksum: str


def export_student(
    checkpoint: str,
    out: str,
    *,
    config: str | None = None,
    ema: bool | None = None,
    verify: bool = True,
    trust_config: bool = False,
) -> Report:
    """Write the student of a distillation run into a file of its own.

    The checkpoint is data: its keys are renamed and checked, and nothing that it says is built or opened, unless
    ``trust_config`` says so. Nothing is written before everything that can be checked is; the file then appears whole,
    under its name, or not at all.

    Args:
        checkpoint (str): Checkpoint of the run.
        out (str): File to write, ``.pth`` or ``.safetensors``. One that is there is replaced at the very end.
        config (str, optional): Config of the run or of its student, to build the student from.
        ema (bool, optional): True: the average that ``EMAHook`` keeps; False: the weights under training; None: the
            average if there is one.
        verify (bool): Read the written file back and compare every tensor; where there is a config, also load it into
            the student and compare outputs with those of the run. False: neither; if a config is given, the weights
            must fit it.
        trust_config (bool): Build the student from the config in the checkpoint. Registered classes can do much with
            their arguments, so this is for checkpoints whose maker you trust. Defaults to False.

    Returns:
        Report: What was done.

    Raises:
        MMDistError: Nothing was exported, and why.
    """
    source, target = Path(checkpoint).expanduser(), Path(out).expanduser()
    if config and trust_config:
        raise ConfigError("--trust-config", True, hint=f"--config {config} names another config: give one of the two")
    check_out(target, source)
    content = load_checkpoint_file(source)
    checksum = check_content(source)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    weights = pick_student(content, checkpoint, ema)
    state = weights.plain()
    student = _student_config(config, meta, checkpoint) if config or trust_config else None
    original = student.build() if student else None
    if student and original:
        check_fit(original, state, checkpoint, student.key)
    described = _describe(meta, weights)
    with replacing(target, to_bytes(state, described, target.suffix)) as written:
        size = written.stat().st_size
        verified = _verify(student, original, weights, written, target) if verify else ""
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
        built_from="" if student is None else f"--config {config}" if config else "--trust-config",
        verified=verified,
        checksum=checksum,
    )


def _student_config(config: str | None, meta: Mapping[str, Any], checkpoint: str) -> StudentConfig:
    return student_from_file(config) if config else student_from_checkpoint(meta, checkpoint)


def _describe(meta: Mapping[str, Any], weights: StudentWeights) -> dict[str, Any]:
    described = {"dataset_meta": plain(meta["dataset_meta"])} if isinstance(meta.get("dataset_meta"), Mapping) else {}
    described |= {name: meta[name] for name in ("epoch", "iter") if is_step(meta.get(name))}
    return {**described, "weights": weights.kind, "mmdist_version": __version__}


def _verify(
    student: StudentConfig | None, original: BaseModel | None, weights: StudentWeights, written: Path, out: Path
) -> str:
    """The file, loaded in full into a new student, does what the weights do under the names that the run gave them."""
    from mmengine.runner import load_state_dict

    compare_tensors(weights.plain(), read_back(written), str(out))
    if student is None or original is None:
        return "every tensor, read back from the file, equal bit for bit"
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
