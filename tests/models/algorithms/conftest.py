"""What several tests ask of the same processes: starting them takes longer than what they do."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.ddp import trainings
from helpers.processes import run_ranks


@pytest.fixture(scope="session")
def ddp_trainings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of two processes, by rank: see ``trainings``."""
    return run_ranks(trainings, 2, tmp_path_factory.mktemp("ddp"))
