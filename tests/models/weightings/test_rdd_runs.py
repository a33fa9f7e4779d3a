"""RDD in whole runs: when its stages change, what it logs, and what it leaves as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.processes import run_ranks
from helpers.rdd_runs import Agreeing, Sure, history, plain, run, weighted, weighted_rank
from helpers.task_runs import Start, differing, student_state

from mmdist.compat.checkpoint import load_checkpoint_file

LOGGED = ("rdd.stage", "rdd.kept", "rdd.weight", "loss")
EVERY = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))


@pytest.mark.parametrize(
    "weighting",
    [dict(warmup=6), dict(warmup=0.75), dict(warmup=3, blend=True)],
    ids=["iterations", "share", "blend"],
)
@pytest.mark.parametrize("at", [4, 5, 6])
def test_a_run_resumed_across_the_switch_is_the_uninterrupted_one(
    weighting: dict[str, Any], at: int, tmp_path: Path
) -> None:
    cfg = weighted(plain(tmp_path, iters=8, default_hooks=EVERY), **weighting)
    whole = run(cfg, Sure(), exact=True)
    torch.seed()  # a new process is somewhere else
    cfg.resume, cfg.load_from = True, str(Path(whole.work_dir) / f"iter_{at}.pth")
    rest = run(cfg, Sure(), exact=True)
    first = 3 if weighting.get("blend") else 5  # the last iteration that is of the first stage alone
    assert history(whole, "rdd.stage") == [1.0] * first + [2.0] * (8 - first)
    for name in LOGGED:
        assert history(rest, name) == history(whole, name), name
    ends = [load_checkpoint_file(Path(runner.work_dir) / "iter_8.pth")["state_dict"] for runner in (whole, rest)]
    assert not differing(*ends)
    start = load_checkpoint_file(Path(whole.work_dir) / f"iter_{at}.pth")["state_dict"]
    assert differing(start, ends[0])


def test_a_weight_of_one_everywhere_is_plain_training_bit_for_bit(tmp_path: Path) -> None:
    cfg, start = plain(tmp_path, iters=10), Start()
    expected = student_state(run(cfg, start))
    numbers = torch.rand(3)
    found = run(weighted(cfg, warmup=11), Agreeing())
    assert torch.equal(torch.rand(3), numbers)
    assert history(found, "rdd.weight") == [1.0] * 10
    assert not differing(student_state(found), expected)
    assert len(differing(expected, start.state)) > len(expected) // 2


@pytest.mark.parametrize("warmup", [0, 11])
def test_another_weight_is_another_training(warmup: int, tmp_path: Path) -> None:
    cfg = plain(tmp_path, iters=2)
    assert differing(student_state(run(weighted(cfg, warmup=warmup), Sure())), student_state(run(cfg)))


@pytest.mark.slow
def test_processes_change_the_stage_together(tmp_path: Path) -> None:
    first, second = run_ranks(weighted_rank, 2, tmp_path, str(tmp_path), 5, 4)
    assert first["rdd.stage"] == second["rdd.stage"] == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert first["rdd.kept"][3:] != second["rdd.kept"][3:]  # each weighs its own pictures
    assert not differing(first["parameters"], second["parameters"])


def test_stage_kept_share_and_mean_weight_are_logged(tmp_path: Path) -> None:
    hooks = dict(EVERY, logger=dict(type="LoggerHook", interval=1))
    runner = run(weighted(plain(tmp_path, iters=3, default_hooks=hooks, log_level="INFO"), warmup=2), Sure())
    kept, weight = history(runner, "rdd.kept"), history(runner, "rdd.weight")
    assert history(runner, "rdd.stage") == [1.0, 2.0, 2.0]
    assert kept[0] == 1
    assert 0 < kept[1] < 1
    assert 0 < weight[0] < 1
    assert weight[1] == kept[1]
    (log,) = Path(runner.work_dir).glob("*/*.log")
    lines = [line for line in log.read_text().splitlines() if "(train)" in line]
    assert len(lines) == 3
    for line, stage, share in zip(lines, (1, 2, 2), kept, strict=True):
        assert f"rdd.stage: {stage}.0000" in line
        assert f"rdd.kept: {share:.4f}" in line
        assert "rdd.weight: " in line
