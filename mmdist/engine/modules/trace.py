"""Which modules of a model run in one pass, how often, and what they return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from mmdist.models.recorders.sources import has_forward
from mmdist.models.recorders.tap import Tap

Shape = tuple[int, ...]
Part = tuple[tuple[int | str, ...], Shape]  # where in what is returned, and the shape there
MOST_PARTS = 64


@dataclass
class ModuleTrace:
    """One module in one pass.

    Args:
        name (str): As in ``named_modules()``.
        type (str): Name of its class.
        calls (int): How often a forward hook fires.
        direct (int): How often its ``forward`` is called directly, which fires no hook.
        outputs (list[list[Part]]): For each call, or direct call where there is no other, the tensors returned.
    """

    name: str
    type: str
    calls: int = 0
    direct: int = 0
    outputs: list[list[Part]] = field(default_factory=list)

    @property
    def remark(self) -> str:
        """What a user has to know to record it."""
        if not self.direct:
            return ""
        return f"{'also ' if self.calls else ''}called by method: use mmdist.Method"


def trace(model: nn.Module, run: Callable[[], Any]) -> list[ModuleTrace]:
    """Run a model once and watch all its modules.

    Args:
        model (nn.Module): The model; as it was before, afterwards.
        run (Callable): Takes nothing and runs the model.

    Returns:
        list[ModuleTrace]: Every submodule under its first name, in the order of ``named_modules()``.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> [(m.name, m.calls, m.direct) for m in trace(model, lambda: model[0](torch.zeros(1, 2)))]
        [('0', 1, 0), ('1', 0, 0)]
    """
    watches = [_Watch(name, module) for name, module in model.named_modules() if name]
    try:
        for watch in watches:
            watch.open()
        run()
    finally:
        for watch in watches:
            watch.close()
    return [watch.result() for watch in watches]


class _Watch:
    """Counts a module's calls, and those of its forward: the difference was called directly."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module = name, module
        self.hooked: list[list[Part]] = []
        self.forwarded: list[list[Part]] = []
        self.undo: list[Callable[[], Any]] = []

    def open(self) -> None:
        self.undo.append(self.module.register_forward_hook(self._hook).remove)
        if has_forward(self.module):
            self.undo.append(partial(Tap.open(self.module, "forward", self._listen).close, self._listen))

    def close(self) -> None:
        while self.undo:
            self.undo.pop()()

    def result(self) -> ModuleTrace:
        calls = len(self.hooked)
        outputs = self.hooked or self.forwarded
        return ModuleTrace(self.name, type(self.module).__name__, calls, len(self.forwarded) - calls, outputs)

    def _hook(self, module: nn.Module, args: tuple, output: Any) -> None:
        self.hooked.append(parts(output))

    def _listen(self, args: tuple, kwargs: dict, output: Any) -> None:
        self.forwarded.append(parts(output))


def parts(output: Any) -> list[Part]:
    """The tensors in what a module returns, with the indices that lead to them.

    Example:
        >>> import torch
        >>> parts((torch.zeros(2, 3), dict(x=torch.zeros(1))))
        [((0,), (2, 3)), ((1, 'x'), (1,))]
    """
    return [part for part, _ in zip(_walk(output, ()), range(MOST_PARTS), strict=False)]


def _walk(node: Any, index: tuple[int | str, ...]) -> Iterator[Part]:
    if isinstance(node, Tensor):
        yield index, tuple(node.shape)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _walk(value, (*index, name))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _walk(value, (*index, number))
