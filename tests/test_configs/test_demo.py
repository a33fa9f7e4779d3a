"""Every demo config: builds, trains two iterations, validates, exports, and is listed where users look for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.tiny_data import write_classification, write_detection, write_segmentation
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmdist.cli.demo.catalog import DEMOS
from mmdist.cli.main import main

FOLDER = Path(__file__).parents[2] / "configs" / "demo"
CONFIGS = sorted(path.name for path in FOLDER.glob("*.py"))
DIGITS = tuple("0123456789")
# a config's method, and the loss that it distils with
METHODS = {
    "dist": "loss_dist",
    "distplus": "loss_dist",
    "kd": "loss_kd",
    "cwd": "loss_cwd",
    "rdd": "loss_kd",
    "rdd-dist": "loss_dist",
    "rdd-cwd": "loss_cwd",
    "sdd": "loss_sdd",
    "sdkd": "loss_sdd",
    "sddkd": "loss_sdd",
    "sdnkd": "loss_sdd",
    "dckd": "loss_dckd",
    "dkd": "loss_dkd",
    "pkd": "loss_pkd",
}
RDD_LOGS = {f"train/rdd.{name}" for name in ("stage", "kept", "weight")}


def method_of(name: str) -> str | None:
    """None of a teacher or a student by itself."""
    method = name.partition("_")[0]
    return method if method in METHODS else None


def write_data(name: str, root: Path) -> None:
    """Tiny data of the kind that the config reads."""
    if "mnist" in name:
        write_classification(root, DIGITS)
    elif "nuclei" in name:
        write_segmentation(root, 2, 128)
    elif "trees" in name:
        write_detection(root, ("tree",), 400)
    elif "rcnn" in name or "retinanet" in name:
        write_detection(root, DIGITS)
    else:
        write_segmentation(root, 11)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_demo_config_trains_two_iterations_validates_and_exports(name, tmp_path):
    write_data(name, tmp_path / "data")
    cfg = Config.fromfile(FOLDER / name)
    changes = dict(
        work_dir=str(tmp_path / "work"),
        experiment_name=name,
        train_cfg=dict(max_iters=2, val_interval=2),
        train_dataloader=dict(batch_size=2, dataset=dict(data_root=str(tmp_path / "data"))),
        val_dataloader=dict(batch_size=2, dataset=dict(data_root=str(tmp_path / "data"))),
        default_hooks=dict(checkpoint=dict(interval=2), logger=dict(interval=1)),
        log_level="WARNING",
    )
    if "teacher" in cfg.model:
        changes["model"] = dict(random_teacher=True)
    if "ann_file" in cfg.val_evaluator:
        changes["val_evaluator"] = dict(ann_file=str(tmp_path / "data/annotations/instances_val.json"))
    if "custom_hooks" in cfg:
        changes.update({"custom_hooks.0.interval": 2, "custom_hooks.0.out_dir": str(tmp_path / "pictures")})
    cfg.merge_from_dict(changes)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        runner = Runner.from_cfg(cfg)
        runner.train()
    losses = runner.message_hub.get_scalar("train/loss")
    assert runner.iter == 2
    assert all(value == value and abs(value) < 1e4 for value in losses.data[0])
    logged = [key.removeprefix("train/distill.") for key in runner.message_hub.log_scalars if "/distill." in key]
    method = method_of(name)
    assert any(key.startswith(METHODS[method]) for key in logged) if method else not logged
    assert any(key.startswith("loss_teacher") for key in logged) == (method == "distplus")
    weighting = {key for key in runner.message_hub.log_scalars if key.startswith("train/rdd.")}
    assert weighting == (RDD_LOGS if str(method).startswith("rdd") else set())
    # the hook draws segmenters
    drawn = str(method).startswith("rdd") and "upernet" in name
    assert (tmp_path / "pictures" / "distill_2.png").is_file() == drawn
    checkpoint = tmp_path / "work" / "iter_2.pth"
    assert checkpoint.is_file()
    if method:
        assert main(["export", str(checkpoint), str(tmp_path / "student.pth")]) == 0


def test_the_demo_uses_the_plain_configs_and_those_of_dist_but_no_two_stages():
    used = {name for demo in DEMOS for name in (demo.teacher, demo.student, demo.distilled)}
    assert used == {name for name in CONFIGS if method_of(name) in (None, "dist") and "rcnn" not in name}


@pytest.mark.parametrize("name", [name for name in CONFIGS if method_of(name) not in (None, "dist")])
def test_a_config_of_another_method_has_one_of_dist_with_the_same_student_and_teacher(name):
    other, plain = (Config.fromfile(FOLDER / file) for file in (name, name.replace(f"{method_of(name)}_", "dist_", 1)))
    assert other.model.architecture == plain.model.architecture
    assert Path(other.model.teacher).resolve() == Path(plain.model.teacher).resolve()
    assert other.train_dataloader == plain.train_dataloader


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.name)
def test_plain_and_distilled_student_differ_in_the_model_alone(demo):
    plain, distilled = (Config.fromfile(FOLDER / name) for name in (demo.student, demo.distilled))
    assert distilled.model.architecture == plain.model
    for key in plain:
        if key != "model":
            assert distilled[key] == plain[key], key


def test_the_metafile_lists_every_config():
    listed = [model["Config"] for model in yaml.safe_load((FOLDER / "metafile.yml").read_text())["Models"]]
    assert sorted(listed) == [f"configs/demo/{name}" for name in CONFIGS]
