"""A config trained longer or shorter, compared with mmengine's own schedulers."""

from __future__ import annotations

import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.optim import CosineAnnealingLR, ExponentialLR, LinearLR, MultiStepLR, PolyLR

from mmdist.apis.comparison.lengths import length_of, set_length
from mmdist.errors import ConfigError

KINDS = dict(LinearLR=LinearLR, MultiStepLR=MultiStepLR, CosineAnnealingLR=CosineAnnealingLR, PolyLR=PolyLR)
KINDS["ExponentialLR"] = ExponentialLR


def course(schedulers: list[dict], steps: int) -> list[float]:
    """The learning rate in each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    built = [
        KINDS[cfg["type"]](optimizer, **{k: v for k, v in cfg.items() if k not in ("type", "by_epoch")})
        for cfg in schedulers
    ]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    "schedulers",
    [
        [dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=0, end=40, by_epoch=False)],
        [dict(type="CosineAnnealingLR", T_max=40, begin=0, end=40, by_epoch=False)],
        [dict(type="ExponentialLR", gamma=0.9, begin=0, end=40, by_epoch=False)],
        [dict(type="MultiStepLR", milestones=[20, 30], gamma=0.1, begin=0, end=40, by_epoch=False)],
        [
            dict(type="LinearLR", start_factor=0.1, begin=0, end=10, by_epoch=False),
            dict(type="CosineAnnealingLR", T_max=30, begin=10, end=40, by_epoch=False),
        ],
    ],
)
@pytest.mark.parametrize("factor", [2, 3])
def test_the_learning_rate_takes_the_same_course_over_another_length(schedulers: list[dict], factor: int) -> None:
    cfg = Config(dict(train_cfg=dict(max_iters=40), param_scheduler=schedulers))
    before = course(schedulers, 40)
    set_length(cfg, 40 * factor)
    after = course([dict(each) for each in cfg.param_scheduler], 40 * factor)
    # the same share of the way has the same rate, but for one step of the shorter course
    steps = [abs(one - two) for one, two in itertools.pairwise(before)] + [0]
    for index, rate in enumerate(before):
        near = max(steps[max(0, index - 1) : index + 1]) + 1e-6
        assert abs(after[index * factor] - rate) <= near


def test_a_warm_up_in_iterations_stays_in_a_config_of_epochs() -> None:
    warm = dict(type="LinearLR", by_epoch=False, begin=0, end=500)
    cfg = Config(
        dict(train_cfg=dict(max_epochs=12), param_scheduler=[warm, dict(type="MultiStepLR", milestones=[8, 11])])
    )
    set_length(cfg, 36)
    assert cfg.param_scheduler[0].to_dict() == warm and cfg.param_scheduler[1].milestones == [24, 33]


def test_a_course_over_the_whole_training_is_stretched_in_the_other_unit_too() -> None:
    schedulers = [
        dict(type="LinearLR", by_epoch=False, start_factor=0.1, begin=0, end=500),
        dict(type="PolyLR", by_epoch=False, begin=500, end=6000),
    ]
    cfg = Config(dict(train_cfg=dict(max_epochs=12), param_scheduler=schedulers))
    set_length(cfg, 24)
    assert [(each.begin, each.end) for each in cfg.param_scheduler] == [(0, 1000), (1000, 12000)]


def test_a_falling_line_is_no_warm_up() -> None:
    falls = dict(type="LinearLR", by_epoch=False, start_factor=1.0, end_factor=0.0, begin=0, end=6000)
    cfg = Config(dict(train_cfg=dict(max_epochs=12), param_scheduler=falls))
    set_length(cfg, 24)
    assert cfg.param_scheduler.end == 12000


def test_what_begins_on_the_way_begins_after_the_same_part_of_it() -> None:
    hooks = [
        dict(type="EMAHook", begin_epoch=100),
        dict(type="SwitchRecipeHook", schedule=[dict(action_epoch=150), dict(action_epoch=200)]),
    ]
    cfg = Config(dict(train_cfg=dict(max_epochs=300), custom_hooks=hooks))
    set_length(cfg, 150)
    assert cfg.custom_hooks[0].begin_epoch == 50
    assert [entry.action_epoch for entry in cfg.custom_hooks[1].schedule] == [75, 100]


@pytest.mark.parametrize(("unit", "by_epoch"), [("max_iters", False), ("max_epochs", True)])
@pytest.mark.parametrize("given", [{}, dict(log_metric_by_epoch=True), dict(log_metric_by_epoch=False)])
def test_validations_are_logged_in_the_unit_of_the_length(unit: str, by_epoch: bool, given: dict) -> None:
    cfg = Config(dict(train_cfg={unit: 40}, default_hooks=dict(logger=dict(type="LoggerHook", **given))))
    set_length(cfg, 80)
    logger = LoggerHook(**{name: value for name, value in cfg.default_hooks.logger.items() if name != "type"})
    assert logger.log_metric_by_epoch is by_epoch


def test_a_checkpoint_holds_all_that_a_training_goes_on_from_and_lies_in_its_folder() -> None:
    given = dict(type="CheckpointHook", out_dir="s3://elsewhere", save_begin=90, save_optimizer=False)
    cfg = Config(dict(train_cfg=dict(max_iters=40), default_hooks=dict(checkpoint=given)))
    set_length(cfg, 80)
    kept = cfg.default_hooks.checkpoint
    assert (kept.out_dir, kept.save_begin, kept.save_optimizer) == (None, 0, True)


def test_what_happens_so_long_before_the_end_still_does() -> None:
    hook = dict(type="PipelineSwitchHook", switch_epoch=280)
    train = dict(max_epochs=300, dynamic_intervals=[(280, 1)])
    cfg = Config(dict(train_cfg=train, custom_hooks=[hook], param_scheduler=None))
    set_length(cfg, 100)
    assert cfg.custom_hooks[0].switch_epoch == 80 and cfg.train_cfg.dynamic_intervals == [(80, 1)]


@pytest.mark.parametrize("unit", ["max_iters", "max_epochs"])
def test_the_last_checkpoint_and_no_best_one_is_kept(unit: str) -> None:
    hooks = dict(checkpoint=dict(type="CheckpointHook", save_best="auto", save_last=False, interval=7))
    cfg = Config(dict(train_cfg={unit: 40}, default_hooks=hooks))
    set_length(cfg, 80)
    kept = cfg.default_hooks.checkpoint
    assert (kept.save_best, kept.save_last, kept.by_epoch) == (None, True, unit == "max_epochs")


def test_checkpoints_are_kept_where_the_config_has_no_hooks() -> None:
    cfg = Config(dict(train_cfg=dict(max_iters=40)))
    set_length(cfg, 80)
    assert cfg.default_hooks.checkpoint.interval == 8 and cfg.default_hooks.logger.type == "LoggerHook"


@pytest.mark.parametrize("count", [0, -3, "12", True, None, 2.5])
def test_a_length_that_is_no_number_above_0_is_refused(count: object) -> None:
    with pytest.raises(ConfigError, match=r"student\.py: train_cfg"):
        length_of(Config(dict(train_cfg=dict(max_epochs=count))), "student.py")
