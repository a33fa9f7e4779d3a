"""What is said of a model that does not run on random images."""

from __future__ import annotations

from mmdist.engine.modules.batch import first_line


def test_an_error_that_says_nothing_is_told_by_the_code_that_raised_it() -> None:
    try:
        _refuse(2)
    except AssertionError as error:
        said = first_line(error)
    assert "raise AssertionError" in said and __file__.rpartition("/")[2] in said and "\n" not in said


def test_of_an_error_that_speaks_the_first_line_is_kept() -> None:
    assert first_line(ValueError("one\ntwo")) == "ValueError: one"


def _refuse(count: int) -> None:
    if not count == 1:
        raise AssertionError
