"""The label maps that a teacher gives, against its own `predict` and against formulas written down here."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers import tiny_architectures as tiny
from helpers.pseudo_models import labelled_by, labelling, pair_of, unlabelled_part
from helpers.unlabeled_data import raw_batch
from helpers.unlabeled_models import LABELED, MODELS_OF, UNLABELED, gradients
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from torch import Tensor

from mmdist.errors import ConfigError

SEGMENTER = MODELS_OF["segmenter"][1]


def maps(samples: list[Any]) -> Tensor:
    return torch.cat([sample.gt_sem_seg.data for sample in samples])


def inside(samples: list[Any], like: Tensor) -> Tensor:
    found = torch.zeros(like.shape, dtype=torch.bool)
    for one, sample in zip(found, samples, strict=True):
        one[: sample.img_shape[0], : sample.img_shape[1]] = True
    return found


def predicted(teacher: Any, images: Tensor) -> Tensor:
    """The teacher's own prediction of a batch whose images reach to its sides and were never flipped."""
    size = tuple(images.shape[-2:])
    teacher.test_cfg = teacher.test_cfg or ConfigDict(mode="whole")
    samples = raw_batch("mmseg", (), [size] * len(images))["data_samples"]
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=size, img_shape=size, pad_shape=size))
    with torch.no_grad():
        answers = teacher.eval()(images, samples, mode="predict")
    return torch.cat([answer.pred_sem_seg.data for answer in answers]).long()


@pytest.mark.parametrize("flipped", [False, True])
def test_each_pixel_has_the_class_that_the_teacher_predicts_where_the_student_sees_it(flipped: bool) -> None:
    scope, model = labelling("segmenter", 0.0)
    rest = unlabelled_part(scope, model)
    for sample in rest["data_samples"] if flipped else ():
        sample.set_metainfo(dict(flip=True, flip_direction="horizontal"))
    _, samples = labelled_by(model, rest)
    expected = predicted(model.teacher, rest["inputs"])
    seen = inside(samples, maps(samples))
    assert torch.equal(maps(samples)[seen], expected[seen]) and bool((maps(samples)[~seen] == 255).all())
    assert len(maps(samples)[seen].unique()) > 1 and bool((~seen).any())


def test_a_teacher_of_another_normalisation_and_a_cascade_decides_as_it_predicts() -> None:
    other = tiny.cascade()
    other["data_preprocessor"].update(
        size=None, size_divisor=32, seg_pad_val=255, mean=[100.0, 110.0, 120.0], std=[50.0, 55.0, 60.0], bgr_to_rgb=True
    )
    model = pair_of("mmseg", SEGMENTER, other)
    rest = unlabelled_part("mmseg", model)
    _, samples = labelled_by(model, rest)
    raw = raw_batch("mmseg", (), UNLABELED)
    own = model.teacher.data_preprocessor(raw, True)["inputs"]  # from the bytes of the images
    seen = inside(samples, maps(samples))
    agreeing = (maps(samples) == predicted(model.teacher, own))[seen]
    assert float(agreeing.float().mean()) > 0.999  # a normalisation that goes over another rounds otherwise
    assert len(maps(samples)[seen].unique()) > 1


def test_one_channel_is_decided_by_the_heads_threshold_and_sure_from_the_score_on() -> None:
    student = tiny.fcn(channels=1, loss_decode=dict(type="mmseg.CrossEntropyLoss", use_sigmoid=True))
    student["data_preprocessor"].update(size=(128, 160), seg_pad_val=255)
    student["decode_head"]["threshold"] = 0.48
    for threshold in (0.0, 0.55):
        model = pair_of("mmseg", student, pseudo_labels=dict(score_thr=threshold))
        rest = unlabelled_part("mmseg", model)
        _, samples = labelled_by(model, rest)
        found, expected = maps(samples), predicted(model.teacher, rest["inputs"])
        seen = inside(samples, found)
        if not threshold:
            assert torch.equal(found[seen], expected[seen]) and set(expected.unique().tolist()) == {0, 1}
            continue
        with torch.no_grad():
            metas = [dict(img_shape=tuple(rest["inputs"].shape[-2:]))] * len(found)
            p = model.teacher.encode_decode(rest["inputs"], metas)[:, 0].sigmoid()
        sure = torch.where(expected == 1, p, 1 - p) >= threshold
        assert torch.equal(found[seen & sure], expected[seen & sure]) and bool((found[seen & ~sure] == 255).all())
        assert bool(sure[seen].any()) and not bool(sure[seen].all())


def test_the_queries_of_mask2former_teach_a_head_of_maps() -> None:
    plain, queries = tiny.fcn(), tiny.mask2former()
    for model in (queries, plain):
        model["data_preprocessor"].update(size=(160, 160), seg_pad_val=255)
    algorithm = pair_of("mmseg", plain, queries)
    rest = unlabelled_part("mmseg", algorithm)
    _, samples = labelled_by(algorithm, rest)
    seen = inside(samples, maps(samples))
    assert torch.equal(maps(samples)[seen], predicted(algorithm.teacher, rest["inputs"])[seen])
    data = algorithm.data_preprocessor(raw_batch("mmseg", LABELED, UNLABELED), True)
    losses = algorithm(**data, mode="loss")
    own = {name.removeprefix("student.") for name in losses if name.startswith("student.")}
    assert own == {name.removeprefix("pseudo.") for name in losses if name.startswith("pseudo.")}
    total, _ = algorithm.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total) and all(torch.isfinite(g).all() for g in gradients(algorithm.student).values())


def test_what_is_unsure_has_the_label_that_the_students_head_ignores() -> None:
    student = deepcopy(SEGMENTER)
    student["decode_head"]["ignore_index"] = 7
    student["data_preprocessor"]["seg_pad_val"] = 7
    model = pair_of("mmseg", student, SEGMENTER, pseudo_labels=dict(score_thr=0.4))
    rest = unlabelled_part("mmseg", model)
    found = maps(labelled_by(model, rest)[1])
    assert 7 in found and 255 not in found and len(found.unique()) > 1
    seen = inside(rest["data_samples"], found)
    assert bool((found[seen] == 7).any()) and bool((found[~seen] == 7).all())


def test_unsure_pixels_change_neither_loss_nor_gradient_but_count_in_the_mean() -> None:
    scope, model = labelling("segmenter", 0.6, distiller=None)
    rest = unlabelled_part(scope, model)
    _, samples = labelled_by(model, rest)
    labels = maps(samples)
    scores: list[Tensor] = []
    model.student.decode_head.conv_seg.register_forward_hook(lambda _, args, output: scores.append(output))
    data = model.data_preprocessor(raw_batch(scope, LABELED, UNLABELED), True)
    found = model(**data, mode="loss")["pseudo.decode.loss_ce"]
    large = torch.nn.functional.interpolate(scores[-1], labels.shape[-2:], mode="bilinear")
    counting = labels != 255
    by_hand = -large.log_softmax(1).permute(0, 2, 3, 1)[counting].gather(1, labels[counting][:, None]).sum()
    torch.testing.assert_close(found, by_hand / labels.numel())
    (gradient,) = torch.autograd.grad(found, large, allow_unused=True, retain_graph=True)
    assert gradient is None and 0 < int(counting.sum()) < int(inside(samples, labels).sum())


def test_a_student_that_learns_edges_is_refused_when_the_model_is_built() -> None:
    with pytest.raises(ConfigError) as caught:
        pair_of("mmseg", tiny.pidnet(), tiny.fcn())
    assert caught.value.key == "model.pseudo_labels"


def test_labels_of_the_pipeline_are_gone() -> None:
    scope, model = labelling("segmenter", 0.0)
    rest = unlabelled_part(scope, model)
    for sample in rest["data_samples"]:
        sample.gt_sem_seg = PixelData(data=torch.ones_like(sample.gt_sem_seg.data))
    _, samples = labelled_by(model, rest)
    seen = inside(samples, maps(samples))
    assert torch.equal(maps(samples)[seen], predicted(model.teacher, rest["inputs"])[seen])
    assert all(bool((sample.gt_sem_seg.data == 1).all()) for sample in rest["data_samples"]), "the batch is its own"
