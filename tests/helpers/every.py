"""Many small checks in one test: a test of its own for each would cost more than the check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def assert_each(cases: Iterable[Any], check: Callable[[Any], None]) -> None:
    """All cases pass; those that do not are listed with what was wrong, whatever comes before them.

    Args:
        cases (Iterable[Any]): At least one.
        check (Callable[[Any], None]): Raises where something is wrong.
    """
    cases, wrong = list(cases), {}
    assert cases
    for case in cases:
        try:
            check(case)
        except (Exception, pytest.fail.Exception) as error:  # the latter: nothing was raised that should have been
            wrong[str(case)] = f"{type(error).__name__}: {error}"
    assert not wrong, "\n".join(f"{case}: {said}" for case, said in wrong.items())
