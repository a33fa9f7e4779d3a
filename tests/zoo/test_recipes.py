"""The recipes are the published ones: optimizers as they are built, and the settings of the losses."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from zoo.runs import ROOT, prepare


def read(name: str) -> Config:
    (path,) = (ROOT / "configs").glob(f"*/{name}.py")
    return Config.fromfile(path)


def built(cfg: Config) -> tuple[nn.Module, OptimWrapper]:
    """The student, and the optimizer of its plain training."""
    prepare("mmpretrain")
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        student = MODELS.build(cfg.model.architecture)
        return student, build_optim_wrapper(student, cfg.optim_wrapper)


def decays(student: nn.Module, wrapper: OptimWrapper) -> dict[str, set[float]]:
    """Weight decays of matrices and kernels, and of vectors: biases and norms."""
    rates = {id(p): group["weight_decay"] for group in wrapper.optimizer.param_groups for p in group["params"]}
    kinds: dict[str, set[float]] = dict(kernels=set(), vectors=set())
    for parameter in student.parameters():
        kinds["vectors" if parameter.ndim == 1 else "kernels"].add(rates[id(parameter)])
    return kinds


# optimizer's type, learning rate, decay of kernels and of biases and norms; batch, GPUs, epochs
RECIPES = {
    "dist_resnet34_resnet18_8xb32_100e_in1k": ("SGD", 0.1, 1e-4, 0.0, 32, 8, 100),
    "nkd_resnet34_resnet18_8xb32_100e_in1k": ("SGD", 0.1, 1e-4, 1e-4, 32, 8, 100),
    "sddkd_resnet34_resnet18_2xb256_100e_in1k": ("SGD", 0.2, 1e-4, 1e-4, 256, 2, 100),
    "dist_resnet50-rsb_resnet18_8xb96_450e_in1k": ("RMSprop", 0.048, 1e-5, 0.0, 96, 8, 450),
    "dist_swin-l_swin-t_8xb128_300e_in1k": ("AdamW", 5e-4, 0.05, 0.0, 128, 8, 300),
    "dist_resnet32x4_resnet8x4_1xb64_240e_cifar100": ("SGD", 0.05, 5e-4, 5e-4, 64, 1, 240),
    "dist_resnet32x4_shufflenetv1_1xb64_240e_cifar100": ("SGD", 0.01, 5e-4, 5e-4, 64, 1, 240),
}
STEPS = {100: [30, 60, 90], 240: [150, 180, 210]}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_published_one(name):
    kind, rate, kernels, vectors, batch, gpus, epochs = RECIPES[name]
    cfg = read(name)
    student, wrapper = built(cfg)
    optimizer = wrapper.optimizer
    assert type(optimizer).__name__ == kind
    assert {group["lr"] for group in optimizer.param_groups} == {rate}
    found = decays(student, wrapper)
    assert found["vectors"] == {vectors}
    assert kernels in found["kernels"]
    assert found["kernels"] <= {kernels, 0.0 if kind == "AdamW" else kernels}  # a Swin's tables of positions
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == batch * gpus
    assert cfg.train_cfg.max_epochs == epochs
    if kind == "SGD":
        assert cfg.param_scheduler.milestones == STEPS[epochs]
        assert optimizer.defaults["nesterov"] == name.startswith("dist_resnet34")


def test_the_strong_recipe_decays_every_2_4_epochs_after_three_of_warm_up():
    cfg = read("dist_resnet50-rsb_resnet18_8xb96_450e_in1k")
    warm_up, decay = cfg.param_scheduler
    epoch = 1_281_167 / 768
    assert warm_up.start_factor * cfg.optim_wrapper.optimizer.lr == pytest.approx(1e-6)
    assert warm_up.end == pytest.approx(3 * epoch, rel=1e-3)
    assert decay.step_size == pytest.approx(2.4 * epoch, rel=1e-3)
    assert decay.gamma == 0.97
    assert cfg.model.architecture.head.loss.label_smooth_val == 0.1
    assert cfg.custom_hooks[0].momentum == pytest.approx(1 - 0.9999)
    erasing = [step for step in cfg.train_dataloader.dataset.pipeline if step.type == "RandomErasing"]
    assert [step.erase_prob for step in erasing] == [0.2]


DKD_CIFAR = dict(tau=4.0, alpha=1.0, warmup_epochs=20)
# weight of the student's own loss, and what is given of the distillation loss
SETTINGS = {
    "kd_resnet34_resnet18_8xb32_100e_in1k": (0.9, dict(tau=4.0, loss_weight=1.0)),
    "kd_vgg13_vgg8_1xb64_240e_cifar100": (0.1, dict(tau=4.0, loss_weight=0.9)),
    "dkd_resnet34_resnet18_2xb256_100e_in1k": (1.0, dict(tau=1.0, alpha=1.0, beta=0.5, warmup_epochs=1)),
    "dkd_resnet50_mobilenetv1_2xb256_100e_in1k": (1.0, dict(tau=1.0, alpha=1.0, beta=2.0, warmup_epochs=1)),
    "dkd_vgg13_vgg8_1xb64_240e_cifar100": (1.0, dict(DKD_CIFAR, beta=6.0)),
    "dkd_vgg13_mobilenetv2_1xb64_240e_cifar100": (1.0, dict(DKD_CIFAR, beta=6.0)),
    "dkd_resnet32x4_shufflenetv1_1xb64_240e_cifar100": (1.0, dict(DKD_CIFAR, beta=8.0)),
    "dkd_wrn-40-2_wrn-40-1_1xb64_240e_cifar100": (1.0, dict(DKD_CIFAR, beta=6.0)),
    "dkd_resnet56_resnet20_1xb64_240e_cifar100": (1.0, dict(DKD_CIFAR, beta=2.0)),
    "dkd_swin-l_swin-t_8xb128_300e_in1k": (1.0, dict(tau=1.0, alpha=1.0, beta=0.5, warmup_epochs=1)),
    "kd_resnet50-rsb_efficientnet-b0_8xb96_450e_in1k": (0.9, dict(tau=4.0, loss_weight=1.0)),
    "nkd_wrn-40-2_shufflenetv1_1xb64_240e_cifar100": (1.0, dict(tau=1.0, gamma=1.5)),
    "nkd_resnet50_mobilenetv1_8xb32_100e_in1k": (1.0, dict(tau=1.0, gamma=1.5)),
    "dist_resnet34_resnet18_8xb32_100e_in1k": (1.0, dict(loss_weight=2.0)),
    "dist_resnet56_resnet20_1xb64_240e_cifar100": (1.0, dict(tau=4.0, loss_weight=2.0)),
    "dckd_resnet50_mobilenetv1_2xb256_100e_in1k": (1.0, dict(tau=1.0, alpha=1.0, beta=2.0, warmup_epochs=1)),
    "dckd_resnet32x4_resnet8x4_1xb64_240e_cifar100": (1.0, dict(DKD_CIFAR, beta=8.0)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_logit_loss_has_the_published_settings_of_its_pair(name):
    weight, settings = SETTINGS[name]
    model = read(name).model
    (loss,) = model.distiller.distill_losses.values()
    assert {key: value for key, value in loss.items() if key != "type"} == settings
    assert model.architecture.head.loss.get("loss_weight", 1.0) == weight


@pytest.mark.parametrize("pair", ["resnet34_resnet18_2xb256_100e_in1k", "vgg13_mobilenetv2_1xb64_240e_cifar100"])
@pytest.mark.parametrize("method", ["sdkd", "sddkd", "sdnkd"])
def test_an_sdd_config_has_the_settings_of_its_pair_and_nothing_of_the_others(method, pair):
    cfg = read(f"{method}_{pair}")
    table = Config.fromfile(ROOT / "configs/_base_/distillers/sdd_pairs.py").sdd_pairs
    settings = table["_".join(pair.split("_")[:2])][method]
    assert cfg.model.distiller.connectors.regions == settings.head
    assert cfg.model.distiller.distill_losses == dict(loss_sdd=settings.loss)
    assert cfg.model.architecture.head.loss.loss_weight == settings.ce_weight
    assert not {"sdd_pairs", "sdd_zoo"} & set(cfg)


@pytest.mark.parametrize(
    ("pair", "scales", "beta", "tau"),
    [
        ("resnet50_mobilenetv2_2xb256_100e_in1k", (1, 2, 4), 2.0, 1.0),
        ("resnet50_mobilenetv2_1xb64_240e_cifar100", (1, 2, 4), 8.0, 4.0),
        ("resnet50-rsb_resnet34_8xb96_450e_in1k", (1, 2), 0.5, 1.0),
        ("resnet50-rsb_efficientnet-b0_8xb96_450e_in1k", (1, 2, 4), 2.0, 1.0),
        ("resnet56_resnet20_1xb64_240e_cifar100", (1, 2), 2.0, 4.0),
    ],
)
def test_a_pair_that_is_in_no_table_of_sdd_has_the_settings_of_one_like_it(pair, scales, beta, tau):
    for method, weight in dict(sddkd="beta", sdnkd="gamma").items():
        model = read(f"{method}_{pair}").model
        base = model.distiller.distill_losses.loss_sdd.base
        assert (tuple(model.distiller.connectors.regions.scales), base[weight], base.tau) == (scales, beta, tau)
        assert ("label_smooth_val" in model.architecture.head.loss) == ("rsb" in pair)


def test_the_teachers_rate_is_lower_where_steps_do_not_shrink_with_the_gradient():
    assert {read(name).optim_wrapper.paramwise_cfg.custom_keys.acclimated.lr_mult for name in SGD} == {0.1}
    for name, rate in ADAPTIVE.items():
        cfg = read(name)
        assert cfg.optim_wrapper.paramwise_cfg.custom_keys.acclimated == dict(lr_mult=rate, decay_mult=0.0)
        assert not any(scheduler.get("eta_min") for scheduler in cfg.param_scheduler)  # it would lift the teacher's


SGD = ("distplus_resnet152_resnet34_8xb32_100e_in1k", "distplus_gfl-r101_gfl-r50_8xb2_1x_coco")
ADAPTIVE = {
    "distplus_swin-l_swin-t_8xb128_300e_in1k": 1e-3,
    "distplus_swin-l_resnet50_8xb96_450e_in1k": 1e-2,
    "distplus_segformer-b3_segformer-b0_8xb2_160k_ade20k": 1e-2,
    "distplus_rtmdet-l_rtmdet-s_8xb32_300e_coco": 1e-4,
}


@pytest.mark.parametrize(
    ("name", "tau"),
    [
        ("distplus_resnet34_resnet18_8xb32_100e_in1k", 1.0),
        ("distplus_resnet56_resnet20_1xb64_240e_cifar100", 4.0),
    ],
)
def test_dist_plus_has_the_published_weights_and_one_tau(name, tau):
    losses = read(name).model.distiller.distill_losses
    assert [loss.loss_weight for loss in losses.values()] == [2.0, 1.0, 1.0, 1.0]
    assert {losses[key].get("tau", 1.0) for key in ("loss_dist", "loss_teacher")} == {tau}
