"""The config that ``mmdist train STUDENT --teacher CONFIG`` writes into its work dir, and trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdist.engine.launch import first_process
from mmdist.engine.new.images import NONE, PLAIN, Images
from mmdist.engine.new.load import load_plain
from mmdist.engine.new.main import Written, new_config
from mmdist.engine.new.methods import METHODS
from mmdist.engine.new.unchanged import check_unchanged
from mmdist.engine.preflight.teacher import may_have_weights
from mmdist.errors import ConfigError
from mmdist.models.teacher_weights import no_weights

METHOD = "dist"
METHOD_UNLABELED = "dist"  # beside unlabelled images


def default_method(images: Images) -> str:
    """The method where none is named.

    Example:
        >>> default_method(Images())
        'dist'
    """
    return METHOD_UNLABELED if images.labels and images.unlabeled is not None else METHOD


@dataclass(frozen=True)
class Asked:
    """What the user asks for.

    Args:
        student (str): Plain config, or ``pkg::path``.
        teacher (str): Likewise.
        method (str): One of ``METHODS``.
        teacher_ckpt (str, optional): Weights of the teacher.
        student_ckpt (str, optional): Weights that the student starts from.
        work_dir (str, optional): The run's folder; ``work_dirs/METHOD_STUDENT`` by default.
        random_teacher (bool): Whether a teacher without weights is meant.
        images (Images): What the student learns from. Defaults to the labelled images of its config.
    """

    student: str
    teacher: str
    method: str = METHOD
    teacher_ckpt: str | None = None
    student_ckpt: str | None = None
    work_dir: str | None = None
    random_teacher: bool = False
    images: Images = PLAIN

    @property
    def name(self) -> str:
        """Such as ``dist_resnet18_8xb32_in1k``, of the folder and of the config in it."""
        return f"{self.method}_{Path(self.student.rpartition('::')[2]).stem}"

    @property
    def path(self) -> Path:
        """The config."""
        return Path(self.work_dir or Path("work_dirs") / self.name) / f"{self.name}.py"


def config_in_work_dir(asked: Asked, launcher: str = "none", *, resume: bool = False) -> tuple[Path, Written | None]:
    """Write the config of a distillation into its work dir, or find it there where a run is resumed.

    Args:
        asked (Asked): Student, teacher, method.
        launcher (str): What started the processes. The first writes and checks; the others wait.
        resume (bool): Whether a config that is there is taken as it stands.

    Returns:
        tuple[Path, Written | None]: The config, and what was done, where this process has done it.

    Raises:
        ConfigError: An argument that cannot work, weights that are missing, or other arguments than those that the run
            to be resumed began with.
        MMDistError: A model that does not run, or weights that do not fit.
    """
    if asked.method not in METHODS:
        raise ConfigError("--method", asked.method, METHODS)
    if resume and asked.path.is_file():
        check_unchanged(asked)
        return asked.path, None
    cfg = load_plain(asked.student, "--student")
    _check_weights(asked, load_plain(asked.teacher, "--teacher"))
    dist_cfg = (cfg.get("env_cfg") or {}).get("dist_cfg")
    return asked.path, first_process(lambda: _write(asked), launcher, dist_cfg, "the distillation config")


def _write(asked: Asked) -> Written:
    try:
        asked.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("--work-dir", str(asked.path.parent), "a folder", error.strerror or str(error)) from error
    return new_config(
        asked.student,
        asked.teacher,
        asked.method,
        str(asked.path),
        teacher_ckpt=asked.teacher_ckpt,
        student_ckpt=asked.student_ckpt,
        unlabeled=asked.images.unlabeled,
        unlabeled_per_batch=asked.images.per_batch,
        labels=None if asked.images.labels else NONE,
        force=True,
        random_teacher=asked.random_teacher,
    )


def _check_weights(asked: Asked, teacher: Config) -> None:
    given = asked.teacher_ckpt or asked.random_teacher
    with DefaultScope.overwrite_default_scope(teacher.get("default_scope")):
        if not given and not may_have_weights(teacher.model, teacher.get("default_scope")):
            raise no_weights(f"{teacher.model.get('type')} would teach noise", "--teacher-ckpt")
