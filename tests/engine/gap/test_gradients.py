"""Gradients of losses whose relation is known, and a model that is afterwards as it was."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.tiny_models import algorithm, batch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmdist.engine.gap.gradients import WHOLE, after_training, compare_gradients, part_of, total


class Student(nn.Module):
    """Has a backbone of two stages, with statistics, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict(dict(layer1=nn.Linear(4, 4), layer2=nn.BatchNorm1d(4)))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.backbone["layer2"](checkpoint(self.backbone["layer1"], x, use_reentrant=True))
        return feature, self.head(feature)


class Algorithm(nn.Module):
    """Losses of the student's outputs, under the names that the algorithm gives them."""

    def __init__(self, losses: Callable[[Tensor, Tensor], dict[str, Any]]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student, self.losses = Student(), losses

    def data_preprocessor(self, data: Tensor, training: bool) -> Tensor:
        assert training
        return data

    def _run_forward(self, data: Tensor, mode: str) -> dict[str, Any]:
        assert mode == "loss" and self.training
        return self.losses(*self.student(data))


def pictures(count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(6, 4, generator=generator).requires_grad_() for _ in range(count)]


def square(value: Tensor) -> Tensor:
    return (value - 1).square().mean()


@pytest.mark.parametrize(("factor", "cosine", "ratio"), [(1, 1, 1), (-1, -1, 1), (2, 1, 2), (-0.5, -1, 0.5)])
def test_a_loss_against_a_multiple_of_itself(factor: float, cosine: float, ratio: float) -> None:
    model = Algorithm(lambda f, z: {"student.loss": square(z), "distill.loss_a": factor * square(z)})
    found = compare_gradients(model, pictures())
    assert list(found) == [WHOLE, "backbone.layer1", "backbone.layer2", "head"]
    for part in found.values():
        values = part.as_dict()
        assert values["cosine"] == pytest.approx(cosine, abs=1e-5)
        assert values["cosine_min"] == pytest.approx(cosine, abs=1e-5)
        assert values["ratio"] == pytest.approx(ratio, rel=1e-5)
        assert len(part.task) == 3


def test_losses_of_different_outputs_are_at_right_angles_in_the_head() -> None:
    model = Algorithm(lambda f, z: {"student.loss": square(z[:, 0]), "distill.loss_a": square(z[:, 1])})
    found = compare_gradients(model, pictures())
    assert found["head"].as_dict()["cosine"] == pytest.approx(0, abs=1e-7)
    assert abs(found["backbone.layer1"].as_dict()["cosine"]) > 1e-3


def test_a_part_that_one_loss_does_not_reach_has_no_cosine() -> None:
    model = Algorithm(lambda f, z: {"student.loss": square(z), "distill.loss_a": square(f)})
    values = compare_gradients(model, pictures())["head"].as_dict()
    assert values["cosine"] is None and values["ratio"] == 0 and values["task"] > 0
    alone = Algorithm(lambda f, z: {"distill.loss_a": square(f)})
    assert compare_gradients(alone, pictures())[WHOLE].as_dict()["ratio"] is None


def test_the_whole_is_that_of_all_parameters_at_once() -> None:
    def losses(feature: Tensor, z: Tensor) -> dict[str, Any]:
        return {"student.loss": [square(z), square(z[:, 0])], "distill.loss_a": feature.abs().mean(), "distill.x": z}

    model = Algorithm(losses)
    found = compare_gradients(model, pictures(1))[WHOLE].as_dict()
    again = copy.deepcopy(model).train()
    (data,) = pictures(1)
    values = losses(*again.student(data))
    flat = []
    for loss in (values["distill.loss_a"], sum(values["student.loss"])):
        again.zero_grad()
        loss.backward(retain_graph=True)
        flat.append(
            torch.cat(
                [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in again.parameters()]
            )
        )
    assert found["cosine"] == pytest.approx(float(torch.cosine_similarity(*flat, dim=0)), abs=1e-5)
    assert found["ratio"] == pytest.approx(float(flat[0].norm() / flat[1].norm()), rel=1e-5)


def test_weights_statistics_modes_gradients_and_random_numbers_stay() -> None:
    model = Algorithm(lambda f, z: {"student.loss": square(z), "distill.loss_a": square(f)}).eval()
    model.student.head.weight.grad = torch.ones(2, 4)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    compare_gradients(model, pictures())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert torch.equal(model.student.head.weight.grad, torch.ones(2, 4))
    assert model.student.head.bias.grad is None
    assert torch.equal(torch.get_rng_state(), state)


def test_the_real_algorithm_gives_a_cosine_and_its_acclimated_teacher_is_no_part() -> None:
    torch.manual_seed(0)
    model = algorithm(acclimated=["head.fc"])
    model.init_weights()
    before = copy.deepcopy(model.state_dict())
    found = compare_gradients(model, [batch(), batch()])
    assert list(found)[-1] == "head" and not any("acclimated" in name for name in found)
    values = found[WHOLE].as_dict()
    assert -1 <= values["cosine"] <= 1 and values["ratio"] > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.acclimated.parameters())


def test_losses_are_summed_as_mmengine_sums_them() -> None:
    one = torch.ones(4, requires_grad=True)
    losses = {"student.loss_a": one, "student.loss_b": [one, 2 * one], "student.acc": one, "distill.loss": one}
    assert total(losses, "student.").item() == 4
    assert total({"student.loss": torch.ones(1)}, "student.") is None
    assert total({}, "distill.") is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("backbone.layer3.0.conv1.weight", "backbone.layer3"),
        ("backbone.stages.2.blocks.0.fc.bias", "backbone.stages.2"),
        ("backbone.bn1.weight", "backbone.stem"),
        ("backbone.pos_embed", "backbone.stem"),
        ("neck.lateral_convs.0.conv.weight", "neck"),
    ],
)
def test_parts_are_stages_and_whole_modules(name: str, part: str) -> None:
    assert part_of(name) == part


@pytest.mark.parametrize(
    ("train_cfg", "meta", "expected"),
    [
        (dict(max_iters=500), dict(iter=500, epoch=0), (499, 500, 0, 1)),
        (dict(max_epochs=10), dict(iter=300, epoch=3), (299, 1000, 2, 10)),
        (dict(max_iters=500), {}, (499, 500, 0, 1)),
    ],
)
def test_warm_ups_see_the_iteration_of_the_checkpoint(train_cfg: dict, meta: dict, expected: tuple) -> None:
    with after_training(Config(dict(train_cfg=train_cfg)), meta):
        hub = MessageHub.get_current_instance()
        assert tuple(hub.get_info(key) for key in ("iter", "max_iters", "epoch", "max_epochs")) == expected
    assert MessageHub.get_current_instance() is not hub


def test_a_length_is_the_root_of_a_sum_of_squares() -> None:
    model = Algorithm(lambda f, z: {"student.loss": square(z), "distill.loss_a": square(z)})
    found = compare_gradients(model, pictures(1))
    parts = [found[name].task[0] for name in found if name != WHOLE]
    assert found[WHOLE].task[0] == pytest.approx(math.sqrt(sum(x * x for x in parts)))
