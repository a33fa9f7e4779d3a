"""Several processes that were told to stop all end with code 75, whatever the launcher does when the first is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers.processes import free_port
from helpers.tiny_run import ROOT, environment

# srun --kill-on-bad-exit and torchrun send SIGTERM to the others as soon as one has ended with a code that is not 0.
RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import mmdist
import torch.distributed as dist
from helpers.toy_runner import SignalAt, toy

dist.init_process_group("gloo")
try:
    toy(Path(sys.argv[1]), iters=8, checkpoint=dict(interval=100, by_epoch=False), hooks=[SignalAt(3)]).train()
finally:
    os.kill(os.getpid(), signal.SIGTERM)
    dist.destroy_process_group()
"""


def test_the_launchers_sigterm_does_not_hide_the_code(tmp_path: Path) -> None:
    common = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RUN, str(tmp_path), str(ROOT / "tests")],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **common),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [75, 75], errors
    assert (tmp_path / "preempted.pth").is_file()
