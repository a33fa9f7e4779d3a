"""``mmdist compare``: plan, train what is missing, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmdist.apis.comparison import results
from mmdist.apis.comparison.evidence import courses, teachers_metric
from mmdist.apis.comparison.execution import workers_here
from mmdist.apis.comparison.outline import outline
from mmdist.apis.comparison.plan import Plan
from mmdist.apis.comparison.plan_file import make_plan, read_plan
from mmdist.apis.comparison.prepare import prepare
from mmdist.apis.comparison.progress import Display
from mmdist.apis.comparison.report import write_report
from mmdist.apis.comparison.results import Row, Setting
from mmdist.apis.comparison.setting import setting_of
from mmdist.apis.comparison.stages import lock
from mmdist.apis.comparison.trainings import Place
from mmdist.apis.comparison.work import RESULTS, Work
from mmdist.errors import ConfigError

IN_THE_FILE = ("teacher", "teacher_ckpt", "methods", "arms", "metric", "images", "options")


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Args:
        folder (Path): Where everything is.
        rows (list[Row]): Every training.
        setting (Setting): What was compared.
        report (list[Path]): Files for readers.
    """

    folder: Path
    rows: list[Row]
    setting: Setting
    report: list[Path]


def compare(
    student: str | None = None,
    *,
    teacher: str | None = None,
    teacher_ckpt: str | None = None,
    methods: Sequence[str] = (),
    arms: Mapping[str, str] | None = None,
    seeds: int | Sequence[int] = 3,
    equal: str = "both",
    search_lr: str = "all",
    metric: str | None = None,
    unlabeled: str | None = None,
    unlabeled_per_batch: int | None = None,
    labels: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    plan_file: str | None = None,
    workers: int | None = None,
    work_dir: str | None = None,
    plan_only: bool = False,
    command: str = "",
) -> Comparison | None:
    """Train a student plainly and under a teacher, with seeds, tuned learning rates and equal time; report it.

    What is finished is kept: called again, it goes on where it was.

    Args:
        student (str, optional): Config of the plain student. With ``plan_file`` None.
        teacher (str, optional): Config of the teacher.
        teacher_ckpt (str, optional): Its weights. None: it is trained first.
        methods (Sequence[str]): Methods of ``mmdist new``.
        arms (Mapping[str, str], optional): Configs of one's own, by name.
        seeds (int | Sequence[int]): How many, or which. Defaults to 3.
        equal (str): ``iterations``, ``time`` or ``both``. Defaults to ``both``.
        search_lr (str): Whose learning rate is searched: ``all``, ``plain`` or ``none``. Defaults to ``all``.
        metric (str, optional): Its key; what the config's evaluator reports by default.
        unlabeled (str, optional): Images without labels, for every method.
        unlabeled_per_batch (int, optional): How many of them are in a batch.
        labels (str, optional): ``none``: methods use no label.
        cfg_options (Mapping[str, Any], optional): Settings of all trainings by dotted key.
        plan_file (str, optional): A file that says all this, and more; other arguments of the plan are left out then.
        workers (int, optional): Trainings at a time. Defaults to one a GPU, and to one without.
        work_dir (str, optional): Defaults to ``work_dirs/compare_STUDENT``.
        plan_only (bool): Print what would be trained and how long it takes, and train nothing. Defaults to False.
        command (str): That does it again, for the report.

    Returns:
        Comparison | None: Rows, setting and the report's files; None with ``plan_only``.

    Raises:
        ConfigError: Arguments that cannot be; nothing was trained.
        MMDistError: Data or models that cannot be compared.
    """
    images = dict(unlabeled=unlabeled, unlabeled_per_batch=unlabeled_per_batch, labels=labels)
    plan, folder = plan_of(
        student,
        plan_file,
        work_dir,
        teacher=teacher,
        teacher_ckpt=teacher_ckpt,
        methods=methods,
        arms=arms,
        seeds=seeds,
        equal=equal,
        search_lr=search_lr,
        metric=metric,
        images={key: value for key, value in images.items() if value is not None},
        options=cfg_options,
    )
    own = workers_here(workers)
    with lock(folder) as held:
        prepared = prepare(plan, folder)
        place = Place(folder, held, prepared.metric)
        if plan_only:
            print(outline(prepared, place, own), flush=True)
            return None
        with Display.on(prepared.metric) as display:
            work = Work(prepared, place, own, display)
            work.run()
        rows = list(work.rows.values())
        results.write(folder / RESULTS, rows)
        setting = setting_of(prepared, command)
        teacher = work.teacher()
        if teacher is not None and (known := teachers_metric(prepared, place, teacher)) is not None:
            setting = replace(setting, teacher_metric=known[0], teacher_parameters=known[1])
        panels = images(prepared, place, rows, setting, teacher)
        report = write_report(folder, rows, setting, courses(place, rows, setting), panels)
        return Comparison(folder, rows, setting, report)


def plan_of(student: str | None, plan_file: str | None, work_dir: str | None, **given: Any) -> tuple[Plan, Path]:
    """The plan, and the folder where it is worked at.

    Raises:
        ConfigError: Arguments that cannot be, or do not go together.
    """
    if plan_file is not None:
        wanted = "nothing beside a plan file, which has it"
        for name, value in (
            ("STUDENT", student),
            *((k, given[k]) for k in ("teacher", "teacher_ckpt", "methods", "arms")),
        ):
            if value:
                raise ConfigError(name if name.isupper() else f"--{name.replace('_', '-')}", value, wanted)
    elif student is None:
        raise ConfigError("STUDENT", None, "the config of the student, or --plan-file")
    stem = Path(str(plan_file or student).rpartition("::")[2]).stem
    folder = Path(work_dir or Path("work_dirs") / f"compare_{stem}").expanduser().absolute()
    plan = read_plan(plan_file, folder) if plan_file is not None else make_plan(str(student), folder, **given)
    return plan, folder
