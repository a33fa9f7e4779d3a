from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tiny_run import write_run

from mmdist.engine import cpu
from mmdist.engine.config import load_config
from mmdist.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "get_device", lambda: "cpu")


def test_synchronised_norms_become_plain_ones_behind_a_path_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = load_config(str(write_run(tmp_path, norm="SyncBN").with_name("distill.py")))
    assert isinstance(cfg.model.teacher, str)
    cpu.adapt_to_cpu(cfg)
    assert cfg.model.architecture.backbone.norm_cfg.type == "BN"
    assert cfg.model.teacher.backbone.norm_cfg.type == "BN"
    assert "SyncBN" not in str(cfg.model)


def test_a_config_without_synchronised_norms_is_left_as_it_is(tmp_path: Path) -> None:
    cfg = load_config(str(write_run(tmp_path).with_name("distill.py")))
    before = cfg.pretty_text
    cpu.adapt_to_cpu(cfg)
    assert cfg.pretty_text == before


def test_with_a_gpu_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = load_config(str(write_run(tmp_path, norm="SyncBN")))
    before = cfg.pretty_text
    monkeypatch.setattr(cpu, "get_device", lambda: "cuda")
    cpu.adapt_to_cpu(cfg)
    assert cfg.pretty_text == before


def test_mixed_precision_is_refused_with_the_remedy(tmp_path: Path) -> None:
    cfg = load_config(str(write_run(tmp_path)))
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    with pytest.raises(ConfigError, match="leave out --amp"):
        cpu.adapt_to_cpu(cfg)
