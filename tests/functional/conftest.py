"""What the tests of the functional losses share."""

from __future__ import annotations

import pytest

from mmdist.functional import _blocked, _cpu, _cpu_build, relation


@pytest.fixture(params=["plain", "blocked", "kernels"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All forms of the relation losses; without this fixture the input and the machine decide."""
    monkeypatch.setattr(relation, "PLAIN_BELOW", 1 << 40 if request.param == "plain" else -1)
    monkeypatch.setattr(_blocked, "BLOCK", 12)  # several blocks, also ragged ones, on small inputs
    if request.param != "kernels":
        monkeypatch.setattr(_cpu, "available", lambda *maps: False)
    elif _cpu_build.kernels().library is None:
        pytest.skip("needs a C compiler")
    return request.param
