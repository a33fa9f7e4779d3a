"""The weight of a loss, and how it grows in the first epochs or iterations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers.toy_runner import toy
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from mmdist.models.losses import KDLoss, SDDLoss
from mmdist.models.losses.warmup import WeightedLoss


class Factors(Hook):
    """The factor at each iteration of a run."""

    def __init__(self, **lengths: int) -> None:
        self.loss = WeightedLoss(1.0, **lengths)
        self.seen: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.seen.append(self.loss.warmup_factor())


@pytest.fixture
def hub() -> Iterator[MessageHub]:
    """A message hub of its own, as a run has one."""
    yield MessageHub.get_instance("warm-up")
    MessageHub._instance_dict.pop("warm-up", None)


def test_without_warm_up_the_factor_is_1(hub):
    hub.update_info("epoch", 0)
    hub.update_info("iter", 0)
    assert WeightedLoss(2.0).warmup_factor() == 1


@pytest.mark.parametrize(("key", "argument"), [("epoch", "warmup_epochs"), ("iter", "warmup_iters")])
def test_the_factor_grows_to_1_and_stays_there(hub, key, argument):
    loss = WeightedLoss(1.0, **{argument: 4})
    factors = []
    for count in range(6):
        hub.update_info(key, count)
        factors.append(loss.warmup_factor())
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("argument", ["warmup_epochs", "warmup_iters"])
def test_without_a_runner_the_factor_is_1(hub, argument):
    assert WeightedLoss(1.0, **{argument: 4}).warmup_factor() == 1


def test_the_factor_multiplies_weight_and_gradient(hub):
    student, teacher = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5)
    full = KDLoss(loss_weight=3.0)(student, teacher)
    hub.update_info("epoch", 1)
    warm = KDLoss(loss_weight=3.0, warmup_epochs=8)(student, teacher)
    torch.testing.assert_close(warm, full / 4)
    torch.testing.assert_close(*(torch.autograd.grad(x, student)[0] for x in (4 * warm, full)))


def test_the_warm_up_of_an_sdd_base_counts_too(hub):
    student, teacher = torch.randn(4, 5, 21), torch.randn(4, 5, 21)
    labels = torch.randint(0, 5, (4,))
    hub.update_info("epoch", 0)
    warm = SDDLoss(base=KDLoss(warmup_epochs=4))(student, teacher, labels)
    torch.testing.assert_close(4 * warm, SDDLoss()(student, teacher, labels))


def test_a_run_by_epochs_warms_up_by_the_epoch(tmp_path):
    by_epoch, by_iter = Factors(warmup_epochs=2), Factors(warmup_iters=8)
    toy(tmp_path, epochs=3, hooks=[by_epoch, by_iter]).train()  # five iterations an epoch
    assert by_epoch.seen == [0.5] * 5 + [1.0] * 10
    assert by_iter.seen == [min((i + 1) / 8, 1) for i in range(15)]


def test_a_resumed_run_goes_on_where_it_was(tmp_path):
    whole = {"warmup_epochs": Factors(warmup_epochs=4), "warmup_iters": Factors(warmup_iters=40)}
    toy(tmp_path / "whole", epochs=4, hooks=list(whole.values())).train()
    toy(tmp_path / "parts", epochs=2).train()
    for argument, expected in whole.items():
        rest = Factors(**{argument: expected.loss.warmup_epochs or expected.loss.warmup_iters})
        toy(
            tmp_path / "parts", epochs=4, hooks=[rest], resume=True, load_from=str(tmp_path / "parts/epoch_2.pth")
        ).train()
        assert rest.seen == expected.seen[10:]


def test_a_run_by_iterations_warms_up_by_the_iteration(tmp_path):
    factors = Factors(warmup_iters=4)
    toy(tmp_path, iters=6, hooks=[factors]).train()
    assert factors.seen == [0.25, 0.5, 0.75, 1, 1, 1]


def test_epochs_of_warm_up_in_a_run_of_one_epoch_are_remarked_on_once(tmp_path):
    factors = Factors(warmup_epochs=20)
    toy(tmp_path, iters=3, hooks=[factors]).train()
    assert factors.seen == [0.05] * 3
    text = "WeightedLoss: warmup_epochs = 20, but this training has one epoch; by iterations, give warmup_iters"
    logged = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    assert logged.count(text) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(warmup_epochs=-1), "KDLoss.warmup_epochs = -1: expected an integer, 0"),
        (dict(warmup_epochs=1.5), "KDLoss.warmup_epochs = 1.5: expected an integer"),
        (dict(warmup_iters=True), "KDLoss.warmup_iters = True: expected an integer"),
        (dict(warmup_epochs=2, warmup_iters=3), "KDLoss.warmup_iters = 3: expected 0; warmup_epochs is 2: give one"),
    ],
)
def test_a_wrong_warm_up_is_refused_when_it_is_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        KDLoss(**arguments)
