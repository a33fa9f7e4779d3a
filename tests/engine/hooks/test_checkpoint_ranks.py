"""One process of several writes a checkpoint; the others leave it alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers.processes import free_port
from helpers.tiny_run import ROOT, environment

RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import mmdist
import torch.distributed as dist
from helpers.toy_runner import toy

dist.init_process_group("gloo")
runner = toy(Path(sys.argv[1]), iters=2, checkpoint=dict(interval=2, by_epoch=False))
save = runner.save_checkpoint

def slowly(folder, filename, **options):
    save(folder, filename, **options)
    time.sleep(0.5 if dist.get_rank() else 1)  # the first one is still writing
    if dist.get_rank() == 0:
        print(sorted(path.name for path in Path(folder).glob("*.pth")))

runner.save_checkpoint = slowly
runner.train()
dist.destroy_process_group()
"""


def test_no_other_process_gives_a_half_written_checkpoint_its_name(tmp_path: Path) -> None:
    common = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RUN, str(tmp_path), str(ROOT / "tests")],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **common),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "[]" in outputs[0][0].splitlines()
    assert (tmp_path / "iter_2.pth").is_file()
