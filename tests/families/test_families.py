"""Every config family of the three libraries, as a student and as a teacher; a tenth in `make test`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from families.catalogue import FAMILIES, Family
from families.reasons import UNKNOWN, WHOLE
from families.results import cells, committed, found_before, try_out
from families.values import FUSED, FUSED_NEAR, NEAR

MODE = os.environ.get("MMDIST_FAMILIES", "")  # `all`, or `resume`: results that are older than the code are kept
CELLS = cells(every=bool(MODE))
NAMES = [f"{family.id}-{arrangement}" for family, arrangement in CELLS]
LIMITS = {FUSED: FUSED_NEAR}  # of the others NEAR


@pytest.fixture(scope="module", autouse=True)
def _no_downloads():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.mark.timeout(1800 if MODE else 300)  # some are large, and others run beside them
@pytest.mark.parametrize(("family", "arrangement"), CELLS, ids=NAMES)
def test_a_family_is_distilled_or_refused_for_a_reason_that_holds(
    family: Family, arrangement: str, tmp_path: Path
) -> None:
    outcome = (MODE and found_before(family, arrangement, MODE == "resume")) or try_out(family, arrangement, tmp_path)
    assert outcome.whole in ("", *(reason.key for reason in WHOLE)), outcome.said
    assert UNKNOWN not in outcome.refused.values(), outcome.refused
    assert all(value <= LIMITS.get(side, NEAR) for side, value in outcome.values.items()), outcome.values
    assert not outcome.denied, "a reason holds for what works"
    before = committed().get(f"{family.id}-{arrangement}")
    if before and not MODE:
        assert set(outcome.works) >= set(before["works"])
        assert bool(outcome.whole) <= bool(before["whole"])


def test_every_family_of_the_libraries_is_in_the_catalogue() -> None:
    from mmengine.utils import get_installed_path

    for library in ("mmdet", "mmseg", "mmpretrain"):
        folders = (Path(get_installed_path(library)) / ".mim" / "configs").iterdir()
        known = {family.name for family in FAMILIES if family.library == library}
        assert {folder.name for folder in folders if folder.is_dir()} - {"_base_"} == known


def test_a_reason_is_given_once() -> None:
    keys = [reason.key for reason in WHOLE]
    assert len(keys) == len(set(keys)) and UNKNOWN not in keys
