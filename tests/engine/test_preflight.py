"""A user's mistake is named before anything is built; a config that works is never refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.run_content import run_content
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope

from mmdist.engine.config import load_config
from mmdist.engine.preflight import preflight
from mmdist.engine.preflight.checkpoints import check_checkpoints
from mmdist.engine.preflight.data import check_data
from mmdist.engine.preflight.model import check_model
from mmdist.engine.preflight.run import check_run
from mmdist.errors import CheckpointError, ConfigError, MissingPackageError, MMDistError

DISTILLER = "model.distiller"
MAPPING = f"{DISTILLER}.loss_forward_mappings.loss_dist"


def check(cfg: Config, *splits: str) -> None:
    cfg.setdefault("work_dir", "nowhere")
    preflight(cfg, splits or ("train", "val"))


def with_value(key: str, value: Any) -> Callable[[Config], None]:
    return lambda cfg: cfg.merge_from_dict({key: value})


def with_base(base: dict[str, Any]) -> Callable[[Config], None]:
    """SDD in DIST's place, with this loss of a region."""

    def change(cfg: Config) -> None:
        cfg.model.distiller.distill_losses.loss_dist = {"type": "mmdist.SDDLoss", "base": base}

    return change


def without(key: str) -> Callable[[Config], None]:
    def change(cfg: Config) -> None:
        *parents, last = key.split(".")
        node = cfg
        for name in parents:
            node = node[name]
        del node[last]

    return change


def test_good_configs_pass(plain: Config, distill: Config) -> None:
    check(plain, "train", "val", "test")
    check(distill, "train", "val", "test")


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        (with_value("model.type", "mmdist.SingleTeacherDistil"), "model.type", "mmdist.SingleTeacherDistill"),
        (with_value("model.type", "SingleTeacherDistill"), "model.type", "mmdist.SingleTeacherDistill"),
        (with_value("model.teachr_ckpt", "a.pth"), "model.teachr_ckpt", "teacher_ckpt"),
        (with_value("model.architecture.backbone.type", "ResNet_CIFA"), "backbone.type", "ResNet_CIFAR"),
        (with_value("model.architecture.backbone.norm_cfg.type", "SynBN"), "norm_cfg.type", "SyncBN"),
        (with_value("model.architecture.head.loss.type", "CrosEntropyLoss"), "head.loss.type", "CrossEntropyLoss"),
        (with_value("model.teacher", "plain_.py"), "model.teacher", "config file"),
        (with_value(f"{DISTILLER}.type", "ConfigurableDistiller"), "distiller.type", "mmrazor.ConfigurableDistiller"),
        (with_value(f"{DISTILLER}.connector", {}), "distiller.connector", "connectors"),
        (
            with_value(f"{DISTILLER}.distill_losses.loss_dist.type", "mmdist.DistLoss"),
            "distill_losses.loss_dist.type",
            "mmdist.DISTLoss",
        ),
        (
            with_value(f"{DISTILLER}.distill_losses.loss_dist.inter_weigth", 2.0),
            "distill_losses.loss_dist.inter_weigth",
            "inter_loss_weight",
        ),
        (
            with_base({"type": "mmdist.KDLos"}),
            "distill_losses.loss_dist.base.type",
            "mmdist.KDLoss",
        ),
        (
            with_base({"type": "mmdist.KDLoss", "taus": 4.0}),
            "distill_losses.loss_dist.base.taus",
            "tau",
        ),
        (
            with_value(f"{DISTILLER}.student_recorders.logits.type", "ModuleOutputs"),
            "student_recorders.logits.type",
            "mmrazor.ModuleOutputs",
        ),
        (
            with_value(f"{DISTILLER}.student_recorders.logits.type", "mmrazor.ModuleOutput"),
            "student_recorders.logits.type",
            "mmrazor.ModuleOutputs",
        ),
        (
            with_value(f"{DISTILLER}.teacher_recorders.logits.sources", "head"),
            "teacher_recorders.logits.sources",
            "source",
        ),
        (
            with_value(f"{DISTILLER}.connectors", {"conv": {"type": "mmrazor.ConvConnector"}}),
            "connectors.conv.type",
            "ConvModuleConnector",
        ),
        (
            with_value(f"{DISTILLER}.connectors", {"conv": {"type": "mmrazor.ConvModuleConnector", "in_channel": 1}}),
            "connectors.conv",
            "out_channel",
        ),
        (with_value(MAPPING.replace("loss_dist", "loss_dst"), {}), "loss_dst", "loss_dist"),
        (with_value(f"{MAPPING}.logit_S", {}), f"{MAPPING}.logit_S", "logits_S"),
        (without(f"{MAPPING}.logits_T"), MAPPING, "logits_T"),
        (with_value(f"{MAPPING}.logits_S.recorder", "logit"), f"{MAPPING}.logits_S.recorder", "logits"),
        (without(f"{MAPPING}.logits_S.from_student"), f"{MAPPING}.logits_S", "from_student"),
        (with_value(f"{MAPPING}.logits_S.from_student", "yes"), f"{MAPPING}.logits_S.from_student", "True or False"),
        (with_value(f"{MAPPING}.logits_S.connector", "conv"), f"{MAPPING}.logits_S.connector", "connectors"),
        (with_value(f"{MAPPING}.logits_S.data_index", 0), f"{MAPPING}.logits_S.data_index", "data_idx"),
    ],
)
def test_a_mistake_in_a_distiller_is_answered_with_key_and_nearest_spelling(
    distill: Config, change: Callable[[Config], None], key: str, meant: str
) -> None:
    change(distill)
    with pytest.raises(ConfigError) as caught:
        check(distill)
    message = str(caught.value)
    assert key in message.partition(" = ")[0], message
    assert meant in message.partition(" = ")[2], message


def test_a_mistake_in_the_config_of_a_teacher_is_found_behind_its_path(distill: Config, tmp_path: Path) -> None:
    text = (tmp_path / "plain.py").read_text().replace("'LinearClsHead'", "'LinearClasHead'")
    (tmp_path / "plain.py").write_text(text)
    with pytest.raises(ConfigError, match=r"model\.teacher \(.*plain\.py\): model\.head\.type.*'LinearClsHead'"):
        check(distill)


def test_a_recorder_of_the_other_model_is_pointed_out(distill: Config) -> None:
    distill.merge_from_dict({f"{MAPPING}.logits_S.from_student": False})
    distill.model.distiller.teacher_recorders = {}
    with pytest.raises(ConfigError, match=r"logits_S\.recorder.*student_recorders: from_student=True"):
        check(distill)


@pytest.mark.parametrize("key", ["default_scope", "model.architecture.type"])
def test_a_task_library_that_is_not_installed_is_named(distill: Config, key: str) -> None:
    distill.merge_from_dict({key: "mmpose" if key == "default_scope" else "mmpose.TopdownPoseEstimator"})
    with pytest.raises(MissingPackageError, match="pip install mmpose"):
        check(distill)


def test_the_old_name_of_mmpretrain_is_answered_with_the_new_one(distill: Config) -> None:
    distill.model.architecture.type = "mmcls.ImageClassifier"
    with pytest.raises(MMDistError, match="write mmpretrain"):
        check(distill)


def test_a_stock_mmrazor_config_with_a_scope_passes(distill: Config) -> None:
    distill.model._scope_ = "mmrazor"
    distill.model.type = "SingleTeacherDistill"
    del distill.model.random_teacher
    distill.model.teacher = distill.model.architecture
    distill.model.architecture.type = distill.model.teacher.type = "mmpretrain.ImageClassifier"
    distill.model.architecture._scope_ = "mmpretrain"
    distill.model.distiller.type = "ConfigurableDistiller"
    for side in ("student_recorders", "teacher_recorders"):
        distill.model.distiller[side].logits.type = "ModuleOutputs"
    check(distill)


@pytest.mark.parametrize(
    "name",
    [
        "mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py",
        "mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py",
        "mmdet::retinanet/retinanet_r18_fpn_1x_coco.py",
        "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
        "mmpretrain::resnet/resnet18_8xb32_in1k.py",
        "mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py",
        "mmdet::yolox/yolox_s_8xb8-300e_coco.py",  # transforms of a wrapper, hooks of its own
        "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py",
        "mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py",  # several pipelines in one
        "mmdet::albu_example/mask-rcnn_r50_fpn_albu-1x_coco.py",  # transforms of another library
        "mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py",  # a hook that switches the pipeline
        "mmseg::knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512.py",
        "mmseg::dnlnet/dnl_r50-d8_4xb2-80k_cityscapes-769x769.py",  # a factor that mmengine does not know
        "mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py",
        "mmpretrain::deit3/deit3-base-p16_64xb64_in1k.py",  # policies inside a transform
        "mmpretrain::csra/resnet101-csra_1xb16_voc07-448px.py",  # several metrics
    ],
)
def test_configs_of_the_task_libraries_are_not_refused(name: str) -> None:
    pytest.importorskip(name.partition("::")[0])
    cfg = load_config(name)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        check_model(cfg)
        check_run(cfg, tuple(split for split in ("train", "val", "test") if cfg.get(f"{split}_cfg") is not None))


def test_missing_data_is_named_once_with_the_keys_to_change(plain: Config, tmp_path: Path) -> None:
    plain.train_dataloader.dataset.data_root = plain.val_dataloader.dataset.data_root = str(tmp_path / "gone")
    with pytest.raises(MMDistError) as caught:
        check(plain)
    message = str(caught.value)
    assert message.count(f"'{tmp_path / 'gone'}'") == 1
    assert "--cfg-options train_dataloader.dataset.data_root=... val_dataloader.dataset.data_root=..." in message


def test_a_missing_folder_below_the_root_is_named_with_its_own_key(plain: Config, tmp_path: Path) -> None:
    plain.train_dataloader.dataset.data_prefix = "img"
    with pytest.raises(MMDistError, match=r"train_dataloader\.dataset\.data_prefix: '.*/data/img' does not exist"):
        check(plain)


def test_missing_data_is_found_inside_wrappers(plain: Config) -> None:
    inner = dict(plain.train_dataloader.dataset, data_root="gone")
    concat = {"type": "ConcatDataset", "datasets": [plain.train_dataloader.dataset, inner]}
    plain.train_dataloader.dataset = {"type": "RepeatDataset", "times": 2, "dataset": concat}
    with pytest.raises(MMDistError, match=r"train_dataloader\.dataset\.dataset\.datasets\.1\.data_root"):
        check(plain)


def test_splits_that_are_not_used_need_no_data(plain: Config) -> None:
    plain.test_dataloader = {"dataset": dict(plain.train_dataloader.dataset, data_root="gone")}
    check(plain, "train", "val")


@pytest.mark.parametrize(
    "change",
    [
        {"data_root": "s3://bucket/data"},
        {"data_root": "gone", "pipeline": [{"type": "LoadImageFromFile", "backend_args": {"backend": "petrel"}}]},
        {"type": "MNIST", "data_root": "gone", "data_prefix": "", "test_mode": False},
        {"type": "mmpretrain.CIFAR10", "data_root": "gone", "data_prefix": ""},
        {"type": "SomebodysOwnDataset", "data_root": "gone"},
    ],
)
def test_data_that_is_not_local_or_not_understood_is_left_alone(plain: Config, change: dict) -> None:
    plain.train_dataloader.dataset = dict(plain.train_dataloader.dataset, **change)
    check_data(plain, ("train",))


def test_label_maps_are_needed_only_where_they_are_loaded(tmp_path: Path) -> None:
    pytest.importorskip("mmseg")
    (tmp_path / "img").mkdir()
    dataset = {
        "type": "BaseSegDataset",
        "data_root": str(tmp_path),
        "data_prefix": {"img_path": "img", "seg_map_path": "ann"},
        "pipeline": [{"type": "LoadImageFromFile"}],
    }
    cfg = Config(
        {"default_scope": "mmseg", "model": {"type": "EncoderDecoder"}, "train_dataloader": {"dataset": dataset}}
    )
    check_data(cfg, ("train",))
    cfg.train_dataloader.dataset.data_prefix.depth = "gone"  # nobody knows what reads it
    check_data(cfg, ("train",))
    cfg.train_dataloader.dataset.pipeline.append({"type": "LoadAnnotations"})
    with pytest.raises(MMDistError, match=r"data_prefix\.seg_map_path"):
        check_data(cfg, ("train",))


def test_a_missing_annotation_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    (tmp_path / "images").mkdir()
    dataset = {
        "type": "CocoDataset",
        "data_root": f"{tmp_path}/",
        "ann_file": "a.json",
        "data_prefix": {"img": "images/"},
    }
    cfg = Config({"default_scope": "mmdet", "model": {"type": "RetinaNet"}, "train_dataloader": {"dataset": dataset}})
    with pytest.raises(MMDistError, match=r"train_dataloader\.dataset\.ann_file: '.*a\.json' does not exist"):
        check_data(cfg, ("train",))


@pytest.mark.parametrize("key", ["load_from", "model.teacher_ckpt", "model.student_ckpt"])
def test_weights_that_do_not_exist_are_named_with_their_key(distill: Config, key: str) -> None:
    distill.merge_from_dict({key: "gone.pth"})
    with pytest.raises(CheckpointError, match=rf"{key} = 'gone\.pth'"):
        check(distill)


def test_a_truncated_checkpoint_is_refused(distill: Config, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, whole)
    cut.write_bytes(whole.read_bytes()[:2000])
    distill.model.teacher_ckpt = str(cut)
    with pytest.raises(CheckpointError, match=r"model\.teacher_ckpt.*cut short or damaged"):
        check(distill)


def test_a_hostile_checkpoint_is_refused_and_not_run(distill: Config, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "was_here",))

    torch.save({"state_dict": Hostile()}, tmp_path / "hostile.pth")
    distill.load_from = str(tmp_path / "hostile.pth")
    with pytest.raises(CheckpointError, match=r"load_from.*hostile\.pth"):
        check(distill)
    assert not (tmp_path / "was_here").exists()


def test_weights_alone_are_no_run_to_resume(plain: Config, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "weights.pth")
    plain.load_from = str(tmp_path / "weights.pth")
    check(plain)
    plain.resume = True
    with pytest.raises(CheckpointError, match=r"--resume.*weights only.*load_from"):
        check(plain)


@pytest.mark.parametrize("name", ["optimizer", "param_schedulers", "message_hub", "meta", "meta.iter", "meta.epoch"])
def test_a_checkpoint_that_lacks_what_a_run_needs_is_not_resumed(plain: Config, tmp_path: Path, name: str) -> None:
    content = run_content({"a": torch.zeros(1)})
    part, _, key = name.partition(".")
    if key:
        del content[part][key]
    else:
        del content[part]
    torch.save(content, tmp_path / "best_acc_epoch_1.pth")
    plain.load_from = str(tmp_path / "best_acc_epoch_1.pth")
    plain.param_scheduler = [dict(type="MultiStepLR", milestones=[1])]
    check(plain)
    plain.resume = True
    with pytest.raises(CheckpointError, match=r"--resume.*best_acc_epoch_1\.pth.*load_from") as caught:
        check(plain)
    assert name in str(caught.value) or part == "meta" or "weights only" in str(caught.value)


def test_a_run_without_a_schedule_needs_none_to_go_on(plain: Config, tmp_path: Path) -> None:
    content = run_content({"a": torch.zeros(1)})
    del content["param_schedulers"]
    torch.save(content, tmp_path / "epoch_1.pth")
    plain.load_from, plain.resume = str(tmp_path / "epoch_1.pth"), True
    check(plain)


def test_weights_in_the_format_of_safetensors_are_no_run_to_resume(plain: Config, tmp_path: Path) -> None:
    pytest.importorskip("safetensors.torch").save_file({"a": torch.zeros(1)}, tmp_path / "student.safetensors")
    plain.load_from, plain.resume = str(tmp_path / "student.safetensors"), True
    with pytest.raises(CheckpointError, match=r"--resume.*weights only.*load_from"):
        check(plain)


def test_remote_weights_are_left_alone(distill: Config) -> None:
    distill.model.teacher_ckpt = "https://example.com/a.pth"
    distill.load_from = "torchvision://resnet50"
    check(distill)


def test_a_checkpoint_of_mmrazors_class_is_not_resumed(plain: Config, tmp_path: Path) -> None:
    path = tmp_path / "iter_10.pth"
    weights = {"architecture.head.fc.bias": torch.zeros(3), "teacher.head.fc.bias": torch.zeros(3)}
    torch.save(run_content(weights), path)
    plain.load_from, plain.resume = str(path), True
    plain.model = dict(type="mmdist.SingleTeacherDistill", architecture=plain.model, teacher=plain.model)
    with pytest.raises(CheckpointError, match=r"--resume.*is MMRazor's: the teacher is among its weights.*load_from"):
        check_checkpoints(plain)
    plain.model.type = "mmrazor.SingleTeacherDistill"
    check_checkpoints(plain)


def test_classes_in_the_place_of_names_are_looked_into_too(plain: Config) -> None:
    from mmengine.dataset import DefaultSampler
    from mmengine.hooks import EMAHook, LoggerHook
    from mmpretrain.datasets import CustomDataset

    plain.train_dataloader.dataset.type = CustomDataset
    plain.train_dataloader.sampler.type = DefaultSampler
    plain.custom_hooks = [dict(type=EMAHook, momentum=0.1), dict(type=LoggerHook, interval=2, priority="LOW")]
    check(plain)
    plain.custom_hooks[1]["intervall"] = 3
    with pytest.raises(ConfigError, match=r"custom_hooks\.1\.intervall = 3: .*'interval'"):
        check(plain)


def test_a_class_of_the_users_own_may_take_anything(plain: Config) -> None:
    class Own(Hook):
        def __init__(self, interval: int = 1, **kwargs: Any) -> None:
            self.rest = kwargs

    plain.custom_hooks = [dict(type=Own, intervals=3)]
    check(plain)


def test_a_scope_inside_a_part_is_where_its_types_are_looked_for(plain: Config) -> None:
    plain.val_evaluator = dict(type="Accuracy", _scope_="mmpretrain", topk=(1,))
    plain.default_scope = "mmpretrain"
    check(plain)
    plain.val_evaluator = [dict(type="IoUMetric")]
    with pytest.raises(ConfigError, match=r"val_evaluator\.0\.type = 'IoUMetric'"):
        check(plain)
    for metric in (dict(type="IoUMetric", _scope_="mmseg"), dict(type="mmseg.IoUMetric")):
        plain.val_evaluator = [metric]
        check(plain)
