"""What all tests share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

import mmdist  # noqa: F401  (before a test imports mmrazor: it repairs what that import needs)

# The references are imported as `references.dist`. There is no `tests` package: mmrazor's and mmseg's wheels each
# install one of that name.
sys.path.insert(0, str(Path(__file__).parent))


# A shell without job control has what it puts in the background ignore Ctrl-C, and with it all that the tests start and
# interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_scope() -> Iterator[None]:
    """A runner makes its default scope that of the process: not of the tests that follow."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture(autouse=True)
def _own_logger() -> None:
    """A logger of an earlier test writes to what pytest caught that test's output with, which is closed by now."""
    MMLogger._instance_dict.clear()


@pytest.fixture(autouse=True, scope="module")
def _own_scope_of_a_module() -> Iterator[None]:
    """Nor is the scope that a fixture of a whole module leaves that of the next module."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
