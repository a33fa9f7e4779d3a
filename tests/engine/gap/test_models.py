"""Checkpoints of all kinds become models with their weights; what is not in them is told."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_students import build_algorithm, distill_config
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdist.engine.export.write import to_bytes
from mmdist.engine.gap.checks import read_checkpoint
from mmdist.engine.gap.models import Models, build
from mmdist.errors import CheckpointError


def config(name: str = "classifier", **changes: Any) -> Config:
    cfg = distill_config(name)
    cfg.model.update(random_teacher=True, **changes)
    return cfg


def built(cfg: Config, content: dict[str, Any]) -> Models:
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return build(cfg, content, "student.pth")


def same(models: Models, expected: dict[str, torch.Tensor]) -> bool:
    own = models.algorithm.student.state_dict()
    return all(torch.equal(own[name], value) for name, value in expected.items())


@pytest.fixture(scope="module")
def trained() -> Any:
    return build_algorithm("classifier")


@pytest.mark.parametrize("prefix", ["architecture.", "module.architecture.", "", "module."])
def test_a_student_is_found_under_every_name_that_a_run_gives_it(trained: Any, prefix: str) -> None:
    student = trained.student.state_dict()
    models = built(config(), {"state_dict": {f"{prefix}{name}": value for name, value in student.items()}})
    assert same(models, student)
    assert not any(module.training for module in models.algorithm.modules())
    assert models.notices == ["the teacher's weights are random, as the config asks for"]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_exported_student_is_read(trained: Any, tmp_path: Path, suffix: str) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    student = trained.student.state_dict()
    file = tmp_path / f"student{suffix}"
    file.write_bytes(to_bytes(OrderedDict(student), {}, suffix))
    assert same(built(config(), read_checkpoint(str(file))), student)


def test_the_average_is_taken_where_the_run_kept_one(trained: Any) -> None:
    state = {f"architecture.{name}": value for name, value in trained.student.state_dict().items()}
    other = {f"module.{name}": torch.zeros_like(value) for name, value in state.items()}
    content = {"state_dict": state, "ema_state_dict": {"steps": torch.tensor(9), **other}}
    assert same(built(config(), content), trained.student.state_dict())


def test_a_checkpoint_of_another_model_lists_what_does_not_fit(trained: Any) -> None:
    state = {f"architecture.{name}": value for name, value in trained.student.state_dict().items()}
    state["architecture.head.fc.weight"] = torch.zeros(7, 32)
    with pytest.raises(CheckpointError, match=r"does not fit ImageClassifier of model\.architecture: 1 of .*head\.fc"):
        built(config(), {"state_dict": state})


def test_connectors_come_from_the_checkpoint_and_are_missed_in_a_students_own(trained: Any) -> None:
    def aligned() -> Config:
        cfg = config()
        cfg.model.distiller.connectors = dict(align=dict(type="mmdist.AlignConnector"))
        cfg.model.distiller.loss_forward_mappings.loss_feature.preds_S.connector = "align"
        cfg.model.teacher.backbone.update(base_channels=8, stem_channels=8)
        cfg.model.teacher.head.in_channels = 64
        return cfg

    student = trained.student.state_dict()
    first = built(aligned(), {"state_dict": student})
    assert "the checkpoint has not the connectors' weights" in first.notices[0]
    state = first.algorithm.state_dict()
    for name, value in state.items():
        if name.startswith("distiller."):
            value.fill_(0.25)
    second = built(aligned(), {"state_dict": {k: v.clone() for k, v in state.items()}})
    assert len(second.notices) == 1 and "random" in second.notices[0]
    own = [value for name, value in second.algorithm.state_dict().items() if name.startswith("distiller.")]
    assert own and all(bool((value == 0.25).all()) for value in own)


def test_an_acclimated_teacher_is_as_the_run_left_it(trained: Any) -> None:
    cfg = config(acclimated=["head.fc"])
    state = {f"architecture.{name}": value for name, value in trained.student.state_dict().items()}
    learnt = {"acclimated.head-fc.weight": torch.full((3, 32), 0.5), "acclimated.head-fc.bias": torch.zeros(3)}
    models = built(cfg, {"state_dict": {**state, **learnt}})
    assert bool((models.algorithm.teacher.head.fc.weight == 0.5).all())
    assert not any("learnt" in notice for notice in models.notices)
    plain = built(config(acclimated=["head.fc"]), {"state_dict": state})
    assert any("has not what the teacher learnt" in notice for notice in plain.notices)
