"""Workers, and trainings that fail beside others."""

from __future__ import annotations

import pytest

from mmdist.apis.comparison import execution
from mmdist.apis.comparison.execution import workers_here
from mmdist.errors import ConfigError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(execution.torch.cuda, "device_count", lambda: 3)


@pytest.mark.parametrize(("visible", "names"), [(None, ["0", "1", "2"]), ("2, 0", ["2", "0"]), ("GPU-ab", ["GPU-ab"])])
def test_each_worker_has_a_gpu_of_its_own(visible: str | None, names: list[str], gpus: None) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in workers_here(None, environment)] == names


def test_there_are_no_more_workers_than_gpus(gpus: None) -> None:
    with pytest.raises(ConfigError, match="--workers"):
        workers_here(4, {})


@pytest.mark.parametrize("count", [0, -1])
def test_at_least_one_works(count: int) -> None:
    with pytest.raises(ConfigError, match="--workers"):
        workers_here(count, {})


def test_workers_on_cpus_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(execution, "available_cpus", lambda: 8)
    assert [worker.environment["OMP_NUM_THREADS"] for worker in workers_here(4, {})] == ["2"] * 4
    assert "OMP_NUM_THREADS" not in workers_here(2, {"OMP_NUM_THREADS": "3"})[0].environment
