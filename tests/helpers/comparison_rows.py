"""Rows and settings of made-up comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdist.apis.comparison.results import Metric, Row, Setting

LENGTH = 800
HOSTILE = [
    "<script>alert(1)</script>",
    "\" onload='x'",
    "a|b`c`**d**",
    "\x1b[2J\nerror: none\r\x00",
    "![x](https://evil.example/x.png) [y](javascript:z)",
    "$\\frac{$ # @all www.evil.example \u202e",
]


def final(
    arm: str, values: Mapping[int, float | None] | Sequence[float | None], length: int = LENGTH, **other: Any
) -> list[Row]:
    """Reported trainings of an arm, one a seed; a failed one where there is no value."""
    by_seed = values if isinstance(values, Mapping) else dict(enumerate(values))
    known = dict(purpose="final", rate=1.0, weight=1.0, iterations=length, iteration_ms=75.0, device="cpu") | other
    return [
        Row(arm=arm, seed=seed, length=length, metric=value, failed="" if value is not None else "loss is nan", **known)
        for seed, value in by_seed.items()
    ]


def search(arm: str, by_rate: Mapping[float, float | None], seeds: Sequence[int] = (100,), **other: Any) -> list[Row]:
    """Trainings of a search."""
    return [
        row
        for rate, value in by_rate.items()
        for row in final(arm, dict.fromkeys(seeds, value), purpose="search", rate=rate, **other)
    ]


def timing(times: Mapping[str, float], device: str = "cpu") -> list[Row]:
    """Short trainings, one an arm, with the milliseconds of an iteration."""
    return [
        Row("timing", arm, 200, 60, 1.0, 1.0, None, iteration_ms=ms, iterations=60, device=device)
        for arm, ms in times.items()
    ]


def setting(*arms: str, **other: Any) -> Setting:
    """What was compared: the plain student and some arms, whose words are their names."""
    known = dict(
        title="Digits",
        metric=Metric("mIoU", "mIoU"),
        length=LENGTH,
        unit="iterations",
        seeds=(0, 1, 2),
        arms={"plain": "plain student", **{arm: arm for arm in arms}},
        searched={"plain": "own"},
        chosen_on="one half of val",
        judged_on="test",
    )
    return Setting(**(known | other))
