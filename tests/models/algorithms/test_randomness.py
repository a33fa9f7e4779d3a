"""A teacher that draws random numbers, in whichever pass, leaves the student's as they were."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.drawing import draw_in, drawn_by
from helpers.task_runs import differing, distilled, plain_run, quickly, student_state, train
from helpers.tiny_models import (
    algorithm,
    batch,
    classifier,
    detector,
    detector_batch,
    distiller,
    segmentor,
    segmentor_batch,
)
from mmengine.registry import MODELS

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.runner import build_runner
from mmdist.models.algorithms import randomness
from mmdist.models.algorithms.inspection import inspect_batch
from mmdist.models.algorithms.randomness import isolated_randomness

LIGHT_HAM = dict(
    type="LightHamHead",
    in_channels=[32, 32],
    in_index=[3, 3],
    channels=8,
    ham_channels=8,
    ham_kwargs=dict(MD_R=4),
    num_classes=3,
    norm_cfg=dict(type="BN"),
)


def states() -> tuple[Any, Any, bytes]:
    """Of all generators."""
    _, keys, *rest = np.random.get_state()
    return random.getstate(), (keys.tobytes(), *rest), torch.get_rng_state().numpy().tobytes()


def seed() -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    np.random.randn()  # leaves a second normal number for the next call


def mapped(name: str, source: str, loss: str) -> dict[str, Any]:
    return distiller(source, loss) | dict(
        loss_forward_mappings=dict(
            loss_dist={f"{name}_{side}": dict(recorder="logits", from_student=side == "S") for side in "ST"}
        )
    )


CASES: dict[str, tuple] = {
    "classifier": (classifier, batch, {}),
    "segmenter": (segmentor, segmentor_batch, dict(distiller=distiller("decode_head.conv_seg"))),
    "loss mode": (segmentor, segmentor_batch, dict(distiller=distiller("decode_head.loss_decode"), mode="loss")),
    "two stages": (
        detector,
        detector_batch,
        dict(distiller=mapped("preds", "roi_head.bbox_head.fc_cls", "mmdist.KDLoss")),
    ),
    "RDD": (
        segmentor,
        segmentor_batch,
        dict(distiller=None, weighting=dict(type="mmdist.RDDWeighting", min_kept=10, warmup=0)),
    ),
    "trainable teacher": (classifier, batch, dict(teacher_trainable=True)),
    "acclimated": (classifier, batch, dict(acclimated=["head.fc"])),
}


@pytest.mark.parametrize("case", CASES)
def test_after_an_iteration_the_generators_are_where_plain_training_leaves_them(case):
    model, data, changes = CASES[case]
    changes = copy.deepcopy(changes)
    if changes.pop("mode", None):  # a head whose loss alone fires: its scores are the argument
        changes["distiller"] = copy.deepcopy(changes["distiller"])
        for side in ("student_recorders", "teacher_recorders"):
            changes["distiller"][side]["logits"] = dict(
                type="mmdist.Module", source="decode_head.loss_decode", what="inputs"
            )
        for record in changes["distiller"]["loss_forward_mappings"]["loss_dist"].values():
            record["data_idx"] = 0
    found = algorithm(architecture=model(), teacher=model(8), random_teacher=True, **changes)
    given = data()

    def plain() -> dict[str, torch.Tensor]:
        return found.student(**found.data_preprocessor(copy.deepcopy(given), True), mode="loss")

    def whole() -> dict[str, torch.Tensor]:
        return found(**found.data_preprocessor(copy.deepcopy(given), True), mode="loss")

    handles = draw_in(found.teacher), draw_in(found.distiller)
    start = copy.deepcopy(found.student.state_dict())
    for _ in range(3):  # in the third the teacher stops early
        after = []
        for run in (plain, whole):
            found.student.load_state_dict(start)
            seed()
            losses = run()
            after.append(states())
            if run is plain:
                expected = losses
        assert after[0] == after[1]
        if case != "RDD":  # which weighs them
            for name, value in expected.items():
                torch.testing.assert_close(losses[f"student.{name}"], value, rtol=0, atol=0)
    assert drawn_by(handles[0])


def test_the_teacher_draws_others_in_every_iteration_and_the_same_ones_again():
    def numbers() -> list[tuple]:
        model = algorithm(random_teacher=True)
        handle = draw_in(model.teacher.backbone)
        data = batch()
        for _ in range(3):
            seed()
            model(**model.data_preprocessor(copy.deepcopy(data), True), mode="loss")
        return drawn_by(handle)

    first, again = numbers(), numbers()
    assert first == again
    for generator in zip(*first[-3:], strict=True):
        assert len(set(generator)) == 3


def test_a_look_at_a_batch_and_the_making_of_the_algorithm_leave_the_generators_alone():
    teacher = MODELS.build(segmentor(8))
    handle = draw_in(teacher)
    seed()
    MODELS.build(segmentor())
    expected = states()
    seed()
    model = algorithm(architecture=segmentor(), teacher=teacher, distiller=distiller("decode_head.conv_seg"))
    assert states() == expected
    assert drawn_by(handle)
    seed()
    expected = states()
    inspect_batch(model, segmentor_batch(), 1)
    model.init_weights()
    assert states()[:2] == expected[:2]


def test_streams_are_of_the_state_and_their_numbers():
    def first(*stream: int) -> tuple:
        with isolated_randomness(*stream):
            return random.random(), np.random.rand(), torch.rand(1).item()

    seed()
    before = states()
    assert first(0, 1) == first(0, 1)
    drawn = [first(0, 1), first(1, 1), first(0, 0), first(2, 1)]
    assert all(len(set(numbers)) == len(drawn) for numbers in zip(*drawn, strict=True))
    assert states() == before
    torch.rand(1)
    assert first(0, 1) != drawn[0]


def test_the_generator_of_a_gpu_is_put_back_and_seeded_like_the_others(monkeypatch):
    gpu = torch.Generator().manual_seed(5)
    monkeypatch.setattr(randomness, "_gpu_generators", lambda device: [gpu])
    before, drawn = gpu.get_state(), []
    for stream in ((0, 0), (0, 1), (0, 0)):
        with isolated_randomness(*stream):
            drawn.append(torch.rand(1, generator=gpu).item())
        assert torch.equal(gpu.get_state(), before)
    assert drawn[0] == drawn[2] != drawn[1]


def under_light_ham(cfg: Any, weight: float) -> Any:
    cfg = distilled(cfg, weight=weight)
    cfg.model.teacher.decode_head = copy.deepcopy(LIGHT_HAM)
    cfg.model.teacher.backbone.base_channels = 4
    return cfg


def test_at_weight_zero_a_teacher_with_random_bases_trains_as_the_plain_run(tmp_path: Path):
    cfg = plain_run("mmseg", tmp_path, iters=4)
    plain = student_state(train(cfg))
    numbers = torch.rand(3)
    assert not differing(student_state(train(under_light_ham(cfg, 0.0))), plain)
    assert torch.equal(torch.rand(3), numbers)


def test_a_run_under_a_teacher_with_random_bases_goes_on_exactly(tmp_path: Path):
    hooks = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2))
    cfg = under_light_ham(plain_run("mmseg", tmp_path, iters=5, default_hooks=hooks), 1.0)
    cfg.launcher = "none"

    def run(name: str, **changes: Any) -> dict[str, torch.Tensor]:
        given = copy.deepcopy(cfg)
        given.update(work_dir=str(tmp_path / name), experiment_name=f"{tmp_path.name}_{name}", **changes)
        with quickly(given.default_scope):
            build_runner(given).train()
        return load_checkpoint_file(tmp_path / name / "iter_5.pth")["state_dict"]

    # a teacher in memory, or each run would start from weights of its own
    cfg.model.teacher_ckpt = str(tmp_path / "teacher.pth")
    torch.save(MODELS.build(dict(cfg.model.teacher, _scope_="mmseg")).state_dict(), cfg.model.teacher_ckpt)
    whole = run("whole")
    torch.seed()
    rest = run("rest", resume=True, load_from=str(tmp_path / "whole" / "iter_2.pth"))
    assert not differing(whole, rest)
    assert differing(whole, load_checkpoint_file(tmp_path / "whole" / "iter_2.pth")["state_dict"])
