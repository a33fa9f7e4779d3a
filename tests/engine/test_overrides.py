from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmdist.engine import overrides
from mmdist.engine.overrides import merge_options, unknown_key_hint
from mmdist.engine.preflight.model import check_model
from mmdist.errors import CheckpointError, ConfigError


def config(**more: Any) -> Config:
    return Config(
        {
            "model": {"type": "Net", "backbone": {"depth": 18}, "heads": [{"weight": 1.0}]},
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}},
            "work_dir": "runs",
            **more,
        }
    )


def test_options_reach_into_dicts_and_lists() -> None:
    cfg = config()
    overrides.merge_options(cfg, {"model.backbone.depth": 34, "model.heads.0.weight": 0.5, "load_from": "a.pth"})
    assert (cfg.model.backbone.depth, cfg.model.heads[0].weight, cfg.load_from) == (34, 0.5, "a.pth")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("model.backbone.dpeth", "model.backbone.depth"),
        ("modle.backbone.depth", "model.backbone.depth"),
        ("optim_wraper.optimizer.lr", "optim_wrapper.optimizer.lr"),
        ("model.heads.0.wieght", "model.heads.0.weight"),
    ],
)
def test_a_misspelt_option_is_warned_about_and_taken(key: str, meant: str) -> None:
    cfg = config()
    assert f"'{meant}'" in overrides.unknown_key_hint(cfg, key)
    overrides.merge_options(cfg, {key: 3})
    assert overrides.unknown_key_hint(cfg, key) == ""  # it is there now


@pytest.mark.parametrize("key", ["model.backbone.frozen_stages", "randomness.seed", "load_from", "model.heads.0.top"])
def test_a_new_key_is_no_misspelling(key: str) -> None:
    assert overrides.unknown_key_hint(config(), key) == ""


def test_an_option_that_cannot_be_merged_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--cfg-options model\.heads\.7\.weight"):
        overrides.merge_options(config(), {"model.heads.7.weight": 1})


def test_the_work_dir_of_the_command_line_wins_over_the_config_and_that_over_the_name() -> None:
    cfg = config()
    overrides.set_work_dir(cfg, "here", "configs/a.py")
    assert cfg.work_dir == "here"
    overrides.set_work_dir(cfg, None, "configs/a.py")
    assert cfg.work_dir == "here"
    cfg.work_dir = None
    overrides.set_work_dir(cfg, None, "mmseg::pspnet/a.py")
    assert Path(cfg.work_dir) == Path("work_dirs/a")


def test_amp_exchanges_the_wrapper_and_keeps_a_loss_scale() -> None:
    cfg = config()
    cfg.optim_wrapper.loss_scale = 512.0
    overrides.enable_amp(cfg)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ("AmpOptimWrapper", 512.0)


def test_amp_reaches_the_optimizer_of_an_mmrazor_architecture() -> None:
    parts = {"constructor": "Razor", "architecture": {"type": "OptimWrapper"}}
    cfg = config(optim_wrapper=parts)
    overrides.enable_amp(cfg)
    assert cfg.optim_wrapper.architecture.type == "AmpOptimWrapper"


def test_amp_refuses_a_wrapper_that_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match=r"optim_wrapper\.type = 'ApexOptimWrapper'.*'OptimWrapper'"):
        overrides.enable_amp(config(optim_wrapper={"type": "ApexOptimWrapper"}))


def test_scaling_the_learning_rate_needs_the_batch_size_it_is_for() -> None:
    cfg = config(auto_scale_lr={"base_batch_size": 16})
    overrides.enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable is True
    with pytest.raises(ConfigError, match="base_batch_size"):
        overrides.enable_auto_scale_lr(config())


def test_resume_is_from_a_file_or_from_the_latest() -> None:
    cfg = config(load_from="old.pth")
    overrides.set_resume(cfg, "a.pth")
    assert (cfg.resume, cfg.load_from) == (True, "a.pth")
    overrides.set_resume(cfg, "auto")
    assert (cfg.resume, cfg.load_from) == (True, None)


def test_a_latest_checkpoint_that_is_gone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_3.pth"))
    with pytest.raises(CheckpointError, match=r"epoch_3\.pth"):
        overrides.set_resume(config(work_dir=str(tmp_path)), "auto")


def test_the_loaders_of_mmpretrain_get_its_defaults_and_others_do_not() -> None:
    loaders = {"train_dataloader": {"num_workers": 2, "batch_size": 4}, "val_dataloader": None}
    cfg = config(default_scope="mmpretrain", **loaders)
    overrides.set_loader_options(cfg)
    assert cfg.train_dataloader.collate_fn == {"type": "default_collate"}
    assert cfg.train_dataloader.persistent_workers is True
    other = config(default_scope="mmseg", **loaders)
    overrides.set_loader_options(other)
    assert other.train_dataloader == loaders["train_dataloader"]


def test_no_workers_are_never_persistent() -> None:
    cfg = config(train_dataloader={"num_workers": 0, "persistent_workers": True})
    overrides.set_loader_options(cfg)
    assert cfg.train_dataloader.persistent_workers is False


def test_the_switches_of_the_loaders_hold_for_every_library() -> None:
    cfg = config(default_scope="mmdet", test_dataloader={"num_workers": 2, "pin_memory": True})
    overrides.set_loader_options(cfg, pin_memory=False, persistent_workers=False)
    assert cfg.test_dataloader == {"num_workers": 2, "pin_memory": False, "persistent_workers": False}


def test_the_known_top_level_keys_are_those_of_the_runner() -> None:
    assert set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"} <= set(overrides.TOP_LEVEL)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.random_teacher", True),
        ("model.teacher_dtype", "float16"),
        ("model.architecture.backbone.strides", (1, 2, 2, 2)),
        ("default_hooks.checkpoint.max_keep_ckpts", 1),
        ("optim_wrapper.optimizer.maximize", False),
    ],
)
def test_an_argument_of_the_class_is_no_misspelling_of_another(distill: Config, key: str, value: Any) -> None:
    assert unknown_key_hint(distill, key) == ""
    merge_options(distill, {key: value})
    check_model(distill)


def test_a_misspelling_beside_it_still_is_one(distill: Config) -> None:
    assert "model.teacher" in unknown_key_hint(distill, "model.teachr")
    assert "default_hooks.checkpoint.interval" in unknown_key_hint(distill, "default_hooks.checkpoint.intervall")
