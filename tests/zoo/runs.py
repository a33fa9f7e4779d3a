"""The configs of the zoo, and one real iteration of one of them through ``tools/train.py``.

A run is a process of its own, forked from one that has the imports done.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import runpy
import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from helpers.zoo_data import WRITERS, accept_cifar100
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import ManagerMixin
from zoo.shrink import SHRINK, demo

from mmdist.models.builder import build_model

ROOT = Path(__file__).parents[2]
TIMEOUT = 240


@dataclass(frozen=True)
class Entry:
    """A model of a metafile.

    Attributes:
        name (str): ``Name``; also the name of the config's file.
        path (Path): The config.
        collection (str): ``In Collection``: the method.
        metadata (dict): ``Metadata``: Training Data, Teacher, Student.
        results (list[dict]): ``Results``, where there is a published one.
    """

    name: str
    path: Path
    collection: str
    metadata: dict[str, Any]
    results: list[dict[str, Any]]

    @property
    def data(self) -> str:
        """The writer of its data set: the one whose name is part of ``Training Data``."""
        wanted = "".join(filter(str.isalnum, self.metadata["Training Data"].lower()))
        return next(name for name in WRITERS if name in wanted)


@cache
def entries() -> tuple[Entry, ...]:
    """All configs of the model index, but those of the demo: see :func:`demo_entries`."""
    found = []
    for path in yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]:
        if path.startswith("configs/demo/"):
            continue
        for model in yaml.safe_load((ROOT / path).read_text())["Models"]:
            config = ROOT / model["Config"]
            results = model.get("Results", [])
            found.append(Entry(model["Name"], config, model["In Collection"], model["Metadata"], results))
    return tuple(found)


@cache
def demo_entries() -> tuple[Entry, ...]:
    """The configs of the demo: their metafile has names alone, the rest is in those."""
    found = []
    for model in yaml.safe_load((ROOT / "configs" / "demo" / "metafile.yml").read_text())["Models"]:
        name = model["Name"]
        metadata = {"Training Data": name.rpartition("_")[2]}
        if len(re.findall(r"-w\d+", name)) == 2:  # the widths of two networks
            metadata["Teacher"] = name.partition("_")[2]
        found.append(Entry(name, ROOT / model["Config"], model["In Collection"], metadata, []))
    return tuple(found)


@cache
def prepare(scope: str) -> None:
    """Import what a run needs, so that a forked process finds it."""
    importlib.import_module(f"{scope}.utils").register_all_modules(init_default_scope=False)
    for name in ("mmdist.cli.train", "mmdist.engine.runner", "mmdist.engine.hooks", "mmdist.engine.loops"):
        importlib.import_module(name)


def train_one_iteration(entry: Entry, folder: Path) -> list[dict[str, Any]]:
    """Train in a new process, shrunk, on tiny data in the working directory's ``data/``.

    Args:
        entry (Entry): The config.
        folder (Path): Of the process that tests; data and teachers in it serve all its runs.

    Returns:
        list[dict]: The lines of the run's log: the training's one iteration, and the validation.

    Raises:
        RuntimeError: The run failed; with the end of what it said.
    """
    cfg = Config.fromfile(entry.path)
    prepare(cfg.default_scope)
    place = folder / entry.data
    if not place.exists():
        WRITERS[entry.data](place / "data")
    work = folder / "work" / entry.name
    work.mkdir(parents=True)
    code = _forked(lambda: _train(entry, cfg, place, work), work / "output.txt")
    logs = sorted(work.glob("*/vis_data/scalars.json"))
    if code or not logs:
        raise RuntimeError(f"{entry.name} ended with {code}:\n{(work / 'output.txt').read_text()[-6000:]}")
    return [json.loads(line) for line in logs[-1].read_text().splitlines()]


def _train(entry: Entry, cfg: Config, place: Path, work: Path) -> None:
    torch.set_num_threads(1)
    forget_instances(ManagerMixin)
    accept_cifar100() if entry.data == "cifar100" else None
    os.chdir(place)
    arguments = [str(entry.path), "--work-dir", str(work)]
    if "teacher" in cfg.model:
        arguments += ["--teacher-ckpt", str(teacher_weights(cfg, place.parent / "teachers"))]
    shrink = demo if entry.collection == "Demo" else SHRINK[cfg.default_scope]
    sys.argv = ["tools/train.py", *arguments, "--cfg-options", *shrink(cfg, place / "data")]
    with patch.object(Config, "pretty_text", ""):  # half of a tiny run's time goes into its layout
        runpy.run_path(str(ROOT / "tools" / "train.py"), run_name="__main__")


def forget_instances(kind: type) -> None:
    """What mmengine keeps by name in a process: a visualizer of an earlier test would log into that test's folder."""
    getattr(kind, "_instance_dict", {}).clear()
    for subclass in kind.__subclasses__():
        forget_instances(subclass)


def teacher_weights(cfg: Config, folder: Path) -> Path:
    """A checkpoint of the config's teacher, untrained; written once a teacher.

    Args:
        cfg (Config): Of a run with a teacher.
        folder (Path): Of the checkpoints.

    Returns:
        Path: Loaded by the run as a published one would be.
    """
    source = cfg.model.teacher
    path = folder / f"{hashlib.sha1(str(source).encode()).hexdigest()[:12]}.pth"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            torch.save(dict(state_dict=build_model(source, "model.teacher").state_dict()), path)
    return path


def _forked(action: Any, output: Path) -> int:
    """Run in a child; its exit code, 1 for an exception."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
            for stream in (1, 2):
                os.dup2(descriptor, stream)
            sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
            action()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return 124
