"""The text of a config says what was meant, and is easy to read."""

from __future__ import annotations

import pytest

from mmdist.engine.new.text import WIDTH, Code, Noted, assign, render

VALUES = [
    dict(type="R", depth=18, ratio=0.5, none=None, yes=True, sizes=(1, 2)),
    {"a.b": 1, "class": 2, "plain": [dict(x=1), "two", 'quo"te']},
    dict(),
    [],
    dict(long={f"name_{number}": ["x" * 20, {"y z": number}] for number in range(12)}),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_python_reads_back_what_was_written(value: object) -> None:
    assert eval(render(value)) == value


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_no_line_is_too_long(value: object) -> None:
    assert max(map(len, assign("value", value, "word " * 60).splitlines())) <= WIDTH


def test_what_fits_stands_on_one_line() -> None:
    assert assign("x", dict(a=1, b=[2, "c"])) == 'x = dict(a=1, b=[2, "c"])'


def test_a_comment_stands_behind_its_value_or_where_that_is_too_long_above() -> None:
    behind = assign("x", dict(a=Noted(1, "one"), b=Code("y")))
    assert behind == "x = dict(\n    a=1,  # one\n    b=y,\n)"
    above = assign("x", dict(a=Noted("v" * 90, "a comment of many words"))).splitlines()
    assert above[1] == "    # a comment of many words" and above[2].startswith("    a=")


def test_comments_change_nothing() -> None:
    plain = dict(type="L", inner=dict(tau=1.0))
    noted = dict(type="L", inner=Noted(dict(tau=Noted(1.0, "temperature")), "inside"))
    assert eval(render(noted)) == plain
