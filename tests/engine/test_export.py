"""The exported student: the same numbers under plain names, in the hands of its own library."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_run import write_run
from helpers.tiny_students import META, STUDENTS, build_algorithm, distill_config, plain_config, write_checkpoint
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import DefaultScope

from mmdist.engine.config import load_config
from mmdist.engine.export import export_student, main, recorded, write
from mmdist.engine.export.student import student_from_checkpoint
from mmdist.engine.export.verify import compare_models
from mmdist.engine.export.weights import pick_student
from mmdist.engine.runner import build_runner
from mmdist.errors import CheckpointError, ConfigError, MissingPackageError, MMDistError
from mmdist.version import __version__

PLAIN = {"backbone.weight": torch.ones(2)}


def student_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.partition(".")[2]: value for name, value in state.items() if name.startswith("architecture.")}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """The state dict of a classifier under a teacher."""
    return build_algorithm("classifier").state_dict()


@pytest.fixture
def saved(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    """Its checkpoint."""
    return write_checkpoint(tmp_path / "run.pth", "classifier", weights)


def detect(config: str, out: str, algorithm: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    from mmdet.apis import inference_detector, init_detector

    exported = init_detector(config, out, device="cpu")
    assert exported.dataset_meta["classes"] == META["classes"]
    algorithm.cfg = exported.cfg
    found = [inference_detector(model, picture()).pred_instances for model in (exported, algorithm)]
    assert len(found[0])
    return tuple([part.bboxes, part.scores, part.labels] for part in found)


def segment(config: str, out: str, algorithm: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    from mmseg.apis import inference_model, init_model

    exported = init_model(config, out, device="cpu")
    assert exported.dataset_meta == META
    algorithm.cfg = exported.cfg
    return tuple([inference_model(model, picture()).seg_logits.data] for model in (exported, algorithm))


def classify(config: str, out: str, algorithm: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    from mmpretrain import ImageClassificationInferencer

    algorithm._config = Config.fromfile(config)
    exported = ImageClassificationInferencer(config, pretrained=out, device="cpu")
    assert exported.classes == META["classes"]
    both = (exported, ImageClassificationInferencer(algorithm))
    return tuple([each(picture(), return_datasamples=True)[0].pred_score] for each in both)


@pytest.mark.parametrize(("name", "predict"), [("detector", detect), ("segmentor", segment), ("classifier", classify)])
def test_the_plain_task_config_predicts_as_the_distiller_did(name: str, predict: Callable, tmp_path: Path) -> None:
    algorithm = build_algorithm(name)
    run = write_checkpoint(tmp_path / "run.pth", name, algorithm.state_dict())
    report = export_student(str(run), str(tmp_path / "student.pth"), trust_config=True)
    plain_config(name).dump(tmp_path / "plain.py")
    with DefaultScope.overwrite_default_scope(STUDENTS[name][0]):
        exported, expected = predict(str(tmp_path / "plain.py"), str(tmp_path / "student.pth"), algorithm)
    assert all(torch.equal(a, b) for a, b in zip(exported, expected, strict=True))
    assert "bit for bit" in report.verified
    assert report.library == STUDENTS[name][0]
    assert report.parameters == sum(value.numel() for value in algorithm.architecture.parameters())


def test_a_two_stage_detector_is_verified_too(tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "run.pth", "two_stage", build_algorithm("two_stage").state_dict())
    assert export_student(str(run), str(tmp_path / "student.pth"), trust_config=True).verified.endswith(
        "equal bit for bit (tensor)"
    )


def test_a_detector_that_finds_nothing_is_compared_by_its_features(tmp_path: Path) -> None:
    algorithm = build_algorithm("two_stage")
    algorithm.architecture.rpn_head.rpn_reg.bias.data.fill_(-1e6)  # boxes of no size
    run = write_checkpoint(tmp_path / "run.pth", "two_stage", algorithm.state_dict())
    assert export_student(str(run), str(tmp_path / "student.pth"), trust_config=True).verified.endswith(
        "(features alone)"
    )


@pytest.fixture(scope="module")
def ema_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, dict]:
    """A real run with EMAHook: its checkpoint, and the two sets of weights as they were in memory."""
    folder = tmp_path_factory.mktemp("ema_run")
    write_run(folder)
    cfg = load_config(str(folder / "distill.py"))
    cfg.work_dir, cfg.launcher = str(folder / "run"), "none"
    cfg.custom_hooks = [dict(type="EMAHook", momentum=0.3)]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        runner = build_runner(cfg)
        runner.train()
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    trained = student_of(runner.model.state_dict())
    average = student_of(hook.ema_model.module.state_dict())
    assert not equal(trained, average)
    return folder / "run" / "epoch_1.pth", trained, average


@pytest.mark.parametrize(("ema", "kind"), [(None, "ema"), (True, "ema"), (False, "trained")])
def test_average_and_trained_weights_are_told_apart(
    ema_run: tuple, ema: bool | None, kind: str, tmp_path: Path
) -> None:
    run, trained, average = ema_run
    export_student(str(run), str(tmp_path / "student.pth"), ema=ema)
    content = torch.load(tmp_path / "student.pth", weights_only=True)  # the stock loader needs no help
    assert equal(content["state_dict"], average if kind == "ema" else trained)
    assert content["meta"] == dict(
        dataset_meta=dict(classes=("dark", "light")), epoch=1, iter=4, weights=kind, mmdist_version=__version__
    )
    assert set(content) == {"meta", "state_dict"}


def test_a_run_without_an_average_cannot_give_one(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--ema = .*EMAHook"):
        export_student(str(saved), str(tmp_path / "student.pth"), ema=True)


def test_an_average_that_has_not_begun_is_none() -> None:
    weights = {"architecture.a": torch.ones(1)}
    average = {"steps": torch.tensor(0), "module.architecture.a": torch.ones(1)}
    content = dict(state_dict=weights, ema_state_dict=average)
    assert pick_student(content, "run.pth").kind == "trained"
    with pytest.raises(ConfigError, match="has not begun"):
        pick_student(content, "run.pth", ema=True)


def test_nothing_but_the_student_is_written(tmp_path: Path) -> None:
    algorithm = build_algorithm("classifier")
    student = {f"architecture.{name}": value for name, value in algorithm.architecture.state_dict().items()}
    other = {"teacher.fc.weight": torch.ones(2), "teacher.fc.bias": torch.ones(2), "acclimated.0": torch.ones(1)}
    other["distiller.connectors.a.conv.weight"] = torch.ones(1)
    # as a wrapped model has them
    state = OrderedDict((f"module.{name}", value) for name, value in (student | other).items())
    state._metadata = OrderedDict(
        (f"module.{name}".rstrip("."), version) for name, version in algorithm.state_dict()._metadata.items()
    )
    run = write_checkpoint(tmp_path / "run.pth", "classifier", state, message_hub=dict(), param_schedulers=[])
    report = export_student(str(run), str(tmp_path / "student.pth"))
    content = torch.load(tmp_path / "student.pth", weights_only=True)
    assert equal(content["state_dict"], algorithm.architecture.state_dict())
    assert report.dropped == dict(teacher=2, acclimated=1, distiller=1)
    assert report.left_out == ["optimizer", "message_hub", "param_schedulers"]
    assert (report.bytes_before, report.bytes_after) == (run.stat().st_size, report.out.stat().st_size)
    assert content["state_dict"]._metadata["backbone.bn1"] == {"version": 2}
    assert not any(name.startswith(("architecture", "module")) for name in content["state_dict"]._metadata)


def test_a_view_does_not_take_along_what_it_is_a_view_of(tmp_path: Path) -> None:
    state = {"architecture.a": torch.zeros(1_000_000)[:2]}
    run = write_checkpoint(tmp_path / "run.pth", "classifier", state)
    assert export_student(str(run), str(tmp_path / "student.pth"), verify=False).bytes_after < 5000


@pytest.mark.parametrize("kind", ["distiller", "plain"])
def test_a_config_can_be_given_in_place_of_the_recorded_one(kind: str, tmp_path: Path) -> None:
    run = tmp_path / "run.pth"
    torch.save(dict(state_dict=build_algorithm("segmentor").state_dict()), run)
    with pytest.raises(CheckpointError, match=r"no config in it.*--config"):
        export_student(str(run), str(tmp_path / "student.pth"), trust_config=True)
    cfg = distill_config("segmentor") if kind == "distiller" else plain_config("segmentor")
    cfg.dump(tmp_path / "given.py")
    report = export_student(str(run), str(tmp_path / "student.pth"), config=str(tmp_path / "given.py"))
    assert "bit for bit" in report.verified


def test_unverified_needs_no_config(tmp_path: Path) -> None:
    run = tmp_path / "run.pth"
    torch.save(dict(state_dict=build_algorithm("classifier").state_dict()), run)
    report = export_student(str(run), str(tmp_path / "student.pth"), verify=False)
    assert (report.verified, report.parameters, report.library) == ("", None, "")
    assert report.out.is_file()


def test_a_config_of_another_student_is_answered_with_the_keys(saved: Path, tmp_path: Path) -> None:
    cfg = plain_config("classifier")
    cfg.model.head.num_classes = 5
    cfg.model.backbone.base_channels = 8
    cfg.dump(tmp_path / "other.py")
    with pytest.raises(CheckpointError, match=r"backbone.layer1.0.conv1.weight \(\(4, 4, 3, 3\) in the file, \(8, 4"):
        export_student(str(saved), str(tmp_path / "student.pth"), config=str(tmp_path / "other.py"), verify=False)
    content = torch.load(saved)
    del content["state_dict"]["architecture.head.fc.bias"]
    content["state_dict"]["architecture.head.extra"] = torch.ones(1)
    torch.save(content, saved)
    with pytest.raises(CheckpointError, match=r"head.fc.bias \(missing\), head.extra \(not in the model\)"):
        export_student(str(saved), str(tmp_path / "student.pth"), trust_config=True)
    assert not (tmp_path / "student.pth").exists()


def test_a_plain_checkpoint_has_no_student(tmp_path: Path) -> None:
    torch.save(dict(state_dict=PLAIN), tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match=r"no student.*needs no export"):
        export_student(str(tmp_path / "plain.pth"), str(tmp_path / "student.pth"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dict(state_dict={}), "no weights"),
        (dict(state_dict={"architecture.a": "text"}), "is no tensor"),
        (dict(state_dict={"architecture.a": torch.tensor([1.0, float("nan")])}), "NaN in 1 of 1.*architecture.a"),
    ],
)
def test_weights_that_are_none_are_refused(content: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        pick_student(content, "run.pth")


def test_a_damaged_or_missing_checkpoint_is_said_to_be_so(saved: Path, tmp_path: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="cut short"):
        export_student(str(saved), str(tmp_path / "student.pth"))
    with pytest.raises(CheckpointError, match=r"does not exist; .*run\.pth"):
        export_student(str(tmp_path / "rum.pth"), str(tmp_path / "student.pth"))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("student.pt", r"\.pth or \.safetensors; did you mean '.*student\.pth'"),
        ("student.safetensor", r"did you mean '.*student\.safetensors'"),
        ("student", r"\.pth or \.safetensors"),
        ("no/student.pth", "there is no folder"),
        (".", "this is a folder"),
        ("run.pth", "would be lost"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_first(saved: Path, out: str, message: str, tmp_path: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(ConfigError, match=message):
        export_student(str(saved), str(tmp_path / out))
    assert saved.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.pth"]


def test_safetensors_without_its_package_says_what_to_install(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install safetensors"):
        export_student(str(saved), str(tmp_path / "student.safetensors"))


def test_safetensors_holds_the_same_numbers_and_says_what_they_are(saved: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    from safetensors.torch import load_file

    out = tmp_path / "student.safetensors"
    assert "bit for bit" in export_student(str(saved), str(out)).verified
    assert equal(load_file(out), student_of(torch.load(saved)["state_dict"]))
    with safetensors.safe_open(out, "pt") as file:
        assert file.metadata()["epoch"] == "3"
        assert '"classes": ["square", "round", "other"]' in file.metadata()["dataset_meta"]


def test_a_written_file_that_differs_in_one_number_never_gets_the_name(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "student.pth").write_bytes(b"before")

    def wrong(state: OrderedDict, *rest: Any) -> bytes:
        changed = OrderedDict((name, value.clone()) for name, value in state.items())
        changed["head.fc.bias"][0] += 1e-6
        return write.to_bytes(changed, *rest)

    monkeypatch.setattr(main, "to_bytes", wrong)
    with pytest.raises(CheckpointError, match=r"1 tensors differ, first head\.fc\.bias"):
        export_student(str(saved), str(tmp_path / "student.pth"))
    assert (tmp_path / "student.pth").read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["run.pth", "student.pth"]


def test_models_that_compute_something_else_are_told_apart() -> None:
    one, other = (build_algorithm("segmentor").architecture for _ in range(2))
    other.load_state_dict(one.state_dict())
    assert "1x3x48x48" in compare_models(one, other, "a.pth")  # the size that the segmentor pads to
    other.decode_head.conv_seg.register_forward_hook(lambda module, inputs, output: output * (1 + 2**-20))
    with pytest.raises(CheckpointError, match=r"a\.pth.*computes something else"):
        compare_models(one, other, "a.pth")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_an_interrupted_write_keeps_what_was_there(
    failing: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "student.pth").write_bytes(b"before")
    monkeypatch.setattr(os, failing, full)
    with pytest.raises(CheckpointError, match=r"student\.pth could not be written: No space left on device"):
        export_student(str(saved), str(tmp_path / "student.pth"), verify=False)
    assert (tmp_path / "student.pth").read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["run.pth", "student.pth"]


def test_a_link_stays_a_link(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "real.pth").write_bytes(b"before")
    (tmp_path / "link.pth").symlink_to("real.pth")
    export_student(str(saved), str(tmp_path / "link.pth"), verify=False)
    assert (tmp_path / "link.pth").is_symlink()
    assert equal(torch.load(tmp_path / "real.pth")["state_dict"], student_of(torch.load(saved)["state_dict"]))


def test_the_recorded_config_is_read_as_mmengine_wrote_it() -> None:
    cfg = distill_config("detector")
    cfg.model.architecture.test_cfg.limits = (float("inf"), -1, None, (0.5,), {"a.b": [dict({"c-d": 1}), ()]})
    assert recorded.read_recorded_config(cfg.pretty_text, "run.pth").model == cfg.model


@pytest.mark.parametrize("form", ["{!r}", "dict(cfg_path={!r}, pretrained=True)"])
def test_a_recorded_student_may_stand_in_a_package(form: str) -> None:
    student = form.format("mmpretrain::resnet/resnet18_8xb16_cifar10.py")
    text = f"model = dict(type='mmdist.SingleTeacherDistill', architecture={student})"
    built = student_from_checkpoint(dict(cfg=text), "run.pth").build()
    assert type(built.backbone).__name__ == "ResNet_CIFAR" and not built.training


def test_types_may_be_written_with_their_whole_path() -> None:
    model = dict(
        type="mmpretrain.models.ImageClassifier", backbone=dict(type="mmpretrain.models.backbones.resnet.ResNet")
    )
    model["head"] = dict(type="mmpretrain.LinearClsHead", act_cfg=dict(type="torch.nn.modules.activation.ReLU"))
    recorded.check_recorded_model(model, "mmpretrain", "run.pth")


HOSTILE = dict(
    call="open('{marker}', 'w')",
    type="dict(type='builtins.open', file='{marker}', mode='w')",
    process="dict(type='ImageClassifier', backbone=dict(type='subprocess.call', args=['touch', '{marker}']))",
    function="dict(type='ImageClassifier', backbone=dict(type='mmengine.fileio.dump', obj=1, file='{marker}.json'))",
    torch="dict(type='ImageClassifier', backbone=dict(type='torch.hub.load', repo_or_dir='{marker}'))",
    module="dict(type='ImageClassifier', backbone=dict(type='antigravity'))",
    main="dict(type='ImageClassifier', backbone=dict(type='__main__'))",
    scope="dict(type='ImageClassifier', _scope_='antigravity')",
    config="dict(type='mmdist.SingleTeacherDistill', architecture='{marker}.py')",
    hub="dict(type='mmdist.SingleTeacherDistill', architecture=dict(cfg_path='evil::{marker}.py'))",
    file="dict(type='ImageClassifier', backbone=dict(type='mmrazor.sub_model', fix_subnet='{marker}.pkl'))",
)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_checkpoint_cannot_run_code_through_its_config(text: str, saved: Path, tmp_path: Path) -> None:
    content = torch.load(saved)
    marker = tmp_path / "marker"
    for suffix in (".py", ".pkl"):
        marker.with_suffix(suffix).write_text(f"open({str(marker)!r}, 'w')")
    before = sorted(os.listdir(tmp_path))
    content["meta"]["cfg"] = f"default_scope = 'mmpretrain'\nmodel = {text.format(marker=marker)}\n"
    torch.save(content, saved)
    with pytest.raises(CheckpointError, match="--config"):
        export_student(str(saved), str(tmp_path / "student.pth"), trust_config=True)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_checkpoint_cannot_import_a_strangers_module(saved: Path, tmp_path: Path) -> None:
    content = torch.load(saved)
    content["meta"]["cfg"] = content["meta"]["cfg"].replace("'mmdist',", "'antigravity',")
    torch.save(content, saved)
    with pytest.raises(CheckpointError, match=r"imports 'antigravity'.*--config"):
        export_student(str(saved), str(tmp_path / "student.pth"), trust_config=True)


def test_a_misspelt_type_in_a_given_config_is_answered_with_the_nearest(saved: Path, tmp_path: Path) -> None:
    cfg = plain_config("classifier")
    cfg.model.backbone.type = "ResNet_CIFER"
    cfg.dump(tmp_path / "given.py")
    with pytest.raises(ConfigError, match=r"backbone.type = 'ResNet_CIFER'.*did you mean 'ResNet_CIFAR'"):
        export_student(str(saved), str(tmp_path / "student.pth"), config=str(tmp_path / "given.py"))
    assert not (tmp_path / "student.pth").exists()


def test_a_student_that_cannot_run_by_itself_is_not_exported_as_verified(saved: Path, tmp_path: Path) -> None:
    cfg = plain_config("classifier")
    cfg.model.backbone.out_indices = (0,)  # the head then meets a width that it is not made for
    cfg.dump(tmp_path / "given.py")
    with pytest.raises(MMDistError, match=r"cannot be verified.*--no-verify"):
        export_student(str(saved), str(tmp_path / "student.pth"), config=str(tmp_path / "given.py"))
    assert not (tmp_path / "student.pth").exists()
