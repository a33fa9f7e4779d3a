"""Saving: whole or not at all, and never at the price of what was there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_run import ROOT, environment
from helpers.toy_runner import Mean, toy

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine import atomic
from mmdist.engine.hooks import CheckpointHook
from mmdist.errors import CheckpointError, ConfigError

# One process that has imported torch forks savers and kills them, so that fifty kills take seconds. A checkpoint says
# in its content what it must hold.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from mmdist.engine import atomic

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
random.seed(0)

def save(start):
    number = start
    while True:
        number += 1
        atomic.write_checkpoint(dict(number=number, values=torch.full((100_000,), float(number))), folder / "last.pth")

newest, temporaries = 0, 0
atomic.write_checkpoint(dict(number=0, values=torch.zeros(100_000)), folder / "last.pth")
for _ in range(kills):
    child = os.fork()
    if child == 0:
        save(newest)
    time.sleep(random.uniform(0.005, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    temporaries += len(list(folder.glob(".*")))
    content = torch.load(folder / "last.pth", weights_only=True)
    assert content["number"] >= newest, (content["number"], newest)
    assert torch.equal(content["values"], torch.full((100_000,), float(content["number"]))), content["number"]
    newest = content["number"]
    if temporaries % 2:
        atomic.remove_leftovers(folder)
atomic.remove_leftovers(folder)
print(newest, temporaries, [path.name for path in folder.iterdir()])
"""

RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import mmdist
from helpers.toy_runner import toy
checkpoint = dict(interval=1, by_epoch=False, max_keep_ckpts=2)
toy(Path(sys.argv[1]), iters=100_000, checkpoint=checkpoint, width=60_000).train()
"""


def names(folder: Path) -> list[str]:
    """What a run has saved, sorted by name; leftovers too."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.endswith(".py"))


def python(code: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, args)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fifty_kills_while_saving_leave_a_whole_checkpoint_every_time(tmp_path: Path) -> None:
    out, err = python(KILLS, tmp_path, 50).communicate(timeout=120)
    assert out, err[-2000:]
    newest, temporaries, rest = out.split(" ", 2)
    # The test means something only if savers got on and some were killed in the middle of a file.
    assert int(newest) >= 10 and int(temporaries) >= 5, out
    assert rest.strip() == "['last.pth']"


def test_a_run_killed_while_saving_goes_on_and_clears_up(tmp_path: Path) -> None:
    """A checkpoint of this run has some 6 MB, and it does little else than saving them."""
    process = python(RUN, tmp_path, ROOT / "tests")
    try:
        while process.poll() is None and not (tmp_path / "iter_4.pth").exists():
            pass
        while process.poll() is None and not list(tmp_path.glob(".iter_*")):
            pass
    finally:
        process.kill()
        _, err = process.communicate()
    assert (tmp_path / "last_checkpoint").is_file(), err[-2000:]
    newest = Path((tmp_path / "last_checkpoint").read_text())
    step = load_checkpoint_file(newest)["meta"]["iter"]
    kept = dict(interval=1, by_epoch=False, max_keep_ckpts=2)
    toy(tmp_path, iters=step + 1, checkpoint=kept, width=60_000, resume=True).train()
    assert names(tmp_path) == sorted([f"iter_{step}.pth", f"iter_{step + 1}.pth", "last_checkpoint"])


def test_the_older_file_stays_until_the_newer_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = toy(tmp_path, iters=3, checkpoint=dict(interval=1, by_epoch=False, max_keep_ckpts=1))
    replace = os.replace

    def crash(source: Path, target: Path) -> None:
        if Path(target).name == "iter_2.pth":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert names(tmp_path) == ["iter_1.pth", "last_checkpoint"]
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_1.pth")
    load_checkpoint_file(tmp_path / "iter_1.pth")


def test_a_crash_before_the_older_file_is_deleted_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = dict(interval=1, by_epoch=False, max_keep_ckpts=1)

    def crash(self: CheckpointHook, path: str) -> bool:
        if path.endswith("iter_1.pth"):
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointHook, "_remove", crash)
        with pytest.raises(KeyboardInterrupt):
            toy(tmp_path, iters=3, checkpoint=kept).train()
    assert names(tmp_path) == ["iter_1.pth", "iter_2.pth", "last_checkpoint"]
    toy(tmp_path, iters=3, checkpoint=kept, resume=True).train()
    assert names(tmp_path) == ["iter_3.pth", "last_checkpoint"]


def test_a_full_disk_is_named_and_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = toy(tmp_path, iters=3, checkpoint=dict(interval=1, by_epoch=False, max_keep_ckpts=1))
    real = torch.save

    def full(content: Any, file: Any, **options: Any) -> None:
        if isinstance(content, dict) and content["meta"]["iter"] == 2:
            raise OSError(28, "No space left on device")
        real(content, file, **options)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"iter_2\.pth could not be written: No space left"):
        runner.train()
    assert names(tmp_path) == ["iter_1.pth", "last_checkpoint"]


@pytest.mark.parametrize(
    ("run", "checkpoint", "expected"),
    [
        (dict(epochs=3), dict(interval=1, max_keep_ckpts=2), ["epoch_2.pth", "epoch_3.pth"]),
        (dict(epochs=3), dict(interval=2), ["epoch_2.pth", "epoch_3.pth"]),
        (dict(epochs=3), dict(interval=2, save_last=False), ["epoch_2.pth"]),
        (dict(epochs=2), dict(interval=1, filename_tmpl="e{}.pth", save_begin=2), ["e2.pth"]),
        (dict(iters=5), dict(interval=2, by_epoch=False), ["iter_2.pth", "iter_4.pth", "iter_5.pth"]),
    ],
)
def test_the_same_files_are_there_as_with_mmengines_hook(
    tmp_path: Path, run: dict[str, Any], checkpoint: dict[str, Any], expected: list[str]
) -> None:
    for safe in (True, False):
        runner = toy(tmp_path / str(safe), **run, checkpoint=checkpoint, safe=safe)
        runner.train()
        assert names(tmp_path / str(safe)) == sorted([*expected, "last_checkpoint"])
        assert (tmp_path / str(safe) / "last_checkpoint").read_text() == str(tmp_path / str(safe) / expected[-1])
        keys = load_checkpoint_file(tmp_path / str(safe) / expected[-1]).keys()
        assert keys >= {"meta", "state_dict", "optimizer", "param_schedulers", "message_hub"}
        assert ("mmdist" in keys) is safe


def test_the_best_checkpoint_replaces_the_former_best_one(tmp_path: Path) -> None:
    Mean.calls = 0
    options = dict(interval=1, save_best=["score", "mean"], rule=["greater", "less"], max_keep_ckpts=1)
    runner = toy(tmp_path, epochs=3, val_interval=1, checkpoint=options)
    runner.train()
    found = names(tmp_path)
    assert "best_score_epoch_3.pth" in found
    assert len([name for name in found if name.startswith("best_score")]) == 1
    assert len([name for name in found if name.startswith("best_mean")]) == 1
    last = load_checkpoint_file(tmp_path / "epoch_3.pth")
    info = last["message_hub"]["runtime_info"]
    assert info["best_score_score"] == 3.0
    assert info["best_ckpt_score"] == str(tmp_path / "best_score_epoch_3.pth")
    best = load_checkpoint_file(tmp_path / "best_score_epoch_3.pth")
    assert "optimizer" not in best and "mmdist" not in best
    for name, value in best["state_dict"].items():
        assert torch.equal(value, last["state_dict"][name]), name


def test_an_unknown_metric_to_save_the_best_by_is_answered_with_those_there_are(tmp_path: Path) -> None:
    runner = toy(tmp_path, epochs=1, val_interval=1, checkpoint=dict(interval=1, save_best="scor", rule="greater"))
    with pytest.raises(ConfigError, match=r"save_best = 'scor': did you mean 'score'"):
        runner.train()


def test_published_files_hold_the_keys_asked_for_and_carry_their_hash(tmp_path: Path) -> None:
    toy(tmp_path, epochs=1, checkpoint=dict(interval=1, published_keys=["meta", "state_dict"])).train()
    (published,) = tmp_path.glob("epoch_1-*.pth")
    assert load_checkpoint_file(published).keys() == {"meta", "state_dict"}
    assert published.stem == f"epoch_1-{atomic.file_hash(published)[:8]}"


def test_an_out_dir_of_its_own_is_used_and_named(tmp_path: Path) -> None:
    toy(tmp_path / "work", iters=1, checkpoint=dict(interval=1, by_epoch=False, out_dir=str(tmp_path / "big"))).train()
    assert (tmp_path / "work" / "last_checkpoint").read_text() == str(tmp_path / "big" / "work" / "iter_1.pth")
    assert names(tmp_path / "big" / "work") == ["iter_1.pth"]


def test_a_left_over_temporary_file_goes_at_the_next_start_and_nothing_else_does(tmp_path: Path) -> None:
    atomic.temporary_path(tmp_path / "iter_9.pth").write_bytes(b"half")
    (tmp_path / ".other.tmp").write_bytes(b"the user's")
    toy(tmp_path, iters=1, checkpoint=dict(interval=1, by_epoch=False)).train()
    assert names(tmp_path) == [".other.tmp", "iter_1.pth", "last_checkpoint"]


def test_storage_that_is_not_a_local_disk_is_written_as_mmengine_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckpointHook, "_is_safe", lambda self, runner: False)
    monkeypatch.setattr(atomic, "replacing", lambda path: pytest.fail("the safe way was taken"))
    toy(tmp_path, iters=2, checkpoint=dict(interval=1, by_epoch=False, max_keep_ckpts=1)).train()
    assert names(tmp_path) == ["iter_2.pth", "last_checkpoint"]
    assert "mmdist" in load_checkpoint_file(tmp_path / "iter_2.pth")


def test_a_plain_hook_is_exchanged_with_its_arguments_and_one_of_the_users_is_left_alone(tmp_path: Path) -> None:
    from mmengine.hooks import CheckpointHook as Stock

    class Own(Stock):
        pass

    runner = toy(tmp_path, iters=1, checkpoint=dict(interval=5, by_epoch=False, max_keep_ckpts=3), hooks=[Own()])
    found = [hook for hook in runner.hooks if isinstance(hook, Stock)]
    assert sorted(type(hook).__module__.partition(".")[0] for hook in found if type(hook) is not Own) == ["mmdist"]
    assert [(hook.interval, hook.max_keep_ckpts) for hook in found if type(hook) is CheckpointHook] == [(5, 3)]
    assert [type(hook) for hook in found].count(Own) == 1


def test_the_hook_is_found_by_its_name_in_any_config() -> None:
    from mmengine.registry import HOOKS

    assert HOOKS.get("mmdist.CheckpointHook") is CheckpointHook
