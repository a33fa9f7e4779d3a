"""Every demo config: builds, trains two iterations, validates, and is listed where users look for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.tiny_data import write_classification, write_detection, write_segmentation
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmdist.cli.demo.catalog import DEMOS

FOLDER = Path(__file__).parents[2] / "configs" / "demo"
CONFIGS = sorted(path.name for path in FOLDER.glob("*.py"))
DIGITS = tuple("0123456789")


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
def test_a_demo_config_trains_two_iterations_and_validates(name, tmp_path):
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
    if "ann_file" in cfg.val_evaluator:
        changes["val_evaluator"] = dict(ann_file=str(tmp_path / "data/annotations/instances_val.json"))
    cfg.merge_from_dict(changes)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        runner = Runner.from_cfg(cfg)
        runner.train()
    losses = runner.message_hub.get_scalar("train/loss")
    assert runner.iter == 2
    assert all(value == value and abs(value) < 1e4 for value in losses.data[0])
    distilled = [key for key in runner.message_hub.log_scalars if key.startswith("train/distill.loss_dist")]
    assert bool(distilled) == name.startswith(("dist_", "distplus_"))
    acclimated = [key for key in runner.message_hub.log_scalars if key.startswith("train/distill.loss_teacher")]
    assert bool(acclimated) == name.startswith("distplus_")
    assert (tmp_path / "work" / "iter_2.pth").is_file()


def test_the_demo_uses_every_config_but_those_of_dist_plus_and_of_two_stages():
    used = {name for demo in DEMOS for name in (demo.teacher, demo.student, demo.distilled)}
    assert used == {name for name in CONFIGS if not name.startswith("distplus_") and "rcnn" not in name}


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("distplus_")])
def test_a_config_of_dist_plus_has_one_of_dist_with_the_same_student_and_teacher(name):
    plus, plain = (Config.fromfile(FOLDER / file).model for file in (name, name.replace("distplus_", "dist_")))
    assert plus.architecture == plain.architecture
    assert plus.teacher == plain.teacher


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
