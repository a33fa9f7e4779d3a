"""What the tests of the functional losses share."""

from __future__ import annotations

import pytest

from mmdist.functional import _blocked, relation


@pytest.fixture(params=["plain", "streaming"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both forms of the relation losses; without this fixture the size of the input decides."""
    monkeypatch.setattr(relation, "PLAIN_BELOW", 1 << 40 if request.param == "plain" else -1)
    monkeypatch.setattr(_blocked, "BLOCK", 12)  # several blocks, also ragged ones, on small inputs
    return request.param
