"""`new_config` on configs that the task libraries bring, and under mmengine's own Runner."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.task_runs import plain_run, quickly
from helpers.tiny_pairs import write_config
from mmengine.config import Config
from mmengine.runner import Runner

from mmdist.engine.new import new_config
from mmdist.engine.new.load import without_weights
from mmdist.errors import CheckpointError, ConfigError, MMDistError
from mmdist.models.builder import build_model, load_model_config

SEGFORMER = "mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"
DEEPLAB = "mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-160k_ade20k-512x512.py"
GFL = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
GFL_101 = "mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py"
RESNET = "mmpretrain::resnet/resnet18_8xb32_in1k.py"
SWIN = "mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint is fetched."""

    def fetch(url: str, *args: object, **kwargs: object) -> None:
        raise AssertionError(f"asked for {url}")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetch)
    monkeypatch.setattr("mmengine.runner.checkpoint.load_url", fetch)


@pytest.mark.usefixtures("offline")
def test_segformer_learns_from_deeplab_at_the_finer_resolution(tmp_path: Path) -> None:
    out = tmp_path / "my_config.py"
    written = new_config(SEGFORMER, DEEPLAB, "dist", str(out), size=(64, 64))
    cfg = Config.fromfile(out)
    assert cfg.model.teacher == DEEPLAB and cfg.model.teacher_ckpt is None
    assert cfg.model.architecture.decode_head.type == "SegformerHead"
    assert cfg.model.distiller.connectors.resize == dict(type="mmdist.ResizeConnector")
    assert "connector" in cfg.model.distiller.loss_forward_mappings.loss_dist.logits_T
    assert cfg.custom_imports["imports"] == ["mmdist"] and cfg.default_scope == "mmseg"
    assert "distill.loss_dist" in written.losses and not written.has_weights


@pytest.mark.usefixtures("offline")
def test_gfl_learns_level_by_level(tmp_path: Path) -> None:
    out = tmp_path / "my_config.py"
    new_config(GFL, GFL_101, "dist", str(out), size=(64, 64))
    distiller = Config.fromfile(out).model.distiller
    mappings = [distiller.loss_forward_mappings[f"loss_dist_{level}"] for level in range(5)]
    assert [mapping.logits_S.get("record_idx", 0) for mapping in mappings] == list(range(5))
    assert all(loss.activation == "sigmoid" for loss in distiller.distill_losses.values())


@pytest.mark.usefixtures("offline")
def test_a_resnet_learns_from_a_swin_transformer(tmp_path: Path) -> None:
    out = tmp_path / "my_config.py"
    new_config(RESNET, SWIN, "distplus", str(out), size=(224, 224))
    cfg = Config.fromfile(out)
    assert cfg.model.acclimated == ["backbone.stages.3.blocks.1.ffn.layers.1", "head.fc"]
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.acclimated == dict(lr_mult=0.1, decay_mult=0.0)
    assert cfg.optim_wrapper.optimizer.type == "SGD"
    align = dict(type="mmdist.AlignConnector", in_channels=512, out_channels=768)
    assert cfg.model.distiller.connectors == dict(align=align)


def test_a_written_config_runs_under_mmengines_own_runner(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path, iters=1).to_dict()
    student, out = tmp_path / "student.py", tmp_path / "configs" / "distil.py"
    student.write_text("".join(f"{name} = {value!r}\n" for name, value in cfg.items()))
    out.parent.mkdir()
    new_config(str(student), str(student), "kd", str(out))
    written = Config.fromfile(out)
    written.model.random_teacher = True
    with quickly("mmseg"):
        runner = Runner.from_cfg(written)
        runner.train()
    logged = runner.message_hub.log_scalars
    assert torch.isfinite(torch.tensor(float(logged["train/distill.loss_kd"].current())))


def test_weights_of_the_teacher_have_to_fit(tmp_path: Path) -> None:
    student, teacher = write_config(tmp_path, "classifier", "s"), write_config(tmp_path, "classifier", "t", width=8)
    model = build_model(load_model_config(str(teacher), "model"), "model")
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "teacher.pth")
    arguments = (str(student), str(teacher), "kd", str(tmp_path / "out.py"))
    written = new_config(*arguments, teacher_ckpt=str(tmp_path / "teacher.pth"), size=(32, 32))
    assert written.has_weights
    assert Config.fromfile(tmp_path / "out.py").model.teacher_ckpt == str(tmp_path / "teacher.pth")
    torch.save(dict(state_dict={}), tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="does not fit"):
        new_config(*arguments, teacher_ckpt=str(tmp_path / "empty.pth"), size=(32, 32), force=True)
    assert Config.fromfile(tmp_path / "out.py").model.teacher_ckpt == str(tmp_path / "teacher.pth")


def test_what_the_student_started_from_it_still_starts_from(tmp_path: Path) -> None:
    student = write_config(tmp_path, "classifier", "s", load_from="https://example.com/s.pth")
    new_config(str(student), str(student), "kd", str(tmp_path / "out.py"), size=(32, 32))
    cfg = Config.fromfile(tmp_path / "out.py")
    assert (cfg.load_from, cfg.model.student_ckpt) == (None, "https://example.com/s.pth")


@pytest.mark.parametrize("given", [["json"], "json"], ids=["list", "text"])
def test_the_students_own_imports_stay(given: list[str] | str, tmp_path: Path) -> None:
    imports = dict(imports=given, allow_failed_imports=False)
    student = write_config(tmp_path, "classifier", "s", custom_imports=imports)
    new_config(str(student), str(student), "kd", str(tmp_path / "out.py"), size=(32, 32))
    assert Config.fromfile(tmp_path / "out.py").custom_imports["imports"] == ["json", "mmdist"]


def test_a_model_that_cannot_be_initialised_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmpretrain.models import LinearClsHead

    def fails(self: LinearClsHead) -> None:
        raise AttributeError("no weights of my own")

    monkeypatch.setattr(LinearClsHead, "init_weights", fails)
    student = write_config(tmp_path, "classifier", "s")
    with pytest.raises(MMDistError, match=r"student .*no weights of my own"):
        new_config(str(student), str(student), "kd", str(tmp_path / "out.py"), size=(32, 32))


def test_another_task_is_refused(tmp_path: Path) -> None:
    student, teacher = write_config(tmp_path, "classifier", "s"), write_config(tmp_path, "segmentor", "t")
    with pytest.raises(ConfigError, match="a model for classification, as the student's; this one is for segmentation"):
        new_config(str(student), str(teacher), "kd", str(tmp_path / "out.py"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.py", "t.py"]


@pytest.mark.parametrize(("student", "teacher"), [(1, 3), (3, 1), (4, 3)])
def test_a_teacher_of_pictures_with_other_channels_is_refused(tmp_path: Path, student: int, teacher: int) -> None:
    paths = []
    for name, channels in (("s", student), ("t", teacher)):
        cfg = Config.fromfile(write_config(tmp_path, "classifier", name))
        cfg.model.backbone.in_channels = channels
        cfg.model.data_preprocessor.update(mean=[0.0] * channels, std=[1.0] * channels, to_rgb=False)
        cfg.dump(tmp_path / f"{name}.py")
        paths.append(str(tmp_path / f"{name}.py"))
    with pytest.raises(ConfigError, match=rf"--teacher .*{student} channels?, .*{teacher}$"):
        new_config(*paths, "kd", str(tmp_path / "out.py"), size=(32, 32))


def test_a_config_that_distils_already_is_refused(tmp_path: Path) -> None:
    student = write_config(tmp_path, "classifier", "s")
    new_config(str(student), str(student), "kd", str(tmp_path / "out.py"), size=(32, 32))
    with pytest.raises(ConfigError, match=r"--student .*: name the plain config of the student"):
        new_config(str(tmp_path / "out.py"), str(student), "kd", str(tmp_path / "other.py"))


def test_a_config_in_pure_python_is_refused(tmp_path: Path) -> None:
    student, pure = write_config(tmp_path, "classifier", "s"), tmp_path / "pure.py"
    pure.write_text("from mmengine.config import read_base\nwith read_base():\n    from .s import *\n")
    with pytest.raises(ConfigError, match="cannot inherit from one in pure Python"):
        new_config(str(pure), str(student), "kd", str(tmp_path / "out.py"))


def test_nothing_is_loaded_for_a_dry_run() -> None:
    model = load_model_config(GFL, "model")
    assert "torchvision" in str(model) and "torchvision" not in str(without_weights(model))


@pytest.mark.parametrize(
    ("init_cfg", "loads"),
    [
        (dict(checkpoint="https://example.com/pvt.pth"), True),  # as MMDetection's PVT wants it
        (dict(type="Pretrained_Part", checkpoint="a.pth"), True),
        ([dict(type="Kaiming", layer="Conv2d"), dict(type="Pretrained", checkpoint="a.pth")], True),
        ([dict(type="Kaiming", layer="Conv2d"), dict(type="TruncNormal", layer="Linear")], False),
    ],
)
def test_a_dry_run_loads_nothing_however_the_weights_are_named(init_cfg: object, loads: bool) -> None:
    found = without_weights(dict(type="R", backbone=dict(init_cfg=init_cfg)))
    assert found["backbone"]["init_cfg"] == (None if loads else init_cfg)


@pytest.mark.parametrize("name", ['it\'s "here"', "back\\slash", "$(touch gone) `x`", "%j {{ fileDirname }}", "ü ж"])
def test_the_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    (folder / "sub").mkdir(parents=True)
    student = write_config(folder, "classifier", "s")
    new_config(str(student), str(student), "kd", str(folder / "sub" / "out.py"), size=(32, 32))
    cfg = Config.fromfile(folder / "sub" / "out.py")
    assert Path(cfg.model.teacher).resolve() == student
    assert not list(tmp_path.rglob("gone"))
