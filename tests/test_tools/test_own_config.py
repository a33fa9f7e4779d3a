"""The README's configs, copied into a folder of the user's own, under the task libraries' own tools."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import mmdet
import mmseg
import pytest
import torch
from helpers.tiny_run import ROOT, environment
from helpers.zoo_data_dense import write_cityscapes, write_coco
from mmengine.config import Config
from mmengine.registry import DefaultScope
from test_docs import CONFIGS
from zoo.shrink import SHRINK

from mmdist.models.builder import build_model

OWN = {"mmseg": (mmseg, write_cityscapes, "pspnet_r101.pth"), "mmdet": (mmdet, write_coco, "retinanet_r50.pth")}


@pytest.mark.slow
@pytest.mark.parametrize("scope", OWN)
def test_a_config_outside_this_repository_trains_under_the_librarys_own_tool_with_one_import(scope, tmp_path):
    library, write_data, weights = OWN[scope]
    (text,) = [text for text in CONFIGS if f'"{scope}::' in text]
    path = tmp_path / "my_config.py"
    path.write_text(text)
    cfg = Config.fromfile(path)
    assert cfg.custom_imports["imports"] == ["mmdist"] and not path.is_relative_to(ROOT)
    write_data(tmp_path / "data")
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        torch.save(dict(state_dict=build_model(cfg.model.teacher, "model.teacher").state_dict()), tmp_path / weights)
    tool = Path(library.__file__).parent / ".mim" / "tools" / "train.py"
    options = SHRINK[scope](cfg, tmp_path / "data")
    command = [sys.executable, tool, path, "--work-dir", tmp_path / "work", "--cfg-options", *options]
    done = subprocess.run(
        list(map(str, command)), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "distill.loss_dist" in line]
    assert lines and all(math.isfinite(float(line.split(" loss: ")[1].split()[0])) for line in lines)
