"""Trains cells, several at a time, each on a GPU of its own where there are some."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import torch

from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.progress import Display
from mmdist.apis.comparison.results import Row
from mmdist.apis.comparison.trainings import Place, Training, train
from mmdist.engine._cpus import available_cpus
from mmdist.engine.threads import VARIABLES
from mmdist.errors import ConfigError


@dataclass(frozen=True)
class Worker:
    """What one training at a time has for itself.

    Args:
        name (str): Shown beside its trainings.
        environment (Mapping[str, str]): Variables of its trainings.
    """

    name: str
    environment: Mapping[str, str]


def workers_here(count: int | None, environment: Mapping[str, str] = os.environ) -> list[Worker]:
    """The workers of this machine: a GPU each, or their share of the CPUs.

    Args:
        count (int, optional): How many. Defaults to one a GPU, and to one without.
        environment (Mapping[str, str]): Of this process: which GPUs are visible, and how many threads the user chose.

    Returns:
        list[Worker]: At least one.

    Raises:
        ConfigError: No number above 0, or more than there are GPUs.
    """
    gpus = visible_gpus(environment)
    if count is not None and count < 1:
        raise ConfigError("--workers", count, "a number above 0")
    if gpus:
        if count is not None and count > len(gpus):
            raise ConfigError("--workers", count, f"at most {len(gpus)}", "a GPU each")
        return [Worker(f"GPU {gpu}", {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus[: count or len(gpus)]]
    count = count or 1
    # Threads that wait for a core hold up all others; how many there are changes how sums are rounded, so each worker
    # has as many.
    own = {} if any(environment.get(name) for name in VARIABLES) else {"OMP_NUM_THREADS": str(_threads(count))}
    own["OMP_WAIT_POLICY"] = environment.get("OMP_WAIT_POLICY", "passive")
    return [Worker(f"worker {index}", own) for index in range(count)]


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if not torch.cuda.is_available():
        return []
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")]
    return [str(index) for index in range(torch.cuda.device_count())]


def _threads(workers: int) -> int:
    cpus = available_cpus()
    return max(1, (cpus - 1 if workers == 1 and cpus > 1 else cpus) // workers)


def train_all(
    place: Place,
    trainings: Iterable[Training],
    workers: Sequence[Worker],
    display: Display,
    ended: Callable[[Cell, Row], None],
) -> None:
    """Train, one training a worker at a time.

    Args:
        place (Place): Where.
        trainings (Iterable[Training]): What.
        workers (Sequence[Worker]): Who.
        display (Display): Shows how far each is.
        ended (Callable): Called with each cell and what came of it, a failure too, in this thread.

    Raises:
        BaseException: What came from outside, such as an interruption; the trainings at work have been ended.
    """
    free: queue.Queue[Worker] = queue.Queue()
    for worker in workers:
        free.put(worker)

    def work(training: Training) -> Row:
        worker = free.get()
        try:
            display.begin(training.cell, worker.name)
            return train(place, training, lambda line: display.line(training.cell, line), worker.environment)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        futures = {pool.submit(work, training): training.cell for training in trainings}
        try:
            for future in _as_ended(futures):
                ended(futures[future], future.result())
        except BaseException:
            place.processes.end()
            pool.shutdown(cancel_futures=True)
            raise


def _as_ended(futures: Mapping[Future[Row], Cell]) -> Iterator[Future[Row]]:
    waiting = set(futures)
    while waiting:
        # in turns, so that an interruption is heard
        done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
        yield from done
