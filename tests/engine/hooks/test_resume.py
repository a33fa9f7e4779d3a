"""A resumed run equals an uninterrupted one, bit for bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.toy_runner import Mean, toy

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.hooks import random_state


def assert_identical(a: Any, b: Any, place: str = "") -> None:
    """Equal to the last bit, whatever it is nested in."""
    assert type(a) is type(b), place
    if isinstance(a, dict):
        assert a.keys() == b.keys(), place
        for key in a:
            assert_identical(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_identical(left, right, f"{place}.{index}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), place
    else:
        assert a == b, place


def disturb() -> None:
    """The generators of a new process are somewhere else."""
    random.seed()
    np.random.seed()
    torch.seed()


def compare(tmp_path: Path, resume_from: str, last: str, **run: Any) -> tuple[Any, Any]:
    """Run whole, resume a second run from one of its checkpoints, compare what both end with."""
    whole = toy(tmp_path / "whole", **run)
    whole.train()
    disturb()
    rest = toy(tmp_path / "rest", **run, resume=True, load_from=str(tmp_path / "whole" / resume_from))
    rest.train()
    ends = [load_checkpoint_file(tmp_path / name / last) for name in ("whole", "rest")]
    done = len(whole.model.losses) - len(rest.model.losses)
    assert done == load_checkpoint_file(tmp_path / "whole" / resume_from)["meta"]["iter"] > 0
    assert rest.model.losses == whole.model.losses[done:]
    for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "mmdist"):
        assert_identical(ends[0][key], ends[1][key], key)
    histories = [end["message_hub"]["log_scalars"]["train/loss"].data[0].tolist() for end in ends]
    assert histories[0] == histories[1]
    return whole, rest


BY_ITER = dict(interval=1, by_epoch=False)


@pytest.mark.parametrize("at", [4, 5, 7, 12])  # 5 iterations a pass
def test_iterations_go_on_exactly(tmp_path: Path, at: int) -> None:
    _, rest = compare(tmp_path, f"iter_{at}.pth", "iter_13.pth", iters=13)
    # What was trained on is not loaded again.
    assert len(rest.train_dataloader.dataset.loaded) == 2 * (13 - at)


@pytest.mark.parametrize("seed", [None, 3])
def test_epochs_go_on_exactly_between_epochs(tmp_path: Path, seed: int | None) -> None:
    compare(tmp_path, "epoch_2.pth", "epoch_3.pth", epochs=3, seed=seed)


@pytest.mark.parametrize("at", [3, 5, 7, 10])
def test_epochs_go_on_exactly_in_the_middle_of_one(tmp_path: Path, at: int) -> None:
    whole, rest = compare(tmp_path, f"iter_{at}.pth", "iter_15.pth", epochs=3, checkpoint=BY_ITER)
    assert len(rest.train_dataloader.dataset.loaded) == 2 * (15 - at)
    assert (rest.epoch, rest.iter) == (whole.epoch, whole.iter) == (3, 15)


def test_a_pass_over_a_sampler_that_ends_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # mmengine waits two seconds between passes
    loader = dict(sampler=dict(type="DefaultSampler", shuffle=True))
    for at in (5, 7):
        compare(tmp_path / str(at), f"iter_{at}.pth", "iter_12.pth", iters=12, loader=loader)


@pytest.mark.parametrize("kind", ["iters", "epochs"])
def test_validation_with_random_data_changes_nothing(tmp_path: Path, kind: str) -> None:
    best = dict(save_best="score", rule="greater")
    if kind == "iters":
        run: dict[str, Any] = dict(iters=9, val_interval=3, checkpoint=dict(interval=3, by_epoch=False, **best))
        names = "iter_3.pth", "iter_9.pth"
    else:
        run = dict(epochs=3, val_interval=1, checkpoint=dict(interval=1, **best))
        names = "epoch_1.pth", "epoch_3.pth"
    Mean.calls = 0
    whole, _ = compare(tmp_path, *names, **run)
    plain = toy(tmp_path / "plain", **{kind: run[kind]}, seed=whole.seed)
    plain.train()
    again = toy(tmp_path / "again", **run, seed=whole.seed)
    again.train()
    assert plain.model.losses == again.model.losses


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize(("kind", "at"), [("iters", 7), ("epochs", 5), ("epochs", 7)])
def test_workers_go_on_exactly(tmp_path: Path, kind: str, at: int, persistent: bool) -> None:
    run: dict[str, Any] = dict(iters=12) if kind == "iters" else dict(epochs=3)
    loader = dict(num_workers=2, persistent_workers=persistent)
    last = "iter_12.pth" if kind == "iters" else "iter_15.pth"
    compare(tmp_path, f"iter_{at}.pth", last, **run, loader=loader, checkpoint=BY_ITER)


def test_the_number_of_workers_does_not_change_what_is_seen(tmp_path: Path) -> None:
    losses = []
    for workers in (1, 3):
        run = toy(tmp_path / str(workers), epochs=2, seed=1, loader=dict(num_workers=workers))
        run.train()
        losses.append(run.model.losses)
    assert losses[0] == losses[1]


def test_without_the_hook_a_resumed_run_differs(tmp_path: Path) -> None:
    with pytest.raises((AssertionError, KeyError)):
        compare(tmp_path, "iter_4.pth", "iter_9.pth", iters=9, safe=False)


def test_weights_to_start_from_bring_no_random_states(tmp_path: Path) -> None:
    toy(tmp_path / "first", iters=4).train()
    plain = toy(tmp_path / "plain", iters=3, seed=5, load_from=str(tmp_path / "first" / "iter_4.pth"))
    plain.train()
    stripped = load_checkpoint_file(tmp_path / "first" / "iter_4.pth")
    del stripped["mmdist"]
    torch.save(stripped, tmp_path / "stripped.pth")
    other = toy(tmp_path / "other", iters=3, seed=5, load_from=str(tmp_path / "stripped.pth"))
    other.train()
    assert plain.model.losses == other.model.losses


def test_a_checkpoint_of_another_tool_is_resumed_with_a_warning(tmp_path: Path) -> None:
    toy(tmp_path / "first", iters=4, safe=False).train()
    rest = toy(tmp_path / "rest", iters=6, resume=True, load_from=str(tmp_path / "first" / "iter_4.pth"))
    rest.train()
    assert len(rest.model.losses) == 2
    logs = "".join(path.read_text() for path in (tmp_path / "rest").glob("*/*.log"))
    assert "no random states" in logs


def test_another_number_of_processes_starts_anew_and_says_so(tmp_path: Path) -> None:
    toy(tmp_path / "first", iters=4).train()
    content = load_checkpoint_file(tmp_path / "first" / "iter_4.pth")
    content["mmdist"]["world"] = 2
    torch.save(content, tmp_path / "two.pth")
    rest = toy(tmp_path / "rest", iters=6, resume=True, load_from=str(tmp_path / "two.pth"))
    rest.train()
    logs = "".join(path.read_text() for path in (tmp_path / "rest").glob("*/*.log"))
    assert "saved by 2 processes" in logs


def test_random_states_survive_the_safe_loader(tmp_path: Path) -> None:
    random.gauss(0, 1)  # leaves a second value behind, which is part of the state
    np.random.randn()
    torch.save(random_state.capture(), tmp_path / "state.pth")
    expected = random.gauss(0, 1), np.random.randn(), torch.randn(3).tolist()
    disturb()
    random_state.restore(torch.load(tmp_path / "state.pth", weights_only=True))
    assert (random.gauss(0, 1), np.random.randn(), torch.randn(3).tolist()) == expected


def test_another_number_of_threads_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It changes how sums are rounded; the same number is not worth a word."""
    before = torch.get_num_threads()
    run: dict[str, Any] = dict(iters=3, checkpoint=BY_ITER)
    checkpoint = str(tmp_path / "whole" / "iter_2.pth")
    try:
        torch.set_num_threads(1)
        toy(tmp_path / "whole", **run).train()
        toy(tmp_path / "same", **run, resume=True, load_from=checkpoint).train()
        assert "OMP_NUM_THREADS" not in capfd.readouterr().out
        torch.set_num_threads(2)
        toy(tmp_path / "other", **run, resume=True, load_from=checkpoint).train()
        assert "OMP_NUM_THREADS=1, which is 2 now" in capfd.readouterr().out
    finally:
        torch.set_num_threads(before)
