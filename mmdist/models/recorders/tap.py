"""Listening to the calls of one instance's method, whoever calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

Listener = Callable[[tuple, dict, Any], None]


class Tap:
    """Takes the place of a method on one instance while somebody listens.

    Several listeners share one tap and may leave in any order: MMRazor leaves its recorders in the order in which it
    entered them, so each restoring what it found would put another's wrapper back for good.

    Args:
        owner (Any): The instance.
        name (str): Its method.

    Example:
        >>> class Head:
        ...     def forward(self, x):
        ...         return x + 1
        >>> head, heard = Head(), []
        >>> def listener(args, kwargs, output):
        ...     heard.append((args, output))
        >>> tap = Tap.open(head, 'forward', listener)
        >>> head.forward(1), Head().forward(5)
        (2, 6)
        >>> tap.close(listener)
        >>> head.forward(2), heard, vars(head)
        (3, [((1,), 2)], {})
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name = owner, name
        self.replaced = name in vars(owner)  # the instance has one that is not its class's
        self.original = vars(owner).get(name)
        if not self.replaced and not hasattr(type(owner), name):  # found by a `__getattr__`
            self.original = getattr(owner, name)
        self.listeners: list[Listener] = []

    @classmethod
    def open(cls, owner: Any, name: str, listener: Listener) -> Tap:
        """Begin to listen: ``listener(args, kwargs, output)`` is told each call that returns.

        Returns:
            Tap: To :meth:`close`.
        """
        tap = vars(owner).get(name)
        if not isinstance(tap, Tap):
            tap = cls(owner, name)
            vars(owner)[name] = tap
        tap.listeners.append(listener)
        return tap

    def close(self, listener: Listener) -> None:
        """Stop listening; the last listener leaves the instance as it was."""
        if listener in self.listeners:
            self.listeners.remove(listener)
        # Somebody who has wrapped the tap meanwhile still calls it: then it stays, and hands the call on.
        if self.listeners or vars(self.owner).get(self.name) is not self:
            return
        if self.replaced:
            vars(self.owner)[self.name] = self.original
        else:
            del vars(self.owner)[self.name]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The method itself; ``inspect.signature`` looks here too."""
        if self.original is not None:
            return self.original
        # Looked up at each call: MMRazor's deliveries and recorders of methods patch the class meanwhile.
        method = inspect.getattr_static(type(self.owner), self.name)
        return method.__get__(self.owner, type(self.owner))

    @torch.compiler.disable(recursive=False)
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.__wrapped__(*args, **kwargs)
        self._tell(args, kwargs, output)
        return output

    @torch.compiler.disable
    def _tell(self, args: tuple, kwargs: dict, output: Any) -> None:
        for listener in tuple(self.listeners):
            listener(args, kwargs, output)

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the instance, made meanwhile, has no listener."""
        return {**vars(self), "listeners": []}
