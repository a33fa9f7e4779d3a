"""A run of each task whose classes are colours, and a teacher that has learnt them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.colour_runs import distillation, permuted, plain_config, random_weights, train_teacher
from mmengine.config import Config

from mmdist.apis import doctor


@dataclass
class Run:
    """Configs and checkpoints in a folder.

    Args:
        scope (str): The task library.
        folder (Path): With plain.py, distill.py, teacher.pth, permuted.pth and random.pth.
        plain (Config): The student's own training.
        distill (Config): The same under the teacher.
    """

    scope: str
    folder: Path
    plain: Config
    distill: Config

    def path(self, name: str) -> str:
        """A file of the folder."""
        return str(self.folder / name)

    def write(self, cfg: Config, name: str = "changed.py") -> str:
        """A changed config as a file."""
        cfg.dump(self.folder / name)
        return self.path(name)

    def doctor(self, config: str | None = None, **options: Any) -> Any:
        """A diagnosis, of the distillation if nothing else is named."""
        return doctor(config or self.path("distill.py"), **{"iterations": 2, **options})


def write_run(scope: str, folder: Path) -> Run:
    """Write images, configs and checkpoints."""
    plain = plain_config(scope, folder)
    teacher = folder / "teacher.pth"
    train_teacher(plain, teacher)
    permuted(scope, teacher, folder / "permuted.pth")
    random_weights(plain, folder / "random.pth")
    run = Run(scope, folder, plain, distillation(plain, str(teacher)))
    run.write(run.plain, "plain.py")
    run.write(run.distill, "distill.py")
    return run


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of mmseg."""
    return write_run("mmseg", tmp_path_factory.mktemp("mmseg"))


@pytest.fixture(scope="session", params=["mmseg", "mmpretrain", "mmdet"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of each task."""
    if request.param == "mmseg":
        return request.getfixturevalue("segmenter")
    return write_run(request.param, tmp_path_factory.mktemp(request.param))
