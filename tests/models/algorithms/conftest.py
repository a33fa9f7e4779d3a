"""What several tests ask of the same processes: starting them takes longer than what they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from helpers.ddp import trainings
from helpers.processes import run_ranks
from mmengine.logging import MessageHub


@pytest.fixture(scope="session")
def ddp_trainings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of two processes, by rank: see ``trainings``."""
    return run_ranks(trainings, 2, tmp_path_factory.mktemp("ddp"))


@pytest.fixture
def first_iteration() -> Iterator[None]:
    """What augmentations of a whole batch ask for."""
    hub = MessageHub.get_current_instance()
    hub.update_info("iter", 0)
    yield
    hub.runtime_info.pop("iter")
