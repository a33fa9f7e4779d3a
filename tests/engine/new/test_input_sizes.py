"""`mmdist new` for classifiers of one input size: what it writes trains on the images that the pipeline makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fixed_sizes import fixed, flexible
from helpers.task_runs import plain_run, quickly
from helpers.tiny_pairs import model_config, write_config
from mmengine.config import Config
from mmengine.runner import Runner

from mmdist.engine.modules.main import list_modules
from mmdist.engine.modules.pipeline import pipeline_size
from mmdist.engine.new import new_config
from mmdist.errors import ConfigError


def written(folder: Path, file: str, model: dict[str, Any] | None = None, crop: int = 16) -> Path:
    """A plain config with data, whose pipeline makes images of 16x16."""
    cfg = plain_run("mmpretrain", folder, iters=1).to_dict()
    for step in cfg["train_dataloader"]["dataset"]["pipeline"]:
        if step["type"] == "RandomResizedCrop":
            step["scale"] = crop
    path = folder / f"{file}.py"
    cfg["model"] = model or cfg["model"]
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in cfg.items()))
    return path


@pytest.mark.parametrize("method", ["kd", "rdd-dist"])
@pytest.mark.parametrize("name", ["TinyViT", "MlpMixer", "BEiT"])
def test_the_students_batch_is_resized_for_the_teacher(name: str, method: str, tmp_path: Path) -> None:
    teacher, size = fixed(name)
    student, out = written(tmp_path, "student"), tmp_path / "out.py"
    told = new_config(str(student), str(written(tmp_path, "teacher", teacher)), method, str(out))
    cfg = Config.fromfile(out)
    assert tuple(cfg.model.teacher_input_size) == size
    assert any(f"{size[0]}x{size[1]}" in note and "16x16" in note for note in told.notes)
    cfg.model.random_teacher = True
    with quickly("mmpretrain"):
        runner = Runner.from_cfg(cfg)
        runner.train()
    assert all(torch.tensor(float(log.current())).isfinite() for log in runner.message_hub.log_scalars.values())


def test_the_modules_of_such_a_teacher_are_listed_at_its_own_size(tmp_path: Path) -> None:
    student, out = written(tmp_path, "student"), tmp_path / "out.py"
    new_config(str(student), str(written(tmp_path, "teacher", fixed("TinyViT")[0])), "kd", str(out))
    listed = list_modules(str(out))
    assert listed.input_shape[2:] == (16, 16)  # the student's
    assert listed.modules["teacher"]["backbone.patch_embed"].outputs == [[((), (2, 8, 16, 16))]]


def test_an_input_size_that_suits_the_teacher_alone_changes_nothing_of_the_training(tmp_path: Path) -> None:
    student = written(tmp_path, "student", flexible("ViT"))
    teacher = written(tmp_path, "teacher", fixed("TinyViT")[0])
    out = tmp_path / "out.py"
    new_config(str(student), str(teacher), "kd", str(out), size=(64, 64))
    assert tuple(Config.fromfile(out).model.teacher_input_size) == (64, 64)


def test_a_student_that_does_not_take_the_images_of_its_own_pipeline_is_refused_with_both_sizes(
    tmp_path: Path,
) -> None:
    student, teacher = written(tmp_path, "student", fixed("MlpMixer")[0]), written(tmp_path, "teacher")
    for size in (None, (48, 48)):
        with pytest.raises(ConfigError, match=r"--student = 'MlpMixer': .*48x48.*16x16"):
            new_config(str(student), str(teacher), "kd", str(tmp_path / "out.py"), size=size)
    student = written(tmp_path, "student", fixed("MlpMixer")[0], crop=48)
    with pytest.raises(ConfigError, match=r"--input-size = \[16, 16\]: expected \[48, 48\]"):
        new_config(str(student), str(teacher), "kd", str(tmp_path / "out.py"), size=(16, 16))


def test_two_of_one_size_are_checked_at_that_size(tmp_path: Path) -> None:
    student = written(tmp_path, "student", fixed("TNT")[0], crop=64)
    teacher = written(tmp_path, "teacher", fixed("TinyViT")[0])
    out = tmp_path / "out.py"
    new_config(str(student), str(teacher), "kd", str(out))
    assert "teacher_input_size" not in Config.fromfile(out).model


def test_a_segmenter_of_one_size_is_refused_where_the_training_makes_another(tmp_path: Path) -> None:
    teacher = model_config("segmentor")
    del teacher["auxiliary_head"]
    teacher["backbone"] = dict(type="BEiT", img_size=32, patch_size=8, embed_dims=16, num_layers=2, num_heads=2)
    teacher["backbone"].update(out_indices=[1], qv_bias=True, init_values=0.1)
    teacher["decode_head"].update(in_channels=16, in_index=0)
    beit = write_config(tmp_path, "segmentor", "teacher", model=teacher)
    student = write_config(tmp_path, "segmentor", "student")
    for sides in ((student, beit), (beit, student)):
        with pytest.raises(ConfigError, match=r"--(student|teacher) = 'BEiT': .*32x32.*48x48"):
            new_config(*map(str, sides), "kd", str(tmp_path / "out.py"), size=(32, 32))


def pipeline(*steps: dict[str, Any]) -> Config:
    packed = [dict(type="LoadImageFromFile"), *steps, dict(type="PackInputs")]
    loader = dict(dataset=dict(type="RepeatDataset", dataset=dict(type="ImageNet", pipeline=packed)))
    return Config(dict(default_scope="mmpretrain", train_dataloader=loader))


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ([dict(type="RandomResizedCrop", scale=224)], (224, 224)),
        ([dict(type="Resize", scale=(40, 32))], (32, 40)),  # width and height
        ([dict(type="RandomCrop", crop_size=32, padding=4)], (32, 32)),
        ([dict(type="RandomResizedCrop", scale=96), dict(type="Resize", scale=48)], (48, 48)),
        ([dict(type="ResizeEdge", scale=64, edge="short"), dict(type="CenterCrop", crop_size=(56, 40))], (40, 56)),
        ([dict(type="ResizeEdge", scale=64, edge="short")], None),
        ([dict(type="RandomFlip", prob=0.5)], None),
        ([dict(type="Nothing")], None),
    ],
)
def test_the_size_that_a_pipeline_makes_is_found_by_running_it(
    steps: list[dict[str, Any]], size: tuple[int, int] | None
) -> None:
    state = torch.get_rng_state()
    assert pipeline_size(pipeline(*steps)) == size
    assert torch.equal(torch.get_rng_state(), state)
