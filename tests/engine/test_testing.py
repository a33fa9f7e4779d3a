from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_run import write_run
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmdist.engine import testing
from mmdist.engine.config import load_config
from mmdist.errors import CheckpointError, ConfigError


def hook_config(kind: str) -> Config:
    return Config({"default_hooks": {"visualization": {"type": kind}}})


@pytest.mark.parametrize(
    ("kind", "switch", "folder"),
    [
        ("DetVisualizationHook", "draw", "test_out_dir"),
        ("mmpretrain.VisualizationHook", "enable", "out_dir"),
    ],
)
def test_the_hook_of_each_library_is_switched_on_in_its_own_way(kind: str, switch: str, folder: str) -> None:
    cfg = hook_config(kind)
    testing.enable_visualization(cfg, show=True, show_dir="painted", wait_time=3.0)
    hook = cfg.default_hooks.visualization
    assert (hook[switch], hook[folder], hook.show, hook.wait_time) == (True, "painted", True, 3.0)


def test_mmsegmentation_saves_through_its_visualizer() -> None:
    cfg = hook_config("SegVisualizationHook")
    testing.enable_visualization(cfg, show=False, show_dir="painted", wait_time=2.0, interval=5)
    assert cfg.visualizer.save_dir == "painted"
    assert cfg.default_hooks.visualization == {
        "type": "SegVisualizationHook",
        "draw": True,
        "show": False,
        "interval": 5,
    }


def test_showing_without_a_hook_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"default_hooks\.visualization"):
        testing.enable_visualization(Config({}), show=True, show_dir=None, wait_time=2.0)


@pytest.mark.parametrize(
    ("scope", "model"), [("mmdet", "DetTTAModel"), ("mmpretrain", "mmpretrain.AverageClsScoreTTA")]
)
def test_flips_are_the_default_test_time_augmentation(scope: str, model: str) -> None:
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "Pack"}]
    cfg = Config(
        {"default_scope": scope, "model": {"type": "Net"}, "test_dataloader": {"dataset": {"pipeline": pipeline}}}
    )
    testing.enable_tta(cfg)
    assert (cfg.model.type, cfg.model.module.type) == (model, "Net")
    steps = cfg.test_dataloader.dataset.pipeline
    assert [step.type for step in steps] == ["LoadImageFromFile", "TestTimeAug"]
    assert [flip.prob for flip in steps[-1].transforms[0]] == [1.0, 0.0]


def test_a_config_that_has_its_own_test_time_augmentation_keeps_it() -> None:
    cfg = Config({"default_scope": "mmseg", "model": {"type": "Net"}, "test_dataloader": {"dataset": {}}})
    cfg.tta_model, cfg.tta_pipeline = {"type": "SegTTAModel"}, [{"type": "TestTimeAug"}]
    testing.enable_tta(cfg)
    assert cfg.model == {"type": "SegTTAModel", "module": {"type": "Net"}}
    assert cfg.test_dataloader.dataset.pipeline == [{"type": "TestTimeAug"}]


@pytest.mark.parametrize(
    ("out", "item", "evaluator"),
    [
        ("a.pkl", None, {"type": "Accuracy"}),
        ("a.json", "metrics", {"type": "Accuracy"}),
        ("maps", None, {"type": "IoUMetric"}),
        ("maps", None, [{"type": "mmseg.IoUMetric"}]),
        (None, None, None),
    ],
)
def test_outputs_that_fit_are_accepted(out: str | None, item: str | None, evaluator: Any) -> None:
    testing.check_output(Config({"test_evaluator": evaluator}), out, item)


@pytest.mark.parametrize(
    ("out", "item"), [(None, "metrics"), ("a.json", None), ("maps", None), ("maps", "metrics"), ("a.pth", "pred")]
)
def test_outputs_that_do_not_fit_are_refused(out: str | None, item: str | None) -> None:
    with pytest.raises(ConfigError, match="--out"):
        testing.check_output(Config({"test_evaluator": {"type": "Accuracy"}}), out, item)


def test_label_maps_go_where_asked() -> None:
    cfg = Config({"test_evaluator": [{"type": "IoUMetric"}, {"type": "Other"}]})
    testing.keep_label_maps(cfg, "maps", None)
    assert cfg.test_evaluator[0].output_dir == "maps"
    assert cfg.test_evaluator[1] == {"type": "Other"}


def test_a_students_weights_turn_a_distill_config_into_its_student(tmp_path: Path) -> None:
    write_run(tmp_path)
    cfg = load_config(str(tmp_path / "distill.py"))
    testing.fit_model(cfg, {"state_dict": {"backbone.conv1.weight": 0}}, "a.pth")
    assert cfg.model == load_config(str(tmp_path / "plain.py")).model


def test_a_distillers_weights_stay_with_the_distiller_and_are_refused_elsewhere(tmp_path: Path) -> None:
    write_run(tmp_path)
    state = {"state_dict": {"architecture.backbone.conv1.weight": 0}}
    cfg = load_config(str(tmp_path / "distill.py"))
    testing.fit_model(cfg, state, "a.pth")
    assert cfg.model.type == "mmdist.SingleTeacherDistill"
    with pytest.raises(CheckpointError, match=r"a\.pth.*distiller.*'ImageClassifier'"):
        testing.fit_model(load_config(str(tmp_path / "plain.py")), state, "a.pth")


def test_a_test_does_not_need_the_teachers_weights(tmp_path: Path) -> None:
    write_run(tmp_path)
    cfg = load_config(str(tmp_path / "distill.py"))
    cfg.model.teacher_ckpt = "gone.pth"
    cfg.model.random_teacher = False
    testing.drop_teacher_weights(cfg)
    assert cfg.model.teacher_ckpt is None
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        assert MODELS.build(cfg.model).student is not None


def test_a_plain_config_and_one_of_mmrazors_have_no_random_teacher(tmp_path: Path) -> None:
    write_run(tmp_path)
    plain, distill = (load_config(str(tmp_path / f"{name}.py")) for name in ("plain", "distill"))
    distill.model.type = "mmrazor.SingleTeacherDistill"
    del distill.model.random_teacher
    for cfg in (plain, distill):
        testing.drop_teacher_weights(cfg)
        assert "random_teacher" not in cfg.model


def test_mmsegmentation_flips_before_the_ground_truth_is_loaded() -> None:
    load, resize, labels, pack = (
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": (8, 8)},
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs", "meta_keys": ("img_path",)},
    )
    pipeline = [load, resize, labels, pack]
    cfg = Config(
        {"default_scope": "mmseg", "model": {"type": "Net"}, "test_dataloader": {"dataset": {"pipeline": pipeline}}}
    )
    testing.enable_tta(cfg)
    assert cfg.model == {"type": "SegTTAModel", "module": {"type": "Net"}}
    *before, augment = cfg.test_dataloader.dataset.pipeline
    assert before == [load, resize]
    flips, *after = augment.transforms
    assert {flip.prob for flip in flips} == {0.0, 1.0}
    assert after == [[labels], [{"type": "PackSegInputs", "meta_keys": ("img_path", "flip", "flip_direction")}]]


@pytest.mark.parametrize("pipeline", [None, [], [{"type": "LoadImageFromFile"}]])
def test_a_pipeline_that_packs_nothing_cannot_be_flipped(pipeline: Any) -> None:
    cfg = Config(
        {"default_scope": "mmseg", "model": {"type": "Net"}, "test_dataloader": {"dataset": {"pipeline": pipeline}}}
    )
    with pytest.raises(ConfigError, match=r"test_dataloader\.dataset\.pipeline"):
        testing.enable_tta(cfg)
