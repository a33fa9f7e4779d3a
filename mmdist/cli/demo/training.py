"""One stage that trains: begun, resumed or skipped, by the project's own ``tools/train.py``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdist.apis.comparison.history import History, read_history, read_validations
from mmdist.apis.comparison.process import Progress, run
from mmdist.apis.comparison.stages import Stage, read_json
from mmdist.cli.demo.catalog import Demo
from mmdist.cli.demo.schedule import iterations_of, length_options, relocation_options
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.config import load_config
from mmdist.engine.latest import named_in
from mmdist.errors import ConfigError, MMDistError


@dataclass(frozen=True)
class Place:
    """Where a demo works and what all of its stages share.

    Args:
        root (Path): The folder that has ``configs`` and ``tools``; the tools run in it.
        folder (Path): Absolute; everything but the data goes there.
        demo (Demo): What is trained.
        data (str): The data, absolute or relative to ``root``.
        versions (dict[str, str]): Of the packages that a result depends on.
        seed (int): Of every training.
        lock (int): File descriptor of the folder's lock.
        environment (Mapping[str, str]): Variables for the tools, beside those of this process.
    """

    root: Path
    folder: Path
    demo: Demo
    data: str
    versions: dict[str, str]
    seed: int
    lock: int
    environment: Mapping[str, str] = field(default_factory=dict)

    def shown(self, text: object) -> str:
        """A path or an argument, relative to ``root`` where it lies in it."""
        return str(text).replace(f"{self.root}/", "")

    def config(self, name: str) -> str:
        return f"configs/demo/{name}"

    def data_options(self, cfg: Any) -> dict[str, str]:
        return relocation_options(cfg, f"data/{self.demo.converter}", self.data)

    def data_checksum(self) -> str:
        return read_json(self.root / self.data / "manifest.json").get("tree_sha256", "")

    def run(self, command: list[Any], what: str, log: Path, progress: Progress) -> None:
        place = dict(cwd=self.root, keep=[self.lock], environment=self.environment)
        run([sys.executable, *command], what, log, on_line=progress.line, **place)

    @property
    def threads(self) -> str | None:
        """``OMP_NUM_THREADS`` of the tools."""
        return self.environment.get("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS"))


@dataclass(frozen=True)
class Training:
    """What is to be trained.

    Args:
        name (str): Its folder.
        label (str): Its name in tables and figures.
        config (str): In ``configs/demo``.
        iterations (int): Its length.
        teacher (Trained, optional): Whom the student learns from.
        options (Mapping[str, Any]): Settings by dotted key, beside length, data and seed.
    """

    name: str
    label: str
    config: str
    iterations: int
    teacher: Trained | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """What was trained.

    Args:
        training (Training): What was asked for.
        checkpoint (Path): The last one.
        sha256 (str): Its checksum.
        metric (float): Of the last checkpoint on the validation images, in percent.
        history (History): Losses, seconds and parameters.
        validations (dict[int, float]): The metric by iteration, in percent.
        command (list[str]): How to train it without the demo.
        finished (str): When.
        threads (str, optional): ``OMP_NUM_THREADS`` of the process that finished it.
    """

    training: Training
    checkpoint: Path
    sha256: str
    metric: float
    history: History
    validations: dict[int, float]
    command: list[str]
    finished: str
    threads: str | None = None


def length_of(place: Place, config: str) -> int:
    """How many iterations a config in ``configs/demo`` trains for."""
    return iterations_of(load_config(str(place.root / place.config(config))), config)


def option_arguments(options: dict[str, Any]) -> list[str]:
    """Overrides as ``--cfg-options`` takes them.

    Raises:
        ConfigError: A text with a comma, which would be taken for a list.
    """
    for key, value in options.items():
        if isinstance(value, str) and "," in value:
            raise ConfigError("--work-dir", value, "a path without a comma", f"{key} cannot name it")
    return ["--cfg-options", *(f"{key}={value}" for key, value in options.items())] if options else []


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to go on from, if a complete one is there."""
    path = named_in(folder, [folder])
    return path if path is not None and path.is_file() else None


def train(place: Place, training: Training, progress: Progress) -> Trained:
    """Train, unless it was done before; go on where an earlier run was interrupted.

    Args:
        place (Place): Where.
        training (Training): What.
        progress (Progress): The stage's line; ended here.

    Returns:
        Trained: The outcome.

    Raises:
        MMDistError: A config that cannot be read, or a metric that was not computed.
        StageFailed: The training ended with an error.
    """
    cfg = load_config(str(place.root / place.config(training.config)))
    options = length_options(cfg, training.iterations) | place.data_options(cfg) | {"randomness.seed": place.seed}
    options |= training.options
    inputs = {
        "config": cfg.to_dict(),
        "options": options,
        "data": place.data_checksum(),
        "teacher": training.teacher.sha256 if training.teacher else None,
        "versions": place.versions,
    }
    stage = Stage(place.folder / training.name, inputs)
    command = ["tools/train.py", place.config(training.config), "--work-dir", str(stage.folder)]
    if training.teacher:
        command += ["--teacher-ckpt", str(training.teacher.checkpoint)]
    command += option_arguments(options)
    done = stage.result()
    skipped = done is not None
    if done is None:
        done = _run(place, training, stage, command, progress)
    metric = done["metric"] * place.demo.metric.scale
    start = f", resumed at {done['resumed']}" if done.get("resumed") and not skipped else ""
    outcome = f"{training.iterations} iterations{start}, {place.demo.metric.name} {metric:.1f}"
    progress.end(outcome, skipped=skipped)
    checkpoint = stage.folder / done["checkpoint"]
    found = read_validations(stage.folder, place.demo.metric.key)
    return Trained(
        training=training,
        checkpoint=checkpoint,
        sha256=done["files"][done["checkpoint"]],
        metric=metric,
        history=read_history(checkpoint),
        validations={step: value * place.demo.metric.scale for step, value in found.items()}
        | {training.iterations: metric},
        command=[place.shown(sys.executable), *map(place.shown, command)],
        finished=done["finished"],
        threads=done.get("omp_num_threads"),
    )


def _run(place: Place, training: Training, stage: Stage, command: list[str], progress: Progress) -> dict[str, Any]:
    begun = stage.begin()
    start = latest_checkpoint(stage.folder) if begun else None
    log = stage.folder / "log.txt"
    if begun and start is None:  # interrupted before its first checkpoint
        shutil.rmtree(stage.folder)
        stage.begin()
    resumed = _iterations(start) if start else 0
    if resumed < training.iterations:
        place.run([*command, *(["--resume"] if start else [])], training.label, log, progress)
    checkpoint = latest_checkpoint(stage.folder)
    if checkpoint is None:
        raise MMDistError(f"{training.label}: the training left no checkpoint in {stage.folder}")
    metric = read_validations(stage.folder, place.demo.metric.key).get(training.iterations)
    if metric is None:  # interrupted after the last checkpoint, before its validation
        metric = _evaluate(place, training, checkpoint, log, progress)
    seconds = read_history(checkpoint).seconds
    return stage.finish(
        [checkpoint.name],
        checkpoint=checkpoint.name,
        metric=metric,
        seconds=seconds,
        resumed=resumed,
        command=[place.shown(sys.executable), *map(place.shown, command)],
        omp_num_threads=place.threads,
    )


def _iterations(checkpoint: Path) -> int:
    """Of a checkpoint; one that was saved because the training was told to stop does not have it in its name."""
    number = checkpoint.stem.rpartition("_")[2]
    if number.isdigit():
        return int(number)
    return load_checkpoint_file(checkpoint, map_location="cpu")["meta"]["iter"]


def _evaluate(place: Place, training: Training, checkpoint: Path, log: Path, progress: Progress) -> float:
    config, metrics = place.config(training.config), checkpoint.with_name("metrics.json")
    options = option_arguments(place.data_options(load_config(str(place.root / config))))
    output = ["--out", metrics, "--out-item", "metrics"]
    command = ["tools/test.py", config, checkpoint, "--work-dir", checkpoint.with_name("test"), *output, *options]
    place.run(command, f"evaluation of the {training.label}", log, progress)
    key, found = place.demo.metric.key, read_json(metrics)
    value = found.get(key, place.demo.metric.absent)
    if value is None:
        raise MMDistError(f"{training.label}: {key} is not among the metrics: {', '.join(found) or 'none'}")
    return float(value)
