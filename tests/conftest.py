"""What all tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import mmdist  # noqa: F401  (before a test imports mmrazor: it repairs what that import needs)

# The references are imported as `references.dist`. There is no `tests` package: mmrazor's and mmseg's wheels each
# install one of that name.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
