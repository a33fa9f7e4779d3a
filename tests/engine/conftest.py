"""What the tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tiny_run import write_run
from mmengine.config import Config

from mmdist.engine.config import load_config


@pytest.fixture
def plain(tmp_path: Path) -> Config:
    """A plain run that can be trained."""
    return load_config(str(write_run(tmp_path)))


@pytest.fixture
def distill(tmp_path: Path) -> Config:
    """The same student under a teacher."""
    return load_config(str(write_run(tmp_path).with_name("distill.py")))
