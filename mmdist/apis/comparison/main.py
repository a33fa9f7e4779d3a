"""``mmdist compare``: plan, train what is missing, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmdist.apis.comparison import evidence, results
from mmdist.apis.comparison.outline import outline
from mmdist.apis.comparison.report import HTML, MARKDOWN, write_report
from mmdist.apis.comparison.request import Request
from mmdist.apis.comparison.results import Row, Setting
from mmdist.apis.comparison.setting import setting_of
from mmdist.apis.comparison.stages import LOCK, lock
from mmdist.apis.comparison.work import RESULTS, Work
from mmdist.errors import ConfigError


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
    submit: str | None = None,
    sbatch: Sequence[str] = (),
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
        submit (str, optional): ``slurm``: trainings are jobs there, and a job after them goes on. Called again while
            they are in the queue, it says so; afterwards it has the report.
        sbatch (Sequence[str]): Options of these jobs, such as ``partition=gpu``.
        plan_only (bool): Print what would be trained and how long it takes, and train nothing. Defaults to False.
        command (str): That does it again, for the report.

    Returns:
        Comparison | None: Rows, setting and the report's files; None with ``plan_only``, or while
            jobs are at work.

    Raises:
        ConfigError: Arguments that cannot be; nothing was trained.
        MMDistError: Data or models that cannot be compared.
    """
    request = Request.of(**{name: value for name, value in locals().items() if name != "plan_only"})
    if request.is_waiting():
        return None
    _check_folder(request.folder)
    with lock(request.folder) as held:
        work = request.work(held)
        if plan_only:
            print(outline(work.prepared, work.place, work.workers), flush=True)
            return None
        if request.submit is not None and not request.submit_next(work):
            return None
        with work.display:
            work.run()
        return _reported(work, request.command)


def _check_folder(folder: Path) -> None:
    """Nothing of somebody else's is written over."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("--work-dir", str(folder), "a folder that can be made", str(error.strerror)) from error
    theirs = [name for name in (RESULTS, MARKDOWN, HTML) if (folder / name).exists()]
    if theirs and not (folder / LOCK).exists():
        hint = f"it holds {theirs[0]}, which no comparison has written"
        raise ConfigError("--work-dir", str(folder), "a folder of a comparison's own", hint)


def _reported(work: Work, command: str) -> Comparison:
    prepared, place, rows = work.prepared, work.place, list(work.rows.values())
    results.write(place.folder / RESULTS, rows)
    setting, teacher = setting_of(prepared, command), work.teacher()
    if teacher is not None and (known := evidence.teachers_metric(prepared, place, teacher)) is not None:
        setting = replace(setting, teacher_metric=known[0], teacher_parameters=known[1])
    panels = evidence.images(prepared, place, rows, setting, teacher)
    courses = evidence.courses(place, rows, setting)
    return Comparison(place.folder, rows, setting, write_report(place.folder, rows, setting, courses, panels))
