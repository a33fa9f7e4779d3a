"""A student out of a demo config of any method is the plain config's student."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmdist.cli.main import main

FOLDER = Path(__file__).parents[2] / "configs" / "demo"
# one a task, of those whose distillers have a connector or record inside the heads
STUDENTS = {
    "sddkd_resnet18-w16_resnet18-w2_1xb64-500_mnist5k": "resnet18-w2_1xb64-500_mnist5k",
    "sdd_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits": "upernet_r18-w4_1xb32-800_digits",
    "sdd_retinanet_r18-w32_retinanet_r18-w8_1xb32-800_digits": "retinanet_r18-w8_1xb32-800_digits",
    "sdd_faster-rcnn_r18-w32_faster-rcnn_r18-w8_1xb16-800_digits": "faster-rcnn_r18-w8_1xb16-800_digits",
}


@pytest.mark.parametrize("name", STUDENTS)
def test_an_exported_student_loads_in_the_plain_config(name, tmp_path, capsys):
    cfg, plain = (Config.fromfile(FOLDER / f"{stem}.py") for stem in (name, STUDENTS[name]))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model, student = MODELS.build({**cfg.model, "random_teacher": True}), MODELS.build(plain.model)
    state = model.state_dict()
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=("a", "b")), epoch=0, iter=2)
    torch.save(dict(meta=meta, state_dict=state), tmp_path / "run.pth")
    assert main(["export", str(tmp_path / "run.pth"), str(tmp_path / "student.pth")]) == 0
    assert "equal bit for bit" in capsys.readouterr().out
    weights = torch.load(tmp_path / "student.pth", weights_only=True)["state_dict"]
    student.load_state_dict(weights, strict=True)
    assert all(torch.equal(value, state[f"architecture.{key}"]) for key, value in student.state_dict().items())
    assert all(key.startswith("architecture.") for key in state)
