"""``torch.compile`` around the algorithm, or inside it: the same training, and no record goes missing unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmrazor.models.algorithms import SingleTeacherDistill as RazorSingleTeacherDistill
from torch import Tensor, nn
from torch._dynamo.utils import counters

from mmdist.errors import ConfigError
from mmdist.models.algorithms import SingleTeacherDistill

WATCHED = {
    "Module": ("mmdist.Module", "backbone.stem"),
    "Method": ("mmdist.Method", "backbone.stem.forward"),
    "MethodOfHead": ("mmdist.Method", "score"),
    "ModuleOutputs": ("mmrazor.ModuleOutputs", "backbone.stem"),
    "ModuleInputs": ("mmrazor.ModuleInputs", "fc"),
}


class Body(nn.Module):
    """Two layers of convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(3, width, 3, stride=2, bias=False)
        self.stem = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.Conv2d(width, 4, 1))
        self.last = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.stem(x))


class Net(BaseModel):
    """A small classifier, whose inner width may differ."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.backbone = Body(width)
        self.fc = nn.Linear(4, 3)

    def score(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        scores = self.score(self.backbone(inputs).relu())
        if mode != "loss":
            return scores
        return {"loss": nn.functional.cross_entropy(scores, torch.arange(len(inputs)) % 3)}


@pytest.fixture(autouse=True)
def _nothing_is_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def algorithm(recorder: tuple[str, str] = WATCHED["Module"], **changes: Any) -> SingleTeacherDistill:
    """A tiny student under a wider teacher."""
    torch.manual_seed(1)
    distiller = dict(type="mmrazor.ConfigurableDistiller", **config_of(recorder))
    return SingleTeacherDistill(distiller, Net(8), Net(), random_teacher=True, **changes)


def config_of(recorder: tuple[str, str]) -> dict[str, Any]:
    """The recorders of both sides, and the loss that compares them."""
    kind, source = recorder
    recorders = dict(record=dict(type=kind, source=source))
    pair = [dict(recorder="record", from_student=student) for student in (True, False)]
    if kind.endswith("Inputs"):
        pair = [dict(part, data_idx=0) for part in pair]
    return dict(
        student_recorders=recorders,
        teacher_recorders=deepcopy(recorders),
        distill_losses=dict(loss=dict(type="mmrazor.L2Loss", normalize=False, loss_weight=0.01)),
        loss_forward_mappings=dict(loss=dict(s_feature=pair[0], t_feature=pair[1])),
    )


def step(model: BaseModel, count: int = 4) -> list[dict[str, float]]:
    """Train on the same random images in every call; the losses."""
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    model.train()
    images = torch.rand(count, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    answers = [model.train_step(dict(inputs=batch), wrapper) for batch in images]
    return [{name: float(value.detach()) for name, value in answer.items()} for answer in answers]


def assert_same_training(found: BaseModel, expected: BaseModel, **how: Any) -> None:
    """The two train alike, within what another order of float32 sums can do."""
    for a, b in zip(step(found, **how), step(expected, **how), strict=True):
        assert a == pytest.approx(b, rel=1e-4)
        assert a["distill.loss"] > 0
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("target", "backend", "watched"),
    [
        ("train_step", "aot_eager", "Module"),
        ("train_step", "eager", "ModuleOutputs"),
        *(("forward", "eager", watched) for watched in ("Method", "MethodOfHead", "ModuleInputs")),
    ],
)
def test_a_compiled_algorithm_trains_as_it_does_otherwise(target: str, backend: str, watched: str) -> None:
    """As mmengine compiles it: ``train_step`` by the Runner, ``forward`` where a FlexibleRunner is told so."""
    compiled = algorithm(WATCHED[watched])
    setattr(compiled, target, torch.compile(getattr(compiled, target), backend=backend))
    assert_same_training(compiled, algorithm(WATCHED[watched]))
    assert counters["stats"]["calls_captured"] > 5  # operators that graphs compute


@pytest.mark.parametrize("watched", ["Module", "ModuleOutputs"])
def test_the_recorders_work_in_a_compiled_algorithm_of_mmrazor(watched: str) -> None:
    models = []
    for _ in range(2):
        ours = algorithm(WATCHED[watched])
        distiller = dict(type="mmrazor.ConfigurableDistiller", **config_of(WATCHED[watched]))
        models.append(RazorSingleTeacherDistill(distiller=distiller, teacher=ours.teacher, architecture=ours.student))
    models[0].train_step = torch.compile(models[0].train_step, backend="eager")
    assert_same_training(*models)


def test_a_backbone_that_is_compiled_and_validated_before_anything_is_recorded_is_recorded() -> None:
    """PyTorch by itself would go on with the graph that it compiled without the recorder's hook."""
    compiled, plain = algorithm(), algorithm()
    compiled.student.backbone.compile(backend="eager")
    for model in (compiled, plain):  # in training mode: what differs is the recorder alone
        model.train().val_step(dict(inputs=torch.ones(4, 3, 16, 16)))
    assert_same_training(compiled, plain)


def test_a_compiled_teacher_is_recorded() -> None:
    compiled = algorithm()
    compiled.teacher.backbone.compile(backend="eager")
    assert_same_training(compiled, algorithm())


def test_a_recorder_that_a_graph_passes_over_is_an_error_that_names_it() -> None:
    """Compiled outside of the algorithm, a module goes on without the hook that comes later."""
    model = algorithm()
    model.student.backbone.compile(backend="eager")
    model.train().student(torch.rand(4, 3, 16, 16))
    with pytest.raises(ConfigError, match=r"student_recorders\.record\.source = 'backbone\.stem'.*compile"):
        step(model, 1)


def test_a_scripted_backbone_is_an_error_that_names_the_recorder() -> None:
    model = algorithm()
    model.student.backbone = torch.jit.script(model.student.backbone)
    with pytest.raises(ConfigError, match=r"source = 'backbone\.stem'.*torch\.jit"):
        step(model, 1)
