"""The teacher's batch norms in the convolutions before them: the same records, and a teacher as it was."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers.fused_norms import frozen, losses, search, trained
from helpers.tiny_models import (
    algorithm,
    batch,
    classifier,
    detector,
    detector_batch,
    distiller,
    feature_distiller,
    segmentor,
    segmentor_batch,
)
from torch import nn


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


CASES = {
    "classifier": (dict(architecture=classifier(), teacher=classifier(8)), batch, 20),
    "segmentor": (
        dict(architecture=segmentor(), teacher=segmentor(8), distiller=distiller("decode_head.conv_seg")),
        segmentor_batch,
        22,
    ),
    "detector": (
        dict(architecture=detector(), teacher=detector(8), distiller=feature_distiller()),
        detector_batch,
        20,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_losses_are_those_of_a_teacher_that_computes_its_norms(case):
    cfg, data, pairs = CASES[case]
    fusing = algorithm(**cfg, random_teacher=True)
    plain = algorithm(**cfg, random_teacher=True, teacher_fuse_conv_bn=False)
    plain.load_state_dict(fusing.state_dict())
    trained(fusing.teacher)
    plain.teacher.load_state_dict(fusing.teacher.state_dict())
    assert len(fusing._teacher.fused.pairs) == pairs and not plain._teacher.fused.pairs
    fusing.eval(), plain.eval()
    data = data()
    for _ in range(3):
        torch.manual_seed(1)
        found = losses(fusing, data)
        torch.manual_seed(1)
        expected = losses(plain, data)
        assert {name for name in expected if name.startswith("distill.")}
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_nothing_of_the_teacher_changes_and_its_own_passes_are_bit_identical():
    model = algorithm(random_teacher=True)
    trained(model.teacher)
    before = copy.deepcopy(model.teacher.state_dict())
    picture = torch.rand(2, 3, 16, 16)
    expected = model.teacher(picture)
    losses(model, batch())
    assert not any("forward" in vars(module) for module in model.teacher.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())
    assert torch.equal(model.teacher(picture)[0], expected[0])


def test_the_norms_are_not_computed_while_the_teacher_runs_and_their_hooks_fire():
    model = algorithm(random_teacher=True)
    norm, calls = model.teacher.backbone.layer1[0].bn1, []
    norm.register_forward_hook(lambda module, args, output: calls.append(output is args[0]))
    losses(model, batch())
    assert calls == [True]


def test_what_is_recorded_stays_what_it_is():
    source = "backbone.layer1.0.conv1"
    for name in (source, "backbone.layer1.0.bn1"):
        model = algorithm(distiller=feature_distiller(name, "mmdist.ChannelRelationLoss"), random_teacher=True)
        held = {module for pair in model._teacher.fused.pairs for module in pair}
        assert held and model.teacher.get_submodule(source) not in held


def test_a_convolution_whose_output_is_read_elsewhere_too_keeps_its_norm():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.convolution(x)
            return x + self.norm(x)

    model = Skips().requires_grad_(False).eval()  # the norm of which changes nothing yet
    assert not search(model).pairs


@pytest.mark.parametrize(
    "modules",
    [
        (nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)),
        (nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)),
        (nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)),
    ],
    ids=["before", "after an activation in place", "statistics of the batch", "weight norm", "transposed"],
)
def test_only_a_fixed_norm_right_after_a_plain_convolution_is_fused(modules):
    model = nn.Sequential(*modules).requires_grad_(False).eval()
    assert not search(model).pairs


def test_a_convolution_that_several_norms_share_is_left_alone_and_a_pair_that_runs_often_is_not():
    class Levels(nn.Module):
        def __init__(self, norms):
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 1)
            self.norms = nn.ModuleList(norms)

        def forward(self, x):
            return sum(norm(self.convolution(x)) for norm in self.norms)

    def count(norms):
        return len(search(trained(Levels(norms)).requires_grad_(False).eval()).pairs)

    assert count([nn.BatchNorm2d(3), nn.BatchNorm2d(3)]) == 0
    assert count([nn.BatchNorm2d(3)] * 2) == 1


def test_modules_that_train_are_left_alone():
    model = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
    model[3].requires_grad_(True)
    assert [pair.convolution for pair in search(model).pairs] == [model[0]]


def test_other_weights_dtypes_and_padding_modes_are_followed():
    model = frozen(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", bias=False), nn.BatchNorm2d(4))
    norms, picture = search(model), torch.rand(2, 3, 8, 8)

    def check(picture):
        expected = model(picture)
        with norms.applied():
            torch.testing.assert_close(model(picture), expected)

    check(picture)
    trained(model)
    check(picture)
    nn.init.normal_(model[0].weight)
    check(picture)
    model.double()
    check(picture.double())


def test_an_error_inside_leaves_the_modules_as_they_were():
    model = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    norms = search(model)
    with pytest.raises(RuntimeError), norms.applied():
        model(torch.rand(2, 5, 8, 8))
    assert not any("forward" in vars(module) for module in model)


def test_a_pickled_copy_has_pairs_and_no_weights_of_its_own():
    norms = search(frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    with norms.applied():
        pass
    size = len(pickle.dumps(norms))
    twin = pickle.loads(pickle.dumps(norms))
    assert size < len(pickle.dumps(norms.model)) + 1000
    assert twin.pairs[0].convolution is twin.model[0]


def test_gradients_of_acclimated_modules_pass_through():
    model = algorithm(acclimated=["backbone.layer1.0.conv1", "head.fc"], random_teacher=True)
    trains = model.teacher.backbone.layer1[0].conv1
    held = {module for pair in model._teacher.fused.pairs for module in pair}
    assert held and trains not in held
    picture = torch.rand(2, 3, 16, 16)

    def gradient():
        model.teacher.zero_grad()
        model.teacher(picture)[0].square().sum().backward()
        return trains.weight.grad.clone()

    trained(model.teacher)
    expected = gradient()
    with model._teacher.fused.applied():
        torch.testing.assert_close(gradient(), expected, rtol=1e-3, atol=1e-5)


def test_a_teacher_that_is_written_to_behind_pytorchs_back_computes_its_norms_from_then_on(caplog):
    model = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    norms, picture = search(model), torch.rand(2, 3, 8, 8)
    with norms.applied():
        model(picture)
    for parameter in model.parameters():
        parameter.data.mul_(0.9).add_(0.01)  # as hooks do that average a student into its teacher
    expected = model(picture)
    with norms.applied():
        assert torch.equal(model(picture), expected)
    assert not norms.pairs and not norms.lone and not norms.packs
