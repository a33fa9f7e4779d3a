"""``mmdist.SDDLoss``: its base, its labels, its hyper-parameters."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS

from mmdist.functional import region_labels, sdd_loss
from mmdist.models.losses import DISTLoss, DKDLoss, KDLoss, SDDLoss

BASES = {
    "kd": dict(type="mmdist.KDLoss", tau=4.0),
    "dkd": dict(type="mmdist.DKDLoss", tau=2.0, beta=6.0),
    "nkd": dict(type="mmdist.NKDLoss", gamma=8.0, legacy_mask=True),
    "dckd": dict(type="mmdist.DCKDLoss", non_target="all"),
}
EVERY_BASE = pytest.mark.parametrize("base", list(BASES))


def regional(images: int = 4, classes: int = 5, regions: int = 21) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(images, classes, regions), torch.randn(images, classes, regions)


def hyper(base: str) -> dict:
    return {name: value for name, value in BASES[base].items() if name != "type"}


@EVERY_BASE
def test_hands_the_hyper_parameters_of_both_to_the_function(base):
    student, teacher = regional()
    labels = torch.randint(0, 5, (4,))
    loss = MODELS.build(
        dict(type="mmdist.SDDLoss", base=BASES[base], complementary_weight=3.0, split="agreement", loss_weight=2.0)
    )
    options = dict(complementary_weight=3.0, split="agreement")
    expected = 2 * sdd_loss(student, teacher, labels, base=base, **options, **hyper(base))
    torch.testing.assert_close(loss(student, teacher, labels), expected)


def test_has_the_defaults_of_the_function():
    student, teacher = regional()
    labels = torch.randint(0, 5, (4,))
    assert torch.equal(SDDLoss()(student, teacher, labels), sdd_loss(student, teacher, labels))


def test_the_base_may_be_built_already_and_its_weight_multiplies():
    student, teacher = regional()
    labels = torch.randint(0, 5, (4,))
    loss = SDDLoss(base=DKDLoss(tau=1.0, loss_weight=0.5), loss_weight=3.0)
    expected = 1.5 * sdd_loss(student, teacher, labels, base="dkd", tau=1.0)
    torch.testing.assert_close(loss(student, teacher, labels), expected)


@EVERY_BASE
def test_one_region_gives_the_base_loss(base):
    student, teacher = regional(regions=1)
    labels = torch.randint(0, 5, (4,))
    expected = MODELS.build(BASES[base])(student[:, :, 0], teacher[:, :, 0], labels)
    torch.testing.assert_close(SDDLoss(base=BASES[base])(student, teacher, labels), expected)


@EVERY_BASE
def test_a_label_map_gives_each_region_the_class_of_most_of_its_pixels(base):
    student, teacher = regional()
    labels = torch.randint(0, 5, (4, 16, 16))
    labels[0, :9] = 255
    target, mask = region_labels(labels, num_classes=5)
    assert not mask.all()
    expected = sdd_loss(student, teacher, target, base=base, mask=mask, **hyper(base))
    for given in (labels, labels.unsqueeze(1)):
        torch.testing.assert_close(SDDLoss(base=BASES[base])(student, teacher, given), expected)


def test_the_grids_of_label_maps_can_be_chosen():
    student, teacher = regional(regions=10)
    labels = torch.randint(0, 5, (4, 16, 16))
    target, mask = region_labels(labels, (1, 3), num_classes=5)
    expected = sdd_loss(student, teacher, target, mask=mask)
    torch.testing.assert_close(SDDLoss(scales=[1, 3])(student, teacher, labels), expected)
    with pytest.raises(ValueError, match=r"SDDLoss.scales = \(1, 2\): expected grids with the 10 regions of preds_S"):
        SDDLoss(scales=(1, 2))(student, teacher, labels)


@EVERY_BASE
def test_labels_of_regions_are_taken_as_they_are(base):
    student, teacher = regional()
    labels = torch.randint(0, 5, (4, 21))
    expected = sdd_loss(student, teacher, labels, base=base, **hyper(base))
    torch.testing.assert_close(SDDLoss(base=BASES[base])(student, teacher, labels), expected)


@EVERY_BASE
@pytest.mark.parametrize("ignore_index", [255, -1])
def test_ignored_pictures_and_regions_do_not_count(base, ignore_index):
    student, teacher = regional()
    labels = torch.randint(0, 5, (4,))
    labels[1] = ignore_index
    kept = [0, 2, 3]
    loss = SDDLoss(base=dict(BASES[base], ignore_index=ignore_index))
    expected = sdd_loss(student[kept], teacher[kept], labels[kept], base=base, **hyper(base))
    torch.testing.assert_close(loss(student, teacher, labels), expected)
    by_region = labels[:, None].repeat(1, 21)
    by_region[2, 5] = ignore_index
    mask = by_region != ignore_index
    expected = sdd_loss(student, teacher, by_region, base=base, mask=mask, **hyper(base))
    torch.testing.assert_close(loss(student, teacher, by_region), expected)


@EVERY_BASE
def test_soft_labels_split_by_agreement(base):
    student, teacher = regional()
    soft = torch.rand(4, 5).softmax(1)
    expected = sdd_loss(student, teacher, soft.argmax(1), base=base, split="agreement", **hyper(base))
    torch.testing.assert_close(SDDLoss(base=BASES[base])(student, teacher, soft), expected)


def test_agreement_of_kd_needs_no_labels():
    student, teacher = regional()
    loss = SDDLoss(split="agreement")
    assert torch.equal(loss(student, teacher), loss(student, teacher, torch.randint(0, 5, (4,))))
    with pytest.raises(ValueError, match="labels are needed by split 'correctness'"):
        SDDLoss()(student, teacher)


def test_several_sets_of_regions_are_summed():
    pairs = [regional(), regional(regions=5)]
    labels = torch.randint(0, 5, (4,))
    students, teachers = zip(*pairs, strict=True)
    expected = sum(sdd_loss(s, t, labels) for s, t in pairs)
    torch.testing.assert_close(SDDLoss()(students, teachers, labels), expected)


def test_a_teacher_that_went_wrong_is_reported():
    student, teacher = regional()
    teacher[0, 0, 3] = float("nan")
    with pytest.raises(FloatingPointError, match="preds_T"):
        SDDLoss()(student, teacher, torch.randint(0, 5, (4,)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(base=dict(type="mmdist.DISTLoss")), "SDDLoss.base = 'DISTLoss': .*'mmdist.DKDLoss'"),
        (dict(base=DISTLoss()), "SDDLoss.base = 'DISTLoss'"),
        (dict(base="kd"), "SDDLoss.base = 'str'"),
        (dict(base=KDLoss(num_classes=3)), "SDDLoss.base.num_classes = 3: expected None; regions have no anchors"),
        (dict(split="agree"), "SDDLoss.split = 'agree': did you mean 'agreement'"),
        (dict(complementary_weight=-1), "SDDLoss.complementary_weight = -1"),
        (dict(scales=(2, 4)), r"scales = \(2, 4\)"),
        (dict(loss_weight=-1), "SDDLoss.loss_weight = -1"),
    ],
)
def test_a_wrong_hyper_parameter_is_refused_when_it_is_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        SDDLoss(**arguments)


def test_labels_that_are_no_tensor_are_named():
    with pytest.raises(TypeError, match="gt_labels must be a tensor, got list"):
        SDDLoss()(*regional(), [0, 1, 2, 3])
