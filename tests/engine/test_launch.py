from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from mmdist.engine.launch import end_launch, prepare_launch
from mmdist.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_one_process_needs_nothing() -> None:
    cfg = Config({"launcher": "none"})
    prepare_launch(cfg)
    assert not torch.distributed.is_initialized()
    assert "model_wrapper_cfg" not in cfg


def test_an_unknown_launcher_is_corrected() -> None:
    with pytest.raises(ConfigError, match=r"--launcher = 'slrum'.*'slurm'"):
        prepare_launch(Config({"launcher": "slrum"}))


@pytest.mark.parametrize(("launcher", "remedy"), [("pytorch", "torchrun"), ("slurm", "srun")])
@pytest.mark.skipif(torch.cuda.is_available(), reason="the launchers of mmengine answer where there is a GPU")
def test_a_process_that_no_launcher_started_is_told_how_to_start(launcher: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        prepare_launch(Config({"launcher": launcher}))
    end_launch()
