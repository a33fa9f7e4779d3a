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
    """A runner makes its default scope and its logger those of the process: not of the tests that follow.

    A logger that stays writes to what pytest caught the output of its own test with, which is closed by then.
    """
    managers = (DefaultScope, MMLogger)
    before = [dict(manager._instance_dict) for manager in managers]
    yield
    for manager, instances in zip(managers, before, strict=True):
        manager._instance_dict.clear()
        manager._instance_dict.update(instances)
