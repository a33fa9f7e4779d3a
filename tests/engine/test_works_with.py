"""What trains beside the algorithm: each row of ``docs/en/works_with.md`` is checked here, and no other is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.processes import run_ranks
from helpers.task_runs import build, differing, distilled, plain_run, quickly, student_state, train
from helpers.tiny_models import classifier
from helpers.works_with import final, small, train_unused_on_one_rank
from mmengine.config import Config

from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.preflight import preflight
from mmdist.engine.runner import train as train_safely
from mmdist.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "en" / "works_with.md"
SCOPES = ("mmdet", "mmpretrain", "mmseg")
FLEXIBLE = dict(runner_type="FlexibleRunner", env_cfg=dict(dist_cfg=dict(backend="gloo")))
Check = Callable[[str, Path], None]


def same_as_plain(cfg: Config) -> None:
    """A distillation that weighs nothing trains like the plain config, bit for bit, and does train."""
    plain, run = train(cfg), train(distilled(cfg))
    assert not differing(student_state(run), student_state(plain))
    assert all(value.isfinite().all() for value in student_state(run).values())
    with quickly(cfg.default_scope):
        assert differing(final(build(cfg)), final(run))


def same_as_without(changed: Config, cfg: Config, rtol: float = 1e-4) -> None:
    """A distillation that weighs something trains alike with a change and without it, within rounding."""
    first, second = (final(train(with_kd(each))) for each in (cfg, changed))
    torch.testing.assert_close(second, first, rtol=rtol, atol=1e-5)


def with_kd(cfg: Config) -> Config:
    """Under a teacher and a loss of logits that three images do not make ill-conditioned, as a correlation is."""
    cfg = distilled(cfg)
    records = cfg.model.distiller.loss_forward_mappings.pop("loss_dist")
    cfg.model.distiller.distill_losses = dict(loss_kd=dict(type="mmdist.KDLoss"))
    cfg.model.distiller.loss_forward_mappings = dict(
        loss_kd=dict(preds_S=records["logits_S"], preds_T=records["logits_T"])
    )
    return cfg


def autocast(dtype: str) -> Check:
    def check(scope: str, folder: Path) -> None:
        wrapper = dict(type="Autocast", dtype=dtype, optimizer=dict(type="SGD", lr=1e-3))
        same_as_plain(small(scope, folder, optim_wrapper=wrapper))
        run = train(with_kd(small(scope, folder, optim_wrapper=wrapper)))
        assert all(value.isfinite().all() for value in student_state(run).values())

    return check


def accumulative_counts(scope: str, folder: Path) -> None:
    wrapper = dict(accumulative_counts=2, optimizer=dict(type="SGD", lr=1e-3, momentum=0.9))
    same_as_plain(small(scope, folder, iters=5, optim_wrapper=wrapper))


def moving_average(scope: str, folder: Path) -> None:
    cfg = small(scope, folder, custom_hooks=[dict(type="EMAHook", momentum=0.2)])
    averages = []
    for run in (train(cfg), train(distilled(cfg))):
        (hook,) = [hook for hook in run.hooks if type(hook).__name__ == "EMAHook"]
        state = hook.ema_model.module.state_dict()
        averages.append({name.removeprefix("architecture."): value for name, value in state.items()})
    assert not differing(*averages)
    assert differing(averages[1], student_state(run))


def sync_bn(scope: str, folder: Path) -> None:
    cfg = plain_run(scope, folder, iters=2)
    changed = Config(cfg.to_dict())
    cfg.model.backbone.norm_cfg = dict(type="BN", requires_grad=True)
    changed.model.backbone.norm_cfg = dict(type="SyncBN", requires_grad=True)
    both = [distilled(each, weight=1.0) for each in (cfg, changed)]
    adapt_to_cpu(both[1])
    assert not differing(*(student_state(train(each)) for each in both))


def unused_parameters(scope: str, folder: Path) -> None:
    one, two = run_ranks(train_unused_on_one_rank, 2, folder, str(folder))
    names = [name for name in one if "running" not in name and "num_batches" not in name]
    assert not differing(*({name: rank[name] for name in names} for rank in (one, two)))
    assert "backbone.unused.weight" in names


def activation_checkpointing(scope: str, folder: Path) -> None:
    cfg = small(scope, folder, activation_checkpointing=["backbone.stage"])
    same_as_plain(cfg)
    same_as_without(cfg, Config({**cfg.to_dict(), "activation_checkpointing": None}))


def with_cp(scope: str, folder: Path) -> None:
    changes = dict(model=classifier()) if scope == "mmpretrain" else {}
    cfg = plain_run(scope, folder, iters=2, **changes)
    changed = Config(cfg.to_dict())
    changed.model.backbone.with_cp = True
    same_as_without(changed, cfg)


def compiled(scope: str, folder: Path) -> None:
    torch._dynamo.reset()
    cfg = small(scope, folder, iters=2, compile=dict(backend="eager"))
    same_as_without(cfg, Config({**cfg.to_dict(), "compile": False}))


def flexible_runner(scope: str, folder: Path) -> None:
    plain = small(scope, folder)
    plain.merge_from_dict({**FLEXIBLE, "strategy": dict(type="SingleDeviceStrategy"), "launcher": "none"})
    states = []
    for name, cfg in (("plain", plain), ("taught", distilled(plain))):
        cfg.experiment_name, cfg.work_dir = f"{name}_{scope}", str(folder / name)
        with quickly(scope):
            preflight(cfg, ("train",))
            states.append(student_state(train_safely(cfg)))
    assert not differing(*states)
    assert all(value.isfinite().all() for value in states[0].values())


def runner_of(cfg: Config, **attributes: Any) -> SimpleNamespace:
    """As much of a runner as a hook asks for."""
    with quickly(cfg.default_scope):
        model = build(distilled(cfg)).model
    loader = SimpleNamespace(dataset=SimpleNamespace(update_skip_type_keys=lambda keys: None))
    log = SimpleNamespace(info=lambda text: None)
    return SimpleNamespace(
        **{**dict(model=model, train_dataloader=loader, logger=log, epoch=7, max_epochs=8), **attributes}
    )


def yolox_mode_switch(scope: str, folder: Path) -> None:
    from mmdet.engine.hooks import YOLOXModeSwitchHook

    runner = runner_of(small(scope, folder))
    YOLOXModeSwitchHook(num_last_epochs=5).before_train_epoch(runner)
    assert runner.model.architecture.bbox_head.use_l1 is True


def set_epoch_info(scope: str, folder: Path) -> None:
    from mmdet.engine.hooks import SetEpochInfoHook

    runner, seen = runner_of(small(scope, folder)), []
    runner.model.architecture.set_epoch = seen.append
    SetEpochInfoHook().before_train_epoch(runner)
    assert seen == [7]


def switch_recipe(scope: str, folder: Path) -> None:
    smooth = dict(type="LabelSmoothLoss", label_smooth_val=0.1)
    schedule = [dict(action_epoch=2, batch_augments=None, loss=smooth)]
    cfg = small(scope, folder, custom_hooks=[dict(type="SwitchRecipeHook", schedule=schedule)])
    cfg.train_cfg = dict(by_epoch=True, max_epochs=2)
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    same_as_plain(cfg)
    without = Config({**cfg.to_dict(), "custom_hooks": []})
    assert differing(final(train(distilled(cfg))), final(train(distilled(without))))


def precise_bn(scope: str, folder: Path) -> None:
    cfg = small(scope, folder, iters=2, custom_hooks=[dict(type="PreciseBNHook", num_samples=6, interval=2)])
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    same_as_plain(cfg)


def dense_cl(scope: str, folder: Path) -> None:
    """It sets a number on the model itself, which the student reads."""
    from mmpretrain.engine.hooks import DenseCLHook

    runner = runner_of(small(scope, folder), iter=3)
    runner.model.architecture.loss_lambda = 0.5
    hook = DenseCLHook(start_iters=1000)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    assert runner.model.architecture.loss_lambda == runner.model.loss_lambda == 0.0
    assert "loss_lambda" not in vars(runner.model)


WORKS: dict[str, tuple[tuple[str, ...], Check]] = {
    "AMP in bfloat16": (SCOPES, autocast("bfloat16")),
    "AMP in float16": (SCOPES, autocast("float16")),
    "accumulative_counts": (SCOPES, accumulative_counts),
    "EMAHook": (SCOPES, moving_average),
    "SyncBN on a CPU": (("mmdet", "mmseg"), sync_bn),
    "find_unused_parameters=True": (("mmpretrain",), unused_parameters),
    "activation_checkpointing": (SCOPES, activation_checkpointing),
    "with_cp=True": (SCOPES, with_cp),
    "compile=True": (SCOPES, compiled),
    "FlexibleRunner": (SCOPES, flexible_runner),
    "YOLOXModeSwitchHook": (("mmdet",), yolox_mode_switch),
    "SetEpochInfoHook": (("mmdet",), set_epoch_info),
    "SwitchRecipeHook": (("mmpretrain",), switch_recipe),
    "PreciseBNHook": (("mmpretrain",), precise_bn),
    "DenseCLHook": (("mmpretrain",), dense_cl),
}
REFUSED: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "AmpOptimWrapper on a CPU": (SCOPES, {"optim_wrapper.type": "AmpOptimWrapper"}, "optim_wrapper.type"),
    "compile=dict(fullgraph=True)": (SCOPES, {"compile": dict(fullgraph=True)}, "compile.fullgraph"),
    "FSDPStrategy": (SCOPES, {"strategy": dict(type="FSDPStrategy"), **FLEXIBLE}, "strategy.type"),
    "DeepSpeedStrategy": (SCOPES, {"strategy": dict(type="DeepSpeedStrategy"), **FLEXIBLE}, "strategy.type"),
    "FlexibleRunner with compile=True": (SCOPES, {"compile": True, **FLEXIBLE}, "compile"),
    "MeanTeacherHook": (("mmdet",), {"custom_hooks": [dict(type="mmdet.MeanTeacherHook")]}, "custom_hooks.0.type"),
}


SLOW = {("compile=True", "mmdet"), ("compile=True", "mmseg"), ("find_unused_parameters=True", "mmpretrain")}


def rows(kept: dict[str, tuple]) -> list[Any]:
    pairs = [(name, scope) for name, row in kept.items() for scope in row[0]]
    return [pytest.param(*pair, id="-".join(pair), marks=[pytest.mark.slow] if pair in SLOW else []) for pair in pairs]


@pytest.mark.parametrize(("name", "scope"), rows(WORKS))
def test_what_the_page_says_works_trains_the_student_as_it_should(name: str, scope: str, tmp_path: Path) -> None:
    WORKS[name][1](scope, tmp_path)


@pytest.mark.parametrize(("name", "scope"), rows(REFUSED))
def test_what_the_page_says_is_refused_is_answered_before_the_run(name: str, scope: str, tmp_path: Path) -> None:
    _, changes, key = REFUSED[name]
    cfg = distilled(small(scope, tmp_path))
    cfg.merge_from_dict(changes)
    with pytest.raises(ConfigError) as caught:
        preflight(cfg, ("train",))
        adapt_to_cpu(cfg)
    assert str(caught.value).startswith(f"{key} = ")


def test_a_record_inside_of_a_checkpointed_block_is_answered(tmp_path: Path) -> None:
    """It would be recorded without a graph, and the loss would teach nobody."""
    cfg = distilled(small("mmseg", tmp_path, activation_checkpointing=["decode_head.convs"]), weight=1.0)
    for side in ("student_recorders", "teacher_recorders"):
        cfg.model.distiller[side].logits.source = "decode_head.convs.0.conv"
    with pytest.raises(ConfigError, match=r"student_recorders\.logits\.source = .*checkpoint"):
        train(cfg)


@pytest.mark.parametrize("distils", [False, True])
def test_a_module_to_checkpoint_that_is_not_there_is_answered_with_the_nearest(distils: bool, tmp_path: Path) -> None:
    cfg = small("mmseg", tmp_path, activation_checkpointing=["backbone.stag"], launcher="none")
    cfg.experiment_name = f"misspelt_{distils}"
    with (
        quickly("mmseg"),
        pytest.raises(ConfigError, match=r"^activation_checkpointing = 'backbone.stag'.*'backbone.stage'"),
    ):
        train_safely(distilled(cfg) if distils else cfg)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("yes", "compile"),
        (dict(backend="indoctor"), "compile.backend"),
        (dict(ful_graph=True), "compile.ful_graph"),
        (dict(target="forward"), "compile.target"),
    ],
)
def test_options_that_torch_compile_does_not_have_are_answered(options: Any, key: str, tmp_path: Path) -> None:
    cfg = small("mmpretrain", tmp_path, compile=options)
    with pytest.raises(ConfigError) as caught:
        preflight(cfg, ("train",))
    assert str(caught.value).startswith(f"{key} = ")


def test_the_page_has_the_rows_that_are_tested() -> None:
    found = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (works|refused)\b", PAGE.read_text(), re.MULTILINE)
    expected = {(name, ", ".join(row[0]), "works") for name, row in WORKS.items()}
    expected |= {(name, ", ".join(row[0]), "refused") for name, row in REFUSED.items()}
    assert {(name, libraries.strip(), answer) for name, libraries, answer in found} == expected
