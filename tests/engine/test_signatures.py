"""What a constructor takes is said only where it is certain."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from mmdist.engine.signatures import named, parameters


class Base:
    def __init__(self, size: int, depth: int = 1) -> None: ...


class HandsOn(Base):
    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class HandsOnTheOldWay(Base):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(HandsOnTheOldWay, self).__init__(*args, **kwargs)  # noqa: UP008


class Gives(Base):
    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(3, **kwargs)


class GivesByName(Base):
    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(size=3, **kwargs)


class Looks(Base):
    def __init__(self, **kwargs: Any) -> None:
        self.own = kwargs.pop("own", None)
        super().__init__(**kwargs)


class Skips(HandsOn):
    def __init__(self, **kwargs: Any) -> None:
        super(HandsOn, self).__init__(**kwargs)


class Swallows(Base):
    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(1)


class Changes(Base):
    def __init__(self, **kwargs: Any) -> None:
        kwargs["size"] = 3
        super().__init__(**kwargs)


class Made(Base):
    def __new__(cls, **kwargs: Any) -> Any: ...


def renamed(function: Callable) -> Callable:
    @functools.wraps(function)
    def inner(self: Any, **kwargs: Any) -> None:
        kwargs["size"] = kwargs.pop("old_size")
        function(self, **kwargs)

    return inner


class Renamed:
    @renamed
    def __init__(self, size: int) -> None: ...


class Module(nn.Module):
    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Base, ["size", "depth"]),
        (HandsOn, ["name", "size", "depth"]),
        (HandsOnTheOldWay, ["size", "depth"]),
        (Gives, ["name", "depth"]),
        (GivesByName, ["name", "depth"]),
        (Module, ["width"]),
        (Looks, None),
        (Skips, None),
        (Swallows, None),
        (Changes, None),
        (Made, None),
        (Renamed, None),
        (lambda size, depth=1: None, ["size", "depth"]),
        (lambda size, **kwargs: None, None),
    ],
)
def test_what_is_handed_on_is_followed_and_what_is_used_is_open(kind: Any, expected: list[str] | None) -> None:
    found = parameters(kind)
    assert (None if found is None else list(found)) == expected


def test_names_of_a_class_that_takes_anything_are_those_of_its_bases_too() -> None:
    assert named(Swallows) == ["name", "size", "depth"]
    assert named(Renamed) == ["size"]
