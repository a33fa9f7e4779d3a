"""``tools/analysis_tools/kd_gap.py``: a report of every task, and mistakes answered in a line."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.task_runs import distilled, plain_run, quickly
from helpers.tiny_run import ROOT, run_tool
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

spec = importlib.util.spec_from_file_location("kd_gap", ROOT / "tools" / "analysis_tools" / "kd_gap.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

SCOPES = ("mmpretrain", "mmseg", "mmdet")
FILES = ["classes.png", "gap.json", "gradients.png", "reliability.png", "report.md"]


def write_run(scope: str, folder: Path) -> None:
    """A distillation config, and what its training would have written: student and teacher of different weights."""
    cfg = distilled(plain_run(scope, folder, iters=10, val_interval=10), weight=1.0)
    with quickly(scope):
        parts = {}
        for seed, name in ((0, "student"), (1, "teacher")):
            torch.manual_seed(seed)
            model = MODELS.build({**cfg.model.architecture})
            model.init_weights()
            parts[name] = {key: trained(key, value) for key, value in model.state_dict().items()}
    torch.save({"state_dict": parts["teacher"]}, folder / "teacher.pth")
    state = {f"architecture.{name}": value for name, value in parts["student"].items()}
    torch.save({"state_dict": state, "meta": {"iter": 10, "epoch": 0}}, folder / "iter_10.pth")
    torch.save({"state_dict": parts["teacher"]}, folder / "twin.pth")
    cfg.model.random_teacher = False
    cfg.custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
    if scope == "mmdet":  # enough detections of random weights to hit some objects
        for side in ("architecture", "teacher"):
            cfg.model[side].test_cfg.update(nms_pre=1000, max_per_img=100)
    cfg.dump(folder / "distill.py")


def trained(name: str, value: torch.Tensor) -> torch.Tensor:
    """Weights that tell pictures apart, and find objects: those of a model at its start hardly do."""
    if name == "bbox_head.retina_cls.bias":
        return torch.zeros_like(value)
    return value * 1.5 if value.is_floating_point() and value.dim() > 1 else value


@pytest.fixture(scope="module", params=SCOPES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp(request.param)
    write_run(request.param, folder)
    yield request.param, folder


def report(folder: Path, checkpoint: str, out: str, *more: str) -> tuple[dict[str, Any], str]:
    paths = [str(folder / name) for name in ("distill.py", checkpoint)]
    rest = ["--teacher-ckpt", str(folder / "teacher.pth"), "--out", str(folder / out), "--score-thr", "0.05", *more]
    assert tool.main([*paths, *rest]) == 0
    return json.loads((folder / out / "gap.json").read_text()), (folder / out / "report.md").read_text()


def test_a_report_has_all_numbers_and_figures_and_no_place_of_this_machine(
    run: tuple[str, Path], capsys: pytest.CaptureFixture
) -> None:
    scope, folder = run
    numbers, text = report(folder, "iter_10.pth", "gap", "--gradient-batches", "2")
    assert sorted(path.name for path in (folder / "gap").iterdir()) == FILES
    assert all(Image.open(folder / "gap" / name).size[0] > 300 for name in FILES if name.endswith(".png"))
    assert numbers["task"] == dict(mmpretrain="classification", mmseg="segmentation", mmdet="detection")[scope]
    assert {entry["name"] for entry in numbers["classes"]} == {"square", "round", "other"}
    assert set(numbers["calibration"]) == {"teacher", "student"}
    whole = numbers["gradients"]["parts"]["all"]
    assert numbers["gradients"]["batches"] == 2
    assert -1 <= whole["cosine"] <= 1 and whole["ratio"] > 0
    assert (
        list(numbers["gradients"]["parts"])[-1]
        == dict(mmpretrain="head", mmseg="decode_head", mmdet="bbox_head")[scope]
    )
    assert all(f"({name})" in text for name in FILES if name.endswith(".png"))
    assert numbers["summary"] in text and "kd_gap.py distill.py iter_10.pth --teacher-ckpt teacher.pth" in text
    assert str(folder) not in text + json.dumps(numbers)
    said = capsys.readouterr().out
    assert numbers["summary"] in said and "## Gradients" in said and ".png)" not in said


def test_a_student_that_is_its_teacher_has_no_gap(run: tuple[str, Path]) -> None:
    scope, folder = run
    numbers, text = report(folder, "twin.pth", "twin", "--gradient-batches", "0")
    assert all(pair["gap"] in (0, None) for pair in numbers["overall"].values())
    assert all(entry["gap"] in (0, None) for entry in numbers["classes"])
    found = numbers["agreement"]
    if scope == "mmdet":
        assert found["teacher_detections"] == found["student_detections"] > 0
        assert found["found_in_same_class"] == 1 and found["student_alone"] == 0
    else:
        assert found["same_class"] == 1 and math.isclose(found["kl"], 0, abs_tol=1e-9)
    assert numbers["calibration"]["teacher"] == numbers["calibration"]["student"]
    assert "no gap" in numbers["summary"] and "## Gradients" not in text
    assert not (folder / "twin" / "gradients.png").exists()


def test_fewer_batches_and_the_training_pictures_can_be_asked_for(run: tuple[str, Path]) -> None:
    scope, folder = run
    numbers, _ = report(folder, "iter_10.pth", "few", "--split", "train", "--batches", "1", "--gradient-batches", "0")
    assert (numbers["split"], numbers["pictures"]) == ("train", 3)
    unit = dict(mmpretrain=3, mmseg=3 * 48 * 45, mmdet=6)[scope]
    assert numbers["count"] == unit


def test_the_numbers_are_those_of_the_librarys_own_metric(run: tuple[str, Path]) -> None:
    scope, folder = run
    from mmengine.runner import Runner

    cfg = Config.fromfile(folder / "distill.py")
    cfg.model, cfg.load_from = cfg.model.architecture, str(folder / "teacher.pth")
    cfg.work_dir, cfg.experiment_name = str(folder / "work"), f"kd_gap_{scope}"
    with quickly(scope), DefaultScope.overwrite_default_scope(scope):
        metrics = Runner.from_cfg(cfg).val()
    numbers, _ = report(folder, "iter_10.pth", "metric", "--gradient-batches", "0")
    name, ours = dict(
        mmpretrain=("accuracy/top1", "accuracy"), mmseg=("mIoU", "mIoU"), mmdet=("coco/bbox_mAP_50", "AP50")
    )[scope]
    expected = metrics[name] / (1 if scope == "mmdet" else 100)
    assert expected > 0
    assert numbers["overall"][ours]["teacher"] == pytest.approx(expected, abs=1e-3)


def test_an_unknown_checkpoint_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    write_run("mmpretrain", tmp_path)
    done = run_tool(
        "analysis_tools/kd_gap.py", "distill.py", "iter_1.pth", "--teacher-ckpt", "teacher.pth", cwd=tmp_path
    )
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("error: CKPT = 'iter_1.pth': iter_1.pth does not exist; in . there is: iter_10.pth")
    assert not (tmp_path / "gap").exists()
