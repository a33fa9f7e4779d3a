"""What a library raises is told by the user's key; what the user's own code raises is shown whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS

from mmdist.engine.explain import explain, explained
from mmdist.engine.runner import build_runner, train
from mmdist.errors import ConfigError, MMDistError


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "pretty_text", "")


def test_a_mistake_in_a_teachers_own_file_is_told_at_the_teacher(distill: Config, tmp_path: Path) -> None:
    plain = tmp_path / "plain.py"
    plain.write_text(plain.read_text().replace("depth=18", "depth=19"))
    distill.work_dir, distill.launcher = str(tmp_path / "runs"), "none"
    with pytest.raises(MMDistError, match=r"^model\.teacher\.backbone = \{'type': 'ResNet_CIFAR', \.\.\.\}.*19"):
        build_runner(distill)
    assert not (tmp_path / "runs").exists()


def test_of_two_equal_parts_the_one_with_the_mistake_is_named(plain: Config, tmp_path: Path) -> None:
    plain.work_dir, plain.launcher = str(tmp_path / "runs"), "none"
    plain.val_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile", imdecode_backend="gone"),
        *plain.pipeline[1:],
    ]
    with pytest.raises(MMDistError, match=r"^val_dataloader\.dataset\.pipeline\.0 = 'LoadImageFromFile'.*gone"):
        train(plain)
    assert not (tmp_path / "runs").exists()


class Late(Hook):
    """Fails as a library does in a pass, after an iteration."""

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 1:
            torch.nn.Linear(2, 3)(torch.zeros(1, 5))


def test_what_fails_after_the_first_iteration_is_shown_whole_and_nothing_is_removed(
    plain: Config, tmp_path: Path
) -> None:
    HOOKS.register_module(module=Late, force=True)
    plain.work_dir, plain.launcher = str(tmp_path / "runs"), "none"
    plain.custom_hooks = [dict(type="Late")]
    try:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            train(plain)
    finally:
        HOOKS.module_dict.pop("Late")
    assert list((tmp_path / "runs").glob("*/*.log"))


class Own(torch.nn.Module):
    """The user's own, with a mistake in its code."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = [][width]


@pytest.mark.parametrize("argument", ["width", "wdith"])
def test_code_of_the_users_own_is_shown_whole_and_its_arguments_are_checked(argument: str) -> None:
    MODELS.register_module(module=Own, name="OwnModel", force=True)
    cfg = Config(dict(model={"type": "OwnModel", argument: 3}))
    try:
        with pytest.raises(Exception) as caught, explained(cfg):
            MODELS.build(cfg.model)
    finally:
        MODELS.module_dict.pop("OwnModel")
    if argument == "width":
        assert type(caught.value) is IndexError
    else:
        assert isinstance(caught.value, ConfigError)
        assert caught.value.key == "model.wdith"
        assert "'width'" in str(caught.value)


def test_no_control_character_of_a_message_reaches_the_terminal() -> None:
    from mmengine.registry import build_from_cfg

    cfg = Config(dict(model=dict(type="Conv2d", padding_mode="\x1b[31mred\nerror: forged")))
    with pytest.raises(Exception) as caught:
        build_from_cfg(dict(cfg.model, in_channels=1, out_channels=1, kernel_size=1), MODELS)
    text = str(explain(caught.value, cfg))
    assert text.isprintable(), text
