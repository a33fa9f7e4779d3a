"""Several gloo processes on one machine. Workers live here because a spawned process imports them by name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run_ranks(worker: Callable[..., Any], world_size: int, folder: Path, *args: Any) -> list[Any]:
    """Run ``worker(rank, *args)`` in that many processes of one gloo group; what each returned, by rank."""
    mp.spawn(_enter, (worker, world_size, free_port(), str(folder), args), nprocs=world_size)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(world_size)]


def _enter(rank: int, worker: Callable[..., Any], world_size: int, port: int, folder: str, args: tuple) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    torch.save(worker(rank, *args), Path(folder) / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def dist_loss_on_a_share(
    rank: int, sizes: list[int], student: Tensor, teacher: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Value and gradient of the DIST loss on this rank's samples, statistics over all ranks."""
    from mmdist.functional import dist_loss

    start = sum(sizes[:rank])
    share = slice(start, start + sizes[rank])
    student = student[share].clone().requires_grad_()
    value = dist_loss(student, teacher[share], mask=mask[share], group=dist.group.WORLD)
    value.backward()
    return value.detach(), student.grad
