"""The configs of the CIFAR-100 distillation tables: networks, data and schedule."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from mmengine.runner import Runner

BASE = Path(__file__).parents[2] / "configs" / "_base_"
DATA, SCHEDULE = BASE / "datasets" / "cifar100_bs64.py", BASE / "schedules" / "cifar_240e.py"
# with 100 classes, as in the original code
PARAMETERS = {
    "resnet8": 83_892,
    "resnet14": 181_108,
    "resnet20": 278_324,
    "resnet32": 472_756,
    "resnet44": 667_188,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet32x4": 7_433_860,
    "resnet50": 23_705_252,
    "wrn_16_1": 180_916,
    "wrn_16_2": 703_284,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "vgg8": 3_965_028,
    "vgg11": 9_277_284,
    "vgg13": 9_462_180,
    "vgg16": 14_774_436,
    "vgg19": 20_086_692,
    "mobilenetv2": 812_836,
    "shufflenetv1": 949_258,
    "shufflenetv2": 1_355_528,
}
NAMES = sorted(path.stem for path in (BASE / "models" / "cifar").glob("*.py"))


def network(name: str) -> Config:
    return Config.fromfile(BASE / "models" / "cifar" / f"{name}.py")


def build(name: str) -> torch.nn.Module:
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(network(name).model)


def test_every_network_has_a_config_and_its_number_of_parameters():
    assert sorted(PARAMETERS) == NAMES
    counted = {name: sum(parameter.numel() for parameter in build(name).parameters()) for name in NAMES}
    assert counted == PARAMETERS


@pytest.mark.parametrize("name", NAMES)
def test_a_network_scores_100_classes(name):
    model = build(name).eval()
    with torch.no_grad():
        scores = model.head(model.extract_feat(torch.randn(2, 3, 32, 32)))
    assert scores.shape == (2, 100)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_network_and_the_data_agree_on_mean_and_standard_deviation(name):
    own = dict(network(name).model.data_preprocessor)
    assert own.pop("type") == "ClsDataPreprocessor"
    assert own == Config.fromfile(DATA).data_preprocessor
    literature = [(0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)]
    for key, values in zip(("mean", "std"), literature, strict=True):
        assert own[key] == pytest.approx([255 * value for value in values])


@pytest.mark.parametrize(("name", "spread", "bias"), [("resnet8", 1, True), ("wrn_16_1", 1, False), ("vgg8", 0, False)])
def test_a_classifier_starts_as_in_the_original_code(name, spread, bias):
    model = build(name)
    model.init_weights()
    weight, width = model.head.fc.weight.detach(), model.head.in_channels
    # torch's own is uniform up to 1 / sqrt(width); the other is normal
    expected = 1 / (3 * width) ** 0.5 if spread else 0.01
    assert weight.std().item() == pytest.approx(expected, rel=0.05)
    assert bool(model.head.fc.bias.any()) == bias


def test_resnet50_starts_with_residual_branches_that_take_part():
    model = build("resnet50")
    model.init_weights()
    assert all(block.norm3.weight.min() == 1 for block in model.backbone.layer1)


def test_the_learning_rate_falls_after_150_180_and_210_of_240_epochs():
    cfg = Config.fromfile(SCHEDULE)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler, optimizer=optimizer))
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.05] * 150 + [0.005] * 30 + [0.0005] * 30 + [0.00005] * 30)


def write_cifar100(folder: Path, sizes: dict[str, int]) -> None:
    """Files as CIFAR-100 has them, with few pictures."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for split, size in sizes.items():
        pictures = numbers.integers(0, 256, (size, 3 * 32 * 32), dtype=np.uint8)
        content = dict(data=pictures, fine_labels=numbers.integers(0, 100, size).tolist())
        (folder / split).write_bytes(pickle.dumps(content))


def test_network_data_and_schedule_make_a_training_config(tmp_path, monkeypatch):
    from mmpretrain.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "_check_integrity", lambda self: True)  # it knows the true files by their checksums
    write_cifar100(tmp_path / "data" / "cifar-100-python", dict(train=130, test=70))
    bases = [str(BASE / "models" / "cifar" / "resnet8.py"), str(DATA), str(SCHEDULE)]
    bases.append("mmpretrain::_base_/default_runtime.py")
    (tmp_path / "config.py").write_text(f"_base_ = {bases}\n")
    cfg = Config.fromfile(tmp_path / "config.py")
    loaders = [f"{split}_dataloader" for split in ("train", "val", "test")]
    assert [cfg[loader].batch_size for loader in loaders] == [64, 64, 64]
    assert [step["type"] for step in cfg.train_pipeline] == ["RandomCrop", "RandomFlip", "PackInputs"]
    assert (cfg.train_pipeline[0].crop_size, cfg.train_pipeline[0].padding) == (32, 4)
    loader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=str(tmp_path / "data")))
    changes = dict(work_dir=str(tmp_path / "work"), train_cfg=dict(max_epochs=1), log_level="WARNING")
    cfg.merge_from_dict({**changes, **dict.fromkeys(loaders, loader)})
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        runner = Runner.from_cfg(cfg)
        runner.train()
        assert 0 <= runner.test()["accuracy/top1"] <= 100
    assert runner.iter == 3  # 64, 64 and 2 pictures
    group = runner.optim_wrapper.optimizer.param_groups[0]
    assert {key: group[key] for key in ("lr", "momentum", "weight_decay", "nesterov")} == dict(
        lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=False
    )


def test_a_network_named_by_its_path_teaches_another():
    from mmpretrain.structures import DataSample

    config = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=network("shufflenetv1").model,
        teacher=str(BASE / "models" / "cifar" / "resnet8x4.py"),
        random_teacher=True,
        distiller=Config.fromfile(BASE / "distillers" / "dist_fc.py").distiller,
    )
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(config)
        inputs = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in range(4)]
        samples = [DataSample().set_gt_label(label) for label in range(4)]
        batch = model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training=True)
        losses = model(**batch, mode="loss")
    assert losses["distill.loss_dist"] > 0
    losses["distill.loss_dist"].backward()
    assert model.student.backbone.conv1.weight.grad.any()
