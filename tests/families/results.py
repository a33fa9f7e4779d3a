"""Results of the families: one file a cell while they are tried, one file for all in the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from families.catalogue import FAMILIES, Family
from families.outcome import ARRANGEMENTS, Outcome, try_family

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "families"
COMMITTED = Path(__file__).with_name("results.json")
TENTH = 10

Cell = tuple[Family, str]


def cells(every: bool) -> list[Cell]:
    """Every family in every arrangement; or of a fixed tenth of them those that have a result."""
    tried = [family for family in FAMILIES if family.file]
    found = [(family, arrangement) for family in tried[:: 1 if every else TENTH] for arrangement in ARRANGEMENTS]
    known = committed()
    return [cell for cell in found if every or f"{cell[0].id}-{cell[1]}" in known]


def path_of(family: Family, arrangement: str) -> Path:
    """Where a cell's result is put while the others are tried."""
    return FOLDER / f"{family.id}-{arrangement}.json"


def found_before(family: Family, arrangement: str, keep: bool) -> Outcome | None:
    """The result of an earlier run.

    Args:
        family (Family): The family.
        arrangement (str): One of ``ARRANGEMENTS``.
        keep (bool): Whether one that is older than the code counts.
    """
    path = path_of(family, arrangement)
    if not path.exists() or not (keep or path.stat().st_mtime > newest_source()):
        return None
    return Outcome(**json.loads(path.read_text()))


def newest_source() -> float:
    """When the package, or what tries the families out, was changed last."""
    files = [*ROOT.glob("mmdist/**/*.py"), *Path(__file__).parent.glob("*.py")]
    return max(path.stat().st_mtime for path in files)


def try_out(family: Family, arrangement: str, folder: Path) -> Outcome:
    """Try a cell out, and keep what was found, whole or not at all."""
    outcome = try_family(family, arrangement, folder)
    path = path_of(family, arrangement)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(outcome.to_dict()))
    os.replace(draft, path)
    return outcome


def committed() -> dict[str, dict[str, Any]]:
    """By cell, such as ``mmdet-atss-itself``, what the repository has."""
    return json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}


def collected() -> Iterator[tuple[str, dict[str, Any]]]:
    """Cells that have been tried, in the order of the catalogue; how long each took is left out."""
    for family, arrangement in cells(every=True):
        path = path_of(family, arrangement)
        if path.exists():
            found = json.loads(path.read_text())
            found.pop("seconds")
            found.pop("denied")  # none, or the test fails
            yield path.stem, found
