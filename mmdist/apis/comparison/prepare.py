"""From a plan to what can be trained: configs of methods written, data split, lengths and learning rates known."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdist.apis.comparison.cells import FINAL, SEARCH, TEACHER, TIMING, Cell
from mmdist.apis.comparison.configs import SEED, cell_config, judge_on, learning_rate
from mmdist.apis.comparison.inputs import forget
from mmdist.apis.comparison.lengths import EPOCHS, length_of
from mmdist.apis.comparison.metric import metric_of
from mmdist.apis.comparison.plan import CONFIGS, Arm, Plan
from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.schedule import Lengths
from mmdist.apis.comparison.split import Part, check_validated, split
from mmdist.apis.comparison.stages import Stage
from mmdist.apis.comparison.trainings import config_text
from mmdist.engine import atomic, overrides
from mmdist.engine.config import load_config
from mmdist.engine.preflight import preflight
from mmdist.engine.weights import set_teacher_checkpoint
from mmdist.errors import ConfigError, MMDistError

TIMING_ITERATIONS = 60


@dataclass(frozen=True)
class Prepared:
    """All that cells are made of.

    Args:
        plan (Plan): What is compared.
        configs (Mapping[str, Config]): By arm, with the plan's options for all; the teacher's where it is trained.
        choosing (Part): The images that searches are judged on.
        judging (Part): The images that the report is about.
        lengths (Lengths): Of the schedules.
        unit (str): What lengths count.
        metric (Metric): What is compared.
        rates (Mapping[str, float]): Learning rates of the configs, as far as they are numbers.
    """

    plan: Plan
    configs: Mapping[str, Config]
    choosing: Part
    judging: Part
    lengths: Lengths
    unit: str
    metric: Metric
    rates: Mapping[str, float]

    def config_of(self, cell: Cell) -> Config:
        """What a cell trains."""
        part = self.choosing if cell.purpose == SEARCH else self.judging
        options = options_of(self.plan, cell.arm)
        validation = self.plan.choosing if cell.purpose == SEARCH else self.plan.judging
        if cell.purpose == TIMING:
            return cell_config(cell, self.configs[cell.arm], part, options, timing_batches=self.lengths.timing)
        return cell_config(cell, self.configs[cell.arm], part, options, validation=validation)


def prepare(plan: Plan, folder: Path, *, quiet: bool = False) -> Prepared:
    """Read, write and check all that a comparison needs.

    Args:
        plan (Plan): What is compared.
        folder (Path): The comparison's, absolute.
        quiet (bool): Whether nothing is said of the configs that are written. Defaults to False.

    Returns:
        Prepared: Of what cells are made.

    Raises:
        MMDistError: A config that cannot be read or does not suit, data that cannot be split.
    """
    forget()
    student = _read(plan.student, "the student")
    if (student.get("model") or {}).get("teacher"):
        raise ConfigError("the student", plan.student, "the config of a student by itself", "it distils already")
    shown = _with(student, plan.options)
    choosing, judging = _parts(plan, shown, folder)
    metric = metric_of(_judged(shown, choosing, plan.choosing), plan.metric)
    reported = metric_of(_judged(shown, judging, plan.judging), plan.metric)
    if reported != metric:
        hint = "searches and report need one metric: give test_evaluator another, or --metric"
        raise ConfigError("test_evaluator", reported.key, f"{metric.key}, as val_evaluator", hint)
    length, unit = length_of(shown, plan.student)
    configs = {}
    for arm in plan.arms:
        if arm.method is not None:
            write_method(plan, arm, quiet=quiet)
        configs[arm.name] = _read(arm.config, f"arm {arm.name}")
    if plan.teacher is not None and not plan.teacher.checkpoint:
        configs[TEACHER] = _read(plan.teacher.config, "--teacher")
    whole = {name: _with(cfg, options_of(plan, name)) for name, cfg in configs.items()}
    for name, cfg in whole.items():
        if name != TEACHER and (own := length_of(cfg, name)) != (length, unit):
            wanted = f"{length} {unit}, as the student's"
            raise ConfigError(f"{name}: train_cfg", " ".join(map(str, own)), wanted, "a comparison is at equal length")
    searched = {arm.name for arm in plan.arms if arm.rate != CONFIGS}
    if TEACHER in configs and plan.teacher is not None and set(plan.teacher.rates) != {1.0}:
        searched.add(TEACHER)
    rates = {}
    for name, cfg in whole.items():
        try:
            rates[name] = learning_rate(cfg, name)
        except ConfigError:
            if name in searched:
                raise
    teacher = length_of(whole[TEACHER], "--teacher")[0] if TEACHER in whole else length
    timing = min(TIMING_ITERATIONS, length) if unit != EPOCHS else TIMING_ITERATIONS
    prepared = Prepared(
        *(plan, configs, choosing, judging),
        *(Lengths(length, teacher, timing, metric.higher), unit, metric, rates),
    )
    for name in configs:
        _check(prepared, name)
    return prepared


def _read(path: str, key: str) -> Config:
    """A config of plain values: those of lazy imports are classes, which are written by their names."""
    cfg = load_config(path, key)
    return Config(cfg.to_dict(), filename=cfg.filename)


def _with(cfg: Config, options: Mapping[str, Any]) -> Config:
    changed = copy.deepcopy(cfg)
    overrides.merge_options(changed, dict(options))
    return changed


def _judged(student: Config, part: Part, validation: Mapping[str, Any]) -> Config:
    changed = copy.deepcopy(student)
    judge_on(changed, part, validation)
    return changed


def _check(prepared: Prepared, arm: str) -> None:
    """What training an arm would find out first."""
    plan, lengths = prepared.plan, prepared.lengths
    length = lengths.teacher if arm == TEACHER else lengths.schedule
    cfg = prepared.config_of(Cell(FINAL, arm, plan.seeds[0], length))
    teacher = plan.teacher
    if teacher is not None and arm != TEACHER and plan.arm(arm).taught:
        if teacher.checkpoint:
            set_teacher_checkpoint(cfg, teacher.checkpoint)
        else:
            cfg.model.random_teacher = True  # for this check alone: it is trained first
    try:
        preflight(cfg, ("train", "val"))
    except ConfigError as error:
        raise MMDistError(f"{arm}: {error}") from error


def _parts(plan: Plan, student: Config, folder: Path) -> tuple[Part, Part]:
    if not plan.choosing:
        return split(student, folder / "data")
    check_validated(student)
    loader, evaluator = student.val_dataloader.to_dict(), student.val_evaluator
    words = ("the images of `choosing`", "the images of `judging`")
    return Part(loader, evaluator, words[0]), Part(loader, evaluator, words[1])


def options_of(plan: Plan, arm: str) -> dict[str, Any]:
    """The settings that an arm's config does not have yet, by dotted key; the teacher's own with its name."""
    given = plan.teacher if arm == TEACHER else plan.arm(arm)
    own = given.options if given is not None else {}
    return dict(own) if written(plan, arm) else {**plan.options, **own}


def written(plan: Plan, arm: str) -> bool:
    """Whether an arm's config is made of the student's with the settings of all trainings, and so has them.

    A method's config names the parts of a student elsewhere, and the number of its labelled images by itself. Settings
    that differ by seed cannot be in it.
    """
    return arm != TEACHER and plan.arm(arm).method is not None and SEED not in repr(plan.options)


def _student_of(plan: Plan, arm: Arm) -> str:
    """The student's config that a method's is made of."""
    if not plan.options or not written(plan, arm.name):
        return plan.student
    path = Path(arm.config).with_name("student.py")
    text = config_text(_with(_read(plan.student, "the student"), plan.options))
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(text, path)
    return str(path)


def write_method(plan: Plan, arm: Arm, *, quiet: bool = False) -> None:
    """Write the config of a method, as ``mmdist new`` does, unless it was written from the same before."""
    from mmdist.engine.new.main import new_config
    from mmdist.version import __version__

    if plan.teacher is None:
        raise ConfigError("--teacher", None, f"the config of a teacher, which {arm.name} learns from")
    path, student = Path(arm.config), _student_of(plan, arm)
    inputs = {
        "student": load_config(student, "the student").to_dict(),
        "teacher": load_config(plan.teacher.config, "--teacher").to_dict(),
        "method": arm.method,
        "images": dict(arm.images),
        "mmdist": __version__,
    }
    note = path.with_suffix(".json")
    key = Stage(path.parent, inputs).key
    if path.is_file() and note.is_file() and note.read_text(encoding="utf-8") == f'"{key} {atomic.file_hash(path)}"\n':
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    made = new_config(student, plan.teacher.config, str(arm.method), str(path), force=True, **arm.images)
    atomic.write_text(f'"{key} {atomic.file_hash(path)}"\n', note)
    if not quiet:
        print(f"{arm.name}: {made.title}: {'; '.join(made.compared)}", flush=True)
        for line in made.notes:
            print(f"  note: {line}", flush=True)
