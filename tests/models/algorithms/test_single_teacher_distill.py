"""``mmdist.SingleTeacherDistill``: MMRazor's config keys, a teacher that is left alone, mistakes answered."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.tiny_models import algorithm, batch, classifier, distiller, segmentor
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmdist.errors import CheckpointError, ConfigError, MissingPackageError


@pytest.mark.parametrize("scope", ["mmpretrain", "mmseg", "mmdet", None])
def test_builds_and_computes_its_losses_under_any_default_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = algorithm()
        data = model.data_preprocessor(batch(), training=True)
        losses = model(**data, mode="loss")
    assert set(losses) == {"student.loss", "distill.loss_dist"}
    assert all(value.isfinite() for value in losses.values())


def test_the_distillation_loss_trains_the_student_and_never_the_teacher():
    model = algorithm()
    model.train()
    data = model.data_preprocessor(batch(), training=True)
    model(**data, mode="loss")["distill.loss_dist"].backward()
    assert model.student.head.fc.weight.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())


def test_the_teacher_is_in_evaluation_mode_as_a_whole_while_the_student_trains():
    model = algorithm(architecture=segmentor(), teacher=segmentor(), distiller=distiller("decode_head.conv_seg"))
    model.train()
    assert not any(module.training for module in model.teacher.modules())  # MMRazor leaves dropout on
    assert model.student.decode_head.dropout.training
    buffers = copy.deepcopy(dict(model.teacher.named_buffers()))
    with torch.no_grad():
        model.teacher.extract_feat(torch.randn(2, 3, 16, 16))
    assert all(torch.equal(value, buffers[name]) for name, value in model.teacher.named_buffers())


def test_in_place_modules_are_switched_off_so_that_records_are_not_overwritten():
    model = algorithm(distiller=distiller("backbone.bn1"))
    assert not any(getattr(module, "inplace", False) for module in model.modules())
    outputs = {}
    model.teacher.backbone.bn1.register_forward_hook(lambda *args: outputs.update(raw=args[2], copy=args[2].clone()))
    model.teacher.backbone(torch.randn(2, 3, 16, 16))
    assert torch.equal(outputs["raw"], outputs["copy"])


def test_in_place_modules_stay_where_they_leave_the_records_as_they_were():
    model = algorithm(distiller=distiller("head.fc"))
    for side in (model.student, model.teacher):
        assert any(getattr(module, "inplace", False) for module in side.modules())
    plain = algorithm(distiller=distiller("head.fc"), module_inplace=True, teacher_module_inplace=True)
    assert plain.state_dict().keys() == model.state_dict().keys()


def test_each_side_keeps_its_in_place_modules_by_itself():
    cfg = distiller("backbone.layer1")
    cfg["teacher_recorders"]["logits"]["source"] = "backbone.bn1"  # the ReLU that follows overwrites it
    model = algorithm(teacher=classifier(), distiller=cfg)
    assert any(getattr(module, "inplace", False) for module in model.student.modules())
    assert not any(getattr(module, "inplace", False) for module in model.teacher.modules())


def test_pictures_are_prepared_as_in_plain_training_of_the_student():
    given = dict(type="mmpretrain.ClsDataPreprocessor", mean=[7, 7, 7], std=[1, 1, 1])
    model = algorithm(data_preprocessor=given)  # as the runner hands down a config's top-level one
    assert model.data_preprocessor is model.student.data_preprocessor
    assert model.data_preprocessor.mean.flatten().tolist() == [0, 0, 0]
    student = classifier()
    del student["data_preprocessor"]
    del given["type"]  # mmpretrain's base configs have none: the classifier completes it
    model = algorithm(architecture=student, data_preprocessor=given)
    assert model.data_preprocessor.mean.flatten().tolist() == [7, 7, 7]


def test_the_student_is_evaluated_and_not_the_teacher():
    model = algorithm()
    model.eval()
    for parameter in model.teacher.parameters():
        parameter.data.fill_(float("nan"))
    predictions = model.val_step(batch(2))
    assert all(sample.pred_score.isfinite().all() for sample in predictions)


def test_models_can_be_named_by_a_config_file(tmp_path):
    path = tmp_path / "teacher.py"
    path.write_text(f"model = {classifier(8)!r}\n")
    model = algorithm(teacher=str(path))
    assert model.teacher.head.fc.in_features == 64


def test_models_can_be_named_by_a_path_in_a_package():
    model = algorithm(teacher="mmpretrain::resnet/resnet18_8xb16_cifar10.py")
    assert type(model.teacher.backbone).__name__ == "ResNet_CIFAR"
    assert model.teacher.data_preprocessor.mean.flatten().tolist() == pytest.approx([125.307, 122.961, 113.8575])


def test_models_can_be_named_as_mmrazor_does():
    model = algorithm(teacher=dict(cfg_path="mmpretrain::resnet/resnet18_8xb16_cifar10.py", pretrained=False))
    assert type(model.teacher.backbone).__name__ == "ResNet_CIFAR"


def test_teacher_and_student_start_from_their_checkpoints(tmp_path):
    teacher, student = MODELS.build(classifier(8)), MODELS.build(classifier())
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / "teacher.pth")
    torch.save({f"module.{name}": value for name, value in student.state_dict().items()}, tmp_path / "student.pth")
    model = algorithm(teacher_ckpt=str(tmp_path / "teacher.pth"), student_ckpt=str(tmp_path / "student.pth"))
    model.init_weights()  # what the runner does next must not undo it
    for built, loaded in ((teacher, model.teacher), (student, model.student)):
        assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in built.state_dict().items())


def test_a_checkpoint_that_does_not_fit_is_an_error_that_lists_the_keys(tmp_path):
    state = MODELS.build(classifier(8)).state_dict()
    state.pop("head.fc.bias")
    state["head.fc.weight"] = torch.zeros(5, 64)
    torch.save(dict(state_dict=state), tmp_path / "teacher.pth")
    with pytest.raises(CheckpointError) as error:
        algorithm(teacher_ckpt=str(tmp_path / "teacher.pth"))
    assert "model.teacher_ckpt" in str(error.value)
    assert "head.fc.bias (missing)" in str(error.value)
    assert "head.fc.weight ((5, 64) in the file, (3, 64) in the model)" in str(error.value)


@pytest.mark.parametrize(("side", "wrong"), [("student", "head.fx"), ("teacher", "hed.fc")])
def test_a_misspelt_recorder_source_is_answered_with_the_nearest_module(side, wrong):
    broken = distiller()
    broken[f"{side}_recorders"]["logits"]["source"] = wrong
    with pytest.raises(ConfigError) as error:
        algorithm(distiller=broken)
    assert f"model.distiller.{side}_recorders.logits.source = '{wrong}'" in str(error.value)
    assert "did you mean 'head.fc'" in str(error.value)


def test_a_misspelt_config_path_is_answered_with_the_nearest_file(tmp_path):
    (tmp_path / "teacher_r50.py").write_text("model = dict()\n")
    with pytest.raises(ConfigError, match=r"model.teacher = .*did you mean '.*teacher_r50.py'"):
        algorithm(teacher=str(tmp_path / "teacher_r05.py"))


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(MissingPackageError, match="pip install mmpose"):
        algorithm(teacher="mmpose::body_2d_keypoint/some_config.py")
    with pytest.raises(MissingPackageError, match="pip install mmpose"):
        algorithm(teacher=dict(cfg_path="mmpose::body_2d_keypoint/some_config.py"))


def test_something_that_is_no_model_is_refused():
    with pytest.raises(ConfigError, match=r"model.architecture = 'Linear'"):
        algorithm(architecture=nn.Linear(2, 2))
