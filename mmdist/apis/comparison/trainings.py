"""One cell trained, evaluated, and noted: begun, resumed or skipped."""

from __future__ import annotations

import ast
import math
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmdist.apis.comparison.cells import TIMING, Cell
from mmdist.apis.comparison.history import read_history, read_validations
from mmdist.apis.comparison.inputs import named_files
from mmdist.apis.comparison.lengths import EPOCHS, length_of
from mmdist.apis.comparison.process import Processes, StageFailed, run
from mmdist.apis.comparison.results import Metric, Row
from mmdist.apis.comparison.stages import Stage, read_json, write_json
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine import atomic
from mmdist.engine.latest import named_in
from mmdist.errors import LONGEST_VALUE, CheckpointError, MMDistError, printable
from mmdist.version import __version__

TOOL = (sys.executable, "-W", "ignore::DeprecationWarning", "-m", "mmdist.cli.main")
FAILED = "failed.json"
TEACHERS = "teacher."  # before a metric of a teacher that learns
Listener = Callable[[str], None]


class NoMetric(MMDistError):
    """The metric that is to be compared is not computed."""


@dataclass(frozen=True)
class Place:
    """Where a comparison works.

    Args:
        folder (Path): Absolute; every training has a folder of its own in it.
        lock (int): File descriptor of the folder's lock.
        metric (Metric): What is compared.
        environment (Mapping[str, str]): Variables for the trainings, beside those of this process.
        processes (Processes): Those at work.
    """

    folder: Path
    lock: int
    metric: Metric
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: Processes = field(default_factory=Processes)


@dataclass(frozen=True)
class Training:
    """A cell, and all that its result depends on.

    Args:
        cell (Cell): Which.
        cfg (Config): What is trained.
        teacher (str, optional): The checkpoint that teaches: a path, or an address.
        teacher_sha256 (str): Its checksum.
    """

    cell: Cell
    cfg: Config
    teacher: str | None = None
    teacher_sha256: str = ""

    def stage(self, place: Place) -> Stage:
        config = self.cfg.to_dict()
        files = named_files(config)
        inputs = {"config": config, "teacher": self.teacher_sha256, "metric": place.metric.key}
        if files:
            inputs["files"] = files
        return Stage(place.folder / self.cell.folder, inputs, keep=True)

    def config_file(self, place: Place) -> Path:
        return place.folder / "configs" / f"{self.cell.folder.replace('/', '_')}.py"


def found(place: Place, training: Training, *, again: bool = True) -> Row | None:
    """The result of a training that was finished before, if it is of the same config and teacher.

    Args:
        place (Place): Where.
        training (Training): What.
        again (bool): Whether one that failed is to be tried again, so that it has no result. Defaults to True.
    """
    stage = training.stage(place)
    done = stage.result()
    if done is not None:
        return _row(place, training, done)
    note = read_json(stage.folder / FAILED)
    return None if again or note.get("key") != stage.key else failed(training.cell, str(note.get("why")))


def train(place: Place, training: Training, listen: Listener, environment: Mapping[str, str]) -> Row:
    """Train a cell, unless that was done before; go on where an earlier run was interrupted.

    Args:
        place (Place): Where.
        training (Training): What.
        listen (Callable): Gets each line that the training writes.
        environment (Mapping[str, str]): Variables of this training alone, such as the GPU that it has.

    Returns:
        Row: What came of it; a training that failed is a row that says why.
    """
    stage = training.stage(place)
    done = stage.result()
    if done is None:
        try:
            done = _run(place, training, stage, listen, {**place.environment, **environment})
        except StageFailed as failure:
            if place.processes.stopped.is_set():
                raise
            return _failed(stage, training.cell, f"{reason(failure)}; its log is {failure.log}")
        except NoMetric:
            raise  # no other training will have it either
        except (MMDistError, OSError) as error:
            return _failed(stage, training.cell, " ".join(str(error).split()))
    return _row(place, training, done)


def _failed(stage: Stage, cell: Cell, why: str) -> Row:
    with suppress(OSError):  # a full disk is one of the reasons
        write_json(stage.folder / FAILED, {"key": stage.key, "why": why})
    return failed(cell, why)


def failed(cell: Cell, why: str) -> Row:
    """The row of a training that failed."""
    return Row(**vars(cell), metric=None, failed=why, device=device_name(), torch=torch.__version__, mmdist=__version__)


def reason(failure: StageFailed) -> str:
    """What a training said before it ended: its last error, in one line."""
    for line in reversed(failure.tail):
        if line.startswith("error") or "Error" in line.split(":")[0]:
            return printable(line.strip(), LONGEST_VALUE)
    return str(failure)


def device_name() -> str:
    """What a training runs on here."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()})"


def checkpoint_of(place: Place, cell: Cell) -> Path | None:
    """The last checkpoint of a finished cell."""
    name = read_json(place.folder / cell.folder / "done.json").get("checkpoint")
    return place.folder / cell.folder / name if name else None


def _run(
    place: Place, training: Training, stage: Stage, listen: Listener, environment: Mapping[str, str]
) -> dict[str, Any]:
    cell = training.cell
    begun = stage.begin()
    start = _latest(stage.folder) if begun else None
    if begun and start is None:  # interrupted before its first checkpoint
        shutil.rmtree(stage.folder)
        stage.begin()
    config = training.config_file(place)
    config.parent.mkdir(exist_ok=True)
    atomic.write_text(config_text(training.cfg), config)
    log = stage.folder / "log.txt"
    common = dict(cwd=Path.cwd(), on_line=listen, keep=[place.lock], environment=environment, processes=place.processes)
    if start is None or not _complete(start, training.cfg):
        command = [*TOOL, "train", config, "--work-dir", stage.folder]
        if training.teacher is not None:
            command += ["--teacher-ckpt", training.teacher]
        run([*command, *(["--resume"] if start else [])], cell.folder, log, **common)
    checkpoint = _latest(stage.folder)
    if checkpoint is None:
        raise MMDistError(f"the training left no checkpoint in {stage.folder}")
    if not _complete(checkpoint, training.cfg):
        raise MMDistError(f"the training ended before its time: its last checkpoint is {checkpoint.name}")
    metric = None
    if cell.purpose != TIMING:
        metric = read_validations(stage.folder, place.metric.key).get(cell.length)
        if metric is None:  # interrupted before it, or left out by the library
            metric = evaluate(place, config, checkpoint, log, common)
    history = read_history(checkpoint)
    after = read_validations(stage.folder, f"{TEACHERS}{place.metric.key}").get(cell.length)
    return stage.finish(
        [checkpoint.name],
        checkpoint=checkpoint.name,
        metric=metric,
        teacher_metric=after,
        iteration_ms=round(1000 * history.iteration_seconds, 3),
        iterations=len(history.loss),
        parameters=history.parameters,
        device=device_name(),
        torch=torch.__version__,
        mmdist=__version__,
    )


def config_text(cfg: Config) -> str:
    """A config as Python; laid out by mmengine, which takes seconds, only where it holds more than plain values.

    Example:
        >>> config_text(Config(dict(lr=0.1, size=(3, 4))))
        'lr = 0.1\\nsize = (3, 4)\\n'
    """
    values = cfg.to_dict()
    try:
        return "".join(f"{name} = {_literal(value)}\n" for name, value in values.items())
    except (ValueError, SyntaxError):
        return cfg.pretty_text


def _literal(value: Any) -> str:
    """A value as Python; a number without an end too, which has no literal."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_literal, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{float(value)}')"
    text = repr(value)
    ast.literal_eval(text)
    return text


def _row(place: Place, training: Training, done: Mapping[str, Any]) -> Row:
    metric, why = done["metric"], ""
    if metric is None and training.cell.purpose != TIMING:
        why = f"{place.metric.key} was not computed"
    elif metric is not None and not math.isfinite(metric):
        metric, why = None, f"{place.metric.key} is not a finite number"
    facts = {name: done.get(name) for name in ("iteration_ms", "iterations", "parameters")}
    texts = {name: str(done.get(name, "")) for name in ("finished", "device", "torch", "mmdist")}
    after = done.get("teacher_metric")
    scale = place.metric.scale
    return Row(
        **vars(training.cell),
        metric=None if metric is None else round(metric * scale, 4),
        teacher_metric=None if after is None else round(after * scale, 4),
        failed=why,
        **facts,
        **texts,
    )


def _latest(folder: Path) -> Path | None:
    """The checkpoint to go on from, if a complete one is there."""
    try:
        path = named_in(folder, [folder])
    except CheckpointError:  # the note was cut short
        return None
    return path if path is not None and path.is_file() else None


def _complete(checkpoint: Path, cfg: Config) -> bool:
    """Whether a checkpoint is that of the end."""
    meta = load_checkpoint_file(checkpoint, map_location="cpu")["meta"]
    length, unit = length_of(cfg, "config")
    return int(meta.get("epoch" if unit == EPOCHS else "iter", 0)) >= length


def evaluate(place: Place, config: Path, checkpoint: Path, log: Path, common: Mapping[str, Any]) -> float:
    """The metric of a checkpoint on the test data of a config, as the library logs it.

    Args:
        place (Place): Where.
        config (Path): With the model that the checkpoint is of.
        checkpoint (Path): The weights.
        log (Path): What the evaluation writes is added to it.
        common (Mapping[str, Any]): Further arguments of :func:`mmdist.apis.comparison.process.run`.

    Raises:
        NoMetric: It was not computed.
        StageFailed: The evaluation ended with an error.
    """
    out = log.with_name("metrics.json")
    options = ["--work-dir", log.with_name("test"), "--out", out, "--out-item", "metrics"]
    run([*TOOL, "test", config, checkpoint, *options], "its evaluation", log, **common)
    metrics = read_json(out)
    value = metrics.get(place.metric.key, place.metric.absent)
    if value is None:
        raise NoMetric(
            f"--metric: {place.metric.key!r} is not among what is computed: {', '.join(metrics) or 'nothing'}"
        )
    return float(value)
