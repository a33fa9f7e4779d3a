"""What somebody asks to compare: the arguments of :func:`mmdist.apis.compare`, looked at together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdist.apis.comparison import slurm
from mmdist.apis.comparison.execution import Worker, workers_here
from mmdist.apis.comparison.plan import Plan
from mmdist.apis.comparison.plan_file import IMAGES, SEEDS, make_plan, read_plan
from mmdist.apis.comparison.prepare import prepare
from mmdist.apis.comparison.progress import Display
from mmdist.apis.comparison.trainings import Place
from mmdist.apis.comparison.work import Work
from mmdist.errors import ConfigError

IN_THE_FILE = ("teacher", "teacher_ckpt", "methods", "arms", "metric", *IMAGES, "cfg_options")
DEFAULTS = {"seeds": SEEDS, "equal": "both", "search_lr": "all"}  # what a plan file is not contradicted by
PLANNED = ("teacher", "teacher_ckpt", "methods", "arms", "seeds", "equal", "search_lr", "metric")


@dataclass(frozen=True)
class Request:
    """A comparison, and where and how it is to be done.

    Args:
        plan (Plan): What is compared.
        folder (Path): Absolute.
        workers (Sequence[Worker]): Who trains here.
        submit (str, optional): ``slurm``, if jobs there train.
        sbatch (Sequence[str]): Options of these jobs.
        command (str): That does it again.
        arguments (Mapping[str, Any]): As they were given.
    """

    plan: Plan
    folder: Path
    workers: Sequence[Worker]
    submit: str | None
    sbatch: Sequence[str]
    command: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, **given: Any) -> Request:
        """From the arguments of :func:`mmdist.apis.compare`.

        Raises:
            ConfigError: Arguments that cannot be, or do not go together.
        """
        student, file, submit = given.get("student"), given.get("plan_file"), given.get("submit")
        if submit not in (None, "slurm"):
            raise ConfigError("--submit", submit, ["slurm"])
        if given.get("sbatch") and submit is None:
            raise ConfigError("--sbatch", list(given["sbatch"]), hint="it goes with --submit slurm")
        options = slurm.check_options(given.get("sbatch") or ())
        stem = Path(str(file or student).rpartition("::")[2]).stem
        folder = Path(given.get("work_dir") or Path("work_dirs") / f"compare_{stem}").expanduser().absolute()
        workers = workers_here(given.get("workers"))
        if file is not None:
            for name in ("student", *IN_THE_FILE):
                if given.get(name):
                    key = "STUDENT" if name == "student" else f"--{name.replace('_', '-')}"
                    raise ConfigError(key, given[name], "nothing beside a plan file, which has it")
            for name, default in DEFAULTS.items():
                if given.get(name, default) != default:
                    key = f"--{name.replace('_', '-')}"
                    raise ConfigError(key, given[name], "nothing beside a plan file, which has it")
            plan = read_plan(file, folder)
        elif student is None:
            raise ConfigError("STUDENT", None, "the config of the student, or --plan-file")
        else:
            images = {name: given[name] for name in IMAGES if given.get(name) is not None}
            planned = {name: given[name] for name in PLANNED if name in given}
            plan = make_plan(student, folder, **planned, images=images, options=given.get("cfg_options"))
        return cls(plan, folder, workers, submit, options, given.get("command") or "", dict(given))

    def work(self, lock: int) -> Work:
        """The comparison at work.

        Args:
            lock (int): File descriptor of the folder's lock.

        Raises:
            MMDistError: A config that cannot be read or does not suit, data that cannot be split.
        """
        prepared = prepare(self.plan, self.folder)
        place = Place(self.folder, lock, prepared.metric)
        return Work(prepared, place, self.workers, Display.on(prepared.metric))

    def is_waiting(self) -> bool:
        """Whether jobs of the comparison are still in slurm's queue; says so."""
        jobs = slurm.waiting(self.folder) if self.submit is not None else []
        if jobs:
            print(f"still in slurm's queue: {', '.join(jobs)}; call again later", flush=True)
        return bool(jobs)

    def submit_next(self, work: Work) -> bool:
        """Submit what is missing next, and say so.

        Args:
            work (Work): The comparison at work; it takes in what was finished.

        Returns:
            bool: Whether nothing is missing.
        """
        batch = work.next(again=not slurm.inside())
        if batch is None:
            return True
        jobs = slurm.submit(self.folder, batch, self.arguments, self.sbatch)
        what = f"{batch.what}: {len(batch.cells)} training{'s' * (len(batch.cells) > 1)}"
        print(f"{what}, job {jobs[0]}; job {jobs[1]} goes on after it", flush=True)
        return False
