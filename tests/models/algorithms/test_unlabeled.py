"""Labelled images train as without the others, bit for bit; the others teach through the distillation alone."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.task_runs import (
    build,
    differing,
    distilled,
    plain_run,
    quickly,
    student_state,
)
from helpers.tiny_models import distiller
from helpers.unlabeled_data import raw_batch, with_unlabeled, write_images
from helpers.unlabeled_models import (
    LABELED,
    MODELS_OF,
    UNLABELED,
    built,
    gradients,
    losses_of,
)
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdist.datasets import UnlabeledDataset
from mmdist.engine.hooks import add_default_hooks
from mmdist.errors import ConfigError
from mmdist.functional import dist_loss, kd_loss
from mmdist.models.algorithms.statistics import kept_buffers
from mmdist.models.algorithms.unlabeled import content

pytestmark = pytest.mark.usefixtures("first_iteration")


@pytest.mark.parametrize("name", MODELS_OF)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_labelled_loss_gradient_and_statistics_are_those_of_the_plain_model(name: str, training: bool) -> None:
    scope, model = built(name, weight=0.0)
    model.train(training)
    plain = deepcopy(model.student)
    batch = raw_batch(scope, LABELED, UNLABELED)
    alone = losses_of(plain, raw_batch(scope, LABELED))
    found = losses_of(model, batch)
    for key in ("numbers", "more"):
        assert torch.equal(found.pop(key), alone.pop(key))
    for key, value in alone.items():
        if key != "loss":
            assert torch.equal(torch.as_tensor(found[f"student.{key}"]), torch.as_tensor(value)), key
    mine = {name: g for name, g in gradients(model.student).items()}
    assert not differing(mine, gradients(plain))
    assert not differing(model.student.state_dict(), plain.state_dict())
    assert "distill.loss_dist" in found


@pytest.mark.parametrize("name", ["segmenter", "two_stage", "classifier"])
def test_the_unlabelled_images_teach_and_leave_the_task_loss_alone(name: str) -> None:
    scope, model = built(name)
    other = deepcopy(model)
    found = losses_of(model, raw_batch(scope, LABELED, UNLABELED))
    alone = losses_of(other, raw_batch(scope, LABELED))
    assert found["distill.loss_dist"] != alone["distill.loss_dist"]
    for key in alone:
        if key.startswith("student."):
            assert torch.equal(torch.as_tensor(found[key]), torch.as_tensor(alone[key]))
    assert differing(gradients(model.student), gradients(other.student))


def test_statistics_move_with_the_unlabelled_images_where_they_are_asked_to() -> None:
    scope, model = built("segmenter", update_bn=True)
    kept = built("segmenter")[1]
    kept.load_state_dict(model.state_dict())
    for each in (model, kept):
        losses_of(each, raw_batch(scope, LABELED, UNLABELED))
    norms = [(m, k) for m, k in zip(model.modules(), kept.modules(), strict=True) if isinstance(m, nn.BatchNorm2d)]
    for moved, still in norms:
        assert int(moved.num_batches_tracked) == 2 * int(still.num_batches_tracked) == 2
        assert not torch.equal(moved.running_mean, still.running_mean)
    assert not differing(gradients(model), gradients(kept))


def test_other_buffers_are_as_they_were() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2, momentum=None)
            self.register_buffer("seen", torch.zeros(1))
            self.register_buffer("mean", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += len(x)
            self.mean = x.mean().detach()[None]
            return self.norm(x)

    model, x = Counting(), torch.rand(4, 2)
    before = deepcopy(model.state_dict())
    with kept_buffers(model, update_norms=False):
        y = model(x)
    torch.testing.assert_close(y, (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt())
    assert not differing(model.state_dict(), before)
    with kept_buffers(model, update_norms=True):
        model(x)
    assert differing(model.state_dict(), before) == [
        "norm.num_batches_tracked",
        "norm.running_mean",
        "norm.running_var",
    ]


def outputs(model: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Class scores of student and teacher, in evaluation mode."""
    heads = (model.student, model.teacher)
    return tuple(side(inputs, mode="tensor") for side in heads)  # type: ignore[return-value]


@pytest.mark.parametrize("unlabeled", [[(48, 48)] * 2, UNLABELED], ids=["one size", "other sizes"])
def test_relations_over_both_parts_are_those_of_one_batch(unlabeled: list) -> None:
    scope, model = built("segmenter", teacher_fuse_conv_bn=False)
    model.double().eval()  # norms that see no batch: then an image's scores are its own
    data = model.data_preprocessor(raw_batch(scope, [(48, 48)] * 3, unlabeled), True)
    for part in (data, data["unlabeled"]):
        part["inputs"] = part["inputs"].double()
    found = model(**data, mode="loss")["distill.loss_dist"]
    pairs = [outputs(model, part) for part in (data["inputs"], data["unlabeled"]["inputs"])]
    rows = [torch.cat([scores.movedim(1, -1).reshape(-1, 3) for scores in side]) for side in zip(*pairs, strict=True)]
    expected = dist_loss(*rows)
    torch.testing.assert_close(found, expected)
    weights = [p for p in model.student.parameters() if p.requires_grad]
    for one, other in zip(
        *(torch.autograd.grad(x, weights, allow_unused=True) for x in (found, expected)), strict=True
    ):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def with_labels(loss: dict[str, Any], source: str = "decode_head.conv_seg") -> dict[str, Any]:
    """Class scores compared by a loss that is given the labels of the student's head."""
    cfg = distiller(source, loss["type"])
    cfg["distill_losses"]["loss_dist"] = loss
    cfg["student_recorders"]["labels"] = dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs")
    cfg["loss_forward_mappings"]["loss_dist"] = dict(
        preds_S=dict(recorder="logits", from_student=True),
        preds_T=dict(recorder="logits", from_student=False),
        gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
    )
    return cfg


def test_ignored_pixels_are_left_out_of_labelled_images_and_borders_of_all() -> None:
    scope, model = built("segmenter", distiller=with_labels(dict(type="mmdist.KDLoss")))
    model.eval()
    data = model.data_preprocessor(raw_batch(scope, LABELED, UNLABELED), True)
    found = model(**data, mode="loss")["distill.loss_dist"]
    total, count = 0.0, 0
    for part in (data, data["unlabeled"]):
        student, teacher = outputs(model, part["inputs"])
        for index, sample in enumerate(part["data_samples"]):
            label = sample.gt_sem_seg.data[0].clone()
            if part is not data:
                assert bool((label == 255).all())
                height, width = UNLABELED[index]
                label[:height, :width] = 0
            scale = label.shape[0] // student.shape[2]
            keep = label[::scale, ::scale] != 255
            total += kd_loss(student[index : index + 1], teacher[index : index + 1], mask=keep[None], reduction="sum")
            count += int(keep.sum())
    torch.testing.assert_close(found, total / count)


def test_losses_that_need_labels_see_the_labelled_part() -> None:
    scope, model = built("segmenter", distiller=with_labels(dict(type="mmdist.DKDLoss")))
    other = deepcopy(model)
    found = losses_of(model, raw_batch(scope, LABELED, UNLABELED))
    alone = losses_of(other, raw_batch(scope, LABELED))
    assert found["distill.loss_dist"] == alone["distill.loss_dist"]
    assert not differing(gradients(model), gradients(other))


def test_rdd_weighs_the_labelled_part_alone() -> None:
    changes = dict(weighting=dict(type="mmdist.RDDWeighting", warmup=1, min_kept=10))
    scope, model = built("segmenter", **changes)
    other = deepcopy(model)
    found = losses_of(model, raw_batch(scope, LABELED, UNLABELED))
    alone = losses_of(other, raw_batch(scope, LABELED))
    for key in ("student.decode.loss_ce", "rdd.weight", "rdd.kept"):
        assert found[key] == alone[key]


def test_images_that_the_pipeline_has_filled_up_count_without_their_border(tmp_path: Path) -> None:
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations"),
        dict(type="Pad", size=(64, 64), pad_val=dict(img=0, seg=255)),
        dict(type="PackSegInputs"),
    ]
    folder = write_images(tmp_path / "more", [(44, 60), (64, 64)])
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset = UnlabeledDataset(images=str(folder), pipeline=pipeline)
    samples = [dataset[index]["data_samples"] for index in range(2)]
    assert all(bool((sample.gt_sem_seg.data == 255).all()) for sample in samples)
    found = content(torch.zeros(2, 3, 64, 96), samples)
    assert found.sum((1, 2)).tolist() == [44 * 60, 64 * 64]
    assert bool(found[0, :60, :44].all())


def test_a_batch_of_one_kind_is_prepared_as_ever() -> None:
    scope, model = built("detector")
    for batch in (raw_batch(scope, LABELED), raw_batch(scope, [], UNLABELED)):
        data = model.data_preprocessor(batch, True)
        assert set(data) == {"inputs", "data_samples"}
    data = model.data_preprocessor(raw_batch(scope, LABELED, UNLABELED), False)
    assert len(data["inputs"]) == len(LABELED + UNLABELED)  # not in training: nothing is learnt


def test_a_batch_that_was_prepared_as_one_is_cut_too() -> None:
    scope, model = built("classifier")
    same = [(32, 32)] * 3
    model.eval()
    data = model.data_preprocessor(raw_batch(scope, same, same), False)
    apart = model.data_preprocessor(raw_batch(scope, same, same), True)
    found, expected = (model(**deepcopy(each), mode="loss") for each in (data, apart))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


def test_without_any_label_the_distillation_trains_alone() -> None:
    scope, model = built("segmenter", calculate_student_loss=False)
    found = losses_of(model, raw_batch(scope, [], UNLABELED))
    assert found["distill.loss_dist"] > 0
    assert not [key for key in found if key.startswith("student.")]
    scope, model = built("segmenter")
    with pytest.raises(ConfigError, match=r"calculate_student_loss = True"):
        losses_of(model, raw_batch(scope, [], UNLABELED))
    scope, model = built("segmenter", distiller=with_labels(dict(type="mmdist.DKDLoss")), calculate_student_loss=False)
    with pytest.raises(ConfigError, match=r"distill_losses\.loss_dist = 'DKDLoss'"):
        losses_of(model, raw_batch(scope, [], UNLABELED))


def test_a_teacher_that_trains_is_refused() -> None:
    scope, model = built("segmenter", teacher_trainable=True)
    with pytest.raises(ConfigError, match=r"model\.teacher_trainable = True"):
        losses_of(model, raw_batch(scope, LABELED, UNLABELED))


def test_a_model_whose_loss_fails_without_annotations_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scope, model = built("detector")
    own = model.student.bbox_head.loss_by_feat

    def loss(*args: Any) -> Any:
        if not len(args[2][0]):
            raise IndexError("no box")
        return own(*args)

    monkeypatch.setattr(model.student.bbox_head, "loss_by_feat", loss)
    with pytest.raises(ConfigError, match=r"model\.architecture = 'RetinaNet'.*without annotations.*no box"):
        losses_of(model, raw_batch(scope, LABELED, UNLABELED))


class Elsewhere(Hook):
    """The generators of another process are somewhere else."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        torch.manual_seed(self.seed)
        np.random.seed(self.seed)


@pytest.mark.parametrize(("epochs", "workers"), [(True, 0), (True, 2), (False, 0)])
def test_a_run_goes_on_exactly_in_the_middle_of_an_epoch(epochs: bool, workers: int, tmp_path: Path) -> None:
    more = write_images(tmp_path / "more", [(50, 40), (40, 50), (60, 40), (48, 48), (40, 40)])
    cfg = with_unlabeled(distilled(plain_run("mmseg", tmp_path, iters=6), weight=1.0), str(more))
    cfg.train_dataloader.num_workers = workers
    cfg.default_hooks.checkpoint.interval = 3
    if epochs:  # of two iterations
        cfg.train_cfg = dict(by_epoch=True, max_epochs=3)
        cfg.train_dataloader.sampler.type = "DefaultSampler"
        cfg.default_hooks.sampler_seed = dict(type="DistSamplerSeedHook")
    states = []
    load_from, resume = None, False
    for _ in range(2):
        cfg.load_from, cfg.resume = load_from, resume
        with quickly("mmseg"):
            run = build(cfg)
            add_default_hooks(run)
            run.register_hook(Elsewhere(len(states)))
            run.train()
        load_from, resume = str(Path(run.work_dir) / "iter_3.pth"), True
        states.append(student_state(run))
        assert run.iter == 6
        run.train_dataloader._iterator = None
        if hasattr(run.train_loop, "dataloader_iterator"):
            run.train_loop.dataloader_iterator._iterator = None
    assert not differing(*states)


def test_two_processes_train_alike(ddp_trainings: list[dict[str, Any]]) -> None:
    first, second = (rank["unlabeled"] for rank in ddp_trainings)
    assert not differing(first, second)
    assert all(value.isfinite().all() for value in first.values())
