"""The teacher of ``mmdist.SingleTeacherDistill``: no part of the model, in its own normalisation, run no further."""

from __future__ import annotations

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from helpers.tiny_models import algorithm, batch, classifier, distiller, segmentor, segmentor_batch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from torch import nn

from mmdist.errors import CheckpointError, ConfigError, MMDistError
from mmdist.models.algorithms.normalisation import translation


def losses(model, data=None):
    return model(**model.data_preprocessor(data or batch(), training=True), mode="loss")


def test_the_teacher_is_in_neither_state_parameters_modules_nor_optimizer():
    model = algorithm()
    assert not [name for name in model.state_dict() if "teacher" in name]
    own = {id(parameter) for parameter in model.parameters()}
    assert not any(id(parameter) in own for parameter in model.teacher.parameters())
    assert not any(module is model.teacher for module in model.modules())
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1)))
    held = sum(p.numel() for group in wrapper.param_groups for p in group["params"])
    assert held == sum(p.numel() for p in model.student.parameters())


def test_the_moving_average_is_of_the_student_alone_and_shares_the_teacher():
    model = algorithm()
    average = ExponentialMovingAverage(model)
    assert not [name for name in average.state_dict() if "teacher" in name]
    assert average.module.teacher is model.teacher
    assert average.module.student is not model.student


def test_a_copy_shares_the_teacher_and_trains_by_itself():
    model = algorithm()
    losses(model)
    twin = copy.deepcopy(model)
    assert twin.teacher is model.teacher
    data = batch()
    torch.manual_seed(0)
    expected = losses(model, copy.deepcopy(data))
    torch.manual_seed(0)
    got = losses(twin, copy.deepcopy(data))
    assert got["distill.loss_dist"] == expected["distill.loss_dist"]


def test_it_can_be_pickled_and_goes_on():
    model = algorithm()
    losses(model)
    twin = pickle.loads(pickle.dumps(model))
    data = batch()
    assert losses(twin, copy.deepcopy(data))["distill.loss_dist"] == losses(model, data)["distill.loss_dist"]


def test_the_teacher_follows_to_another_dtype():
    model = algorithm().double()
    assert {p.dtype for p in model.teacher.parameters()} == {torch.float64}


def test_the_teacher_is_bit_identical_after_training():
    model = algorithm(architecture=segmentor(), teacher=segmentor(8), distiller=distiller("decode_head.conv_seg"))
    before = copy.deepcopy(model.teacher.state_dict())
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1)))
    model.train()
    for _ in range(4):
        model.train_step(segmentor_batch(), wrapper)
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())


def test_building_the_teacher_draws_no_random_number_that_the_student_would_have_drawn():
    def start(build):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        model = build()
        model.init_weights()
        return model, torch.rand(3), np.random.rand(), random.random()

    plain, *drawn = start(lambda: MODELS.build(classifier()))
    model, *drawn_too = start(algorithm)
    assert torch.equal(drawn[0], drawn_too[0])
    assert drawn[1:] == drawn_too[1:]
    for name, value in plain.state_dict().items():
        assert torch.equal(value, model.student.state_dict()[name]), name


def test_what_the_algorithm_does_not_have_is_the_students():
    model = algorithm(architecture=segmentor(), teacher=segmentor(8), distiller=distiller("decode_head.conv_seg"))
    assert model.decode_head is model.student.decode_head
    with pytest.raises(AttributeError):
        _ = model.no_such_thing


class Count:
    """How often modules of the teacher run."""

    def __init__(self, model: nn.Module, *names: str) -> None:
        self.calls = dict.fromkeys(names, 0)
        for name in names:
            model.get_submodule(name).register_forward_pre_hook(lambda *args, name=name: self.add(name))

    def add(self, name: str) -> None:
        self.calls[name] += 1


def test_the_teacher_stops_after_the_last_recorded_module():
    model = algorithm(teacher=classifier(), distiller=distiller("backbone.layer2"))
    count = Count(model.teacher, "backbone.layer2", "backbone.layer3", "head.fc")
    for _ in range(5):
        losses(model)
    assert count.calls == {"backbone.layer2": 5, "backbone.layer3": 2, "head.fc": 2}  # two passes to learn


def test_a_teacher_that_stops_gives_the_same_losses():
    model = algorithm(teacher=classifier(), distiller=distiller("backbone.layer2"))
    model.eval()  # batch norm of the student stays as it is
    data = batch()
    values = [losses(model, copy.deepcopy(data))["distill.loss_dist"].item() for _ in range(4)]
    assert len(set(values)) == 1


def test_the_teacher_never_computes_its_loss_and_its_auxiliary_head_only_when_recorded(monkeypatch):
    def run(source):
        model = algorithm(
            architecture=segmentor(auxiliary=True), teacher=segmentor(8, auxiliary=True), distiller=distiller(source)
        )
        refuse = lambda *args, **kwargs: pytest.fail("the teacher computed its loss")  # noqa: E731
        monkeypatch.setattr(model.teacher.decode_head, "loss_by_feat", refuse)
        monkeypatch.setattr(model.teacher.auxiliary_head, "loss_by_feat", refuse)
        count = Count(model.teacher, "auxiliary_head.conv_seg")
        value = losses(model, segmentor_batch())
        assert value["distill.loss_dist"] > 0
        return count.calls["auxiliary_head.conv_seg"]

    assert run("decode_head.conv_seg") == 0
    assert run("auxiliary_head.conv_seg") == 1


def test_records_are_let_go_after_the_losses_and_after_an_error(monkeypatch):
    model = algorithm()
    losses(model)
    recorders = [*model.distiller.student_recorders.recorders.values()]
    recorders += model.distiller.teacher_recorders.recorders.values()
    assert not any(recorder.data_buffer for recorder in recorders)
    monkeypatch.setattr(model.student.head, "loss", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        losses(model)
    assert not any(recorder.data_buffer for recorder in recorders)


def test_the_teacher_sees_pictures_in_its_own_normalisation():
    teacher = classifier(8)
    teacher["data_preprocessor"].update(mean=[10, 20, 30], std=[2, 3, 4], to_rgb=True)
    student = classifier()
    student["data_preprocessor"].update(mean=[1, 2, 3], std=[5, 6, 7])
    model = algorithm(architecture=student, teacher=teacher)
    seen = []
    model.teacher.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    data = batch()
    expected = model.teacher.data_preprocessor(copy.deepcopy(data), training=True)["inputs"]
    losses(model, data)
    torch.testing.assert_close(seen[0], expected, rtol=1e-5, atol=1e-4)


def test_equal_normalisations_are_left_alone():
    model = algorithm()
    assert translation(model.student.data_preprocessor, model.teacher.data_preprocessor) is None


def test_the_teacher_may_have_a_dtype_and_a_memory_format_of_its_own():
    model = algorithm(teacher_dtype="bfloat16", teacher_channels_last=True)
    seen = {}
    model.teacher.head.fc.register_forward_hook(lambda module, args, output: seen.update(dtype=output.dtype))
    model.teacher.backbone.conv1.register_forward_hook(lambda module, args, output: seen.update(input=args[0]))
    losses(model)
    assert seen["dtype"] == torch.bfloat16
    assert seen["input"].is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ConfigError, match="teacher_dtype"):
        algorithm(teacher_dtype="int8")


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_recorder_that_never_fires_is_an_error_in_the_first_iteration(side):
    cfg = distiller("decode_head.conv_seg")
    cfg[f"{side}_recorders"]["logits"]["source"] = "decode_head"  # mmseg calls its method, not the head
    model = algorithm(architecture=segmentor(), teacher=segmentor(8), distiller=cfg)
    with pytest.raises(ConfigError, match=rf"{side}_recorders\.logits\.source = 'decode_head'.*mmdist\.Method"):
        losses(model, segmentor_batch())


def test_a_teacher_of_other_classes_is_an_error_that_says_so():
    teacher = classifier(8)
    teacher["head"]["num_classes"] = 7
    with pytest.raises(MMDistError, match="Logits of other classes"):
        losses(algorithm(teacher=teacher))


def test_a_checkpoint_that_fits_in_part_is_taken_on_request_only(tmp_path):
    state = MODELS.build(classifier(8)).state_dict()
    del state["head.fc.bias"]
    torch.save(dict(state_dict=state), tmp_path / "teacher.pth")
    with pytest.raises(CheckpointError, match=r"head\.fc\.bias \(missing\)"):
        algorithm(teacher_ckpt=str(tmp_path / "teacher.pth"))
    model = algorithm(teacher_ckpt=str(tmp_path / "teacher.pth"), random_teacher=True)
    assert torch.equal(model.teacher.head.fc.weight, state["head.fc.weight"])


def test_the_teacher_is_not_run_when_distillation_has_stopped():
    model = algorithm()
    count = Count(model.teacher, "backbone.conv1")
    model.distillation_stopped = True
    assert set(losses(model)) == {"student.loss"}
    assert count.calls["backbone.conv1"] == 0


def test_a_teacher_that_trains_as_a_whole_is_a_part_of_the_model_as_in_mmrazor():
    model = algorithm(teacher_trainable=True)
    assert any(name.startswith("teacher.") for name in model.state_dict())
    assert "teacher.loss" in losses(model)


def test_a_student_that_does_not_normalise_does_not_take_that_from_the_teacher():
    def preprocessor(**options):
        return MODELS.build(dict(type="mmseg.SegDataPreProcessor", size=(16, 16), **options))

    raw, normed = preprocessor(), preprocessor(mean=[120.0, 115.0, 100.0], std=[60.0, 50.0, 40.0], bgr_to_rgb=True)
    pixels = torch.randint(0, 256, (1, 3, 16, 16)).float()
    expected = (pixels.flip(1) - normed.mean) / normed.std
    torch.testing.assert_close(translation(raw, normed)(pixels), expected)
    torch.testing.assert_close(translation(normed, raw)(expected), pixels, rtol=1e-5, atol=1e-3)
    assert translation(raw, preprocessor()) is None


def test_a_data_preprocessor_that_mmpretrain_made_up_says_nothing():
    made_up = MODELS.build(dict(type="mmpretrain.ClsDataPreprocessor"))
    assert translation(MODELS.build(classifier()["data_preprocessor"]), made_up) is None


def test_a_teacher_whose_tensor_mode_fails_runs_in_loss_mode(monkeypatch, caplog):
    model = algorithm(architecture=segmentor(), teacher=segmentor(8), distiller=distiller("decode_head.conv_seg"))
    data = segmentor_batch()
    torch.manual_seed(0)
    expected = losses(model, copy.deepcopy(data))["distill.loss_dist"]
    monkeypatch.setattr(model.teacher, "_forward", lambda *args: torch.cat([1, 2]))
    for _ in range(3):
        torch.manual_seed(0)
        found = losses(model, copy.deepcopy(data))["distill.loss_dist"]
    torch.testing.assert_close(found, expected)
