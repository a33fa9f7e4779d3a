"""One pass of a model, watched: what its modules are given and return, and in which order its layers run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from mmdist.engine.modules.trace import ModuleTrace, Part, Shape, parts, trace
from mmdist.engine.new.sides import Spot
from mmdist.models.algorithms.passes import under
from mmdist.models.recorders.base import in_order
from mmdist.models.recorders.sources import has_forward

LAYERS = (nn.Conv2d, nn.Linear)


@dataclass
class Watched:
    """A pass.

    Args:
        modules (dict[str, ModuleTrace]): By name.
        inputs (dict[str, list[list[Part]]]): By name, for each call the tensors that the module is given.
        order (list[str]): Convolutions and linear layers, in the order of their calls.
        leaves (set[str]): Modules without children.
    """

    modules: dict[str, ModuleTrace]
    inputs: dict[str, list[list[Part]]]
    order: list[str]
    leaves: set[str]

    def layers(self, prefix: str) -> Iterator[ModuleTrace]:
        """Modules under a name that have no children and are called, in the order of their calls as far as known."""
        place = {name: number for number, name in enumerate(self.order)}
        found = [module for name, module in self.modules.items() if name in self.leaves and under(name, prefix)]
        yield from sorted((module for module in found if module.calls), key=lambda m: place.get(m.name, -1))

    def label(self, source: str, call: int, fits: Callable[[Shape], bool]) -> Spot | None:
        """The second argument of a loss module, if it is one tensor of the right shape."""
        calls = self.inputs.get(source, [])
        shapes = dict(calls[call]) if call < len(calls) else {}
        if (1,) not in shapes or not fits(shapes[1,]):
            return None
        return Spot(source, shapes[1,], what="inputs", record_idx=call, data_idx=1)

    def last_layers(self, classifier: str, prefix: str, word: str = "") -> list[str]:
        """The last layer before a classifier, and the classifier.

        Args:
            classifier (str): Name of a layer.
            prefix (str): Where the layer before it stands.
            word (str): Of those before it, one that has this in its name, where there is one.

        Returns:
            list[str]: Two names, or none where the classifier is no layer.
        """
        if classifier not in self.order:
            return []
        before = [name for name in self.order[: self.order.index(classifier)] if under(name, prefix)]
        near = [name for name in before if word and word in name.removeprefix(prefix)] or before
        return [*near[-1:], classifier]


def watch(model: nn.Module, run: Callable[[], Any]) -> Watched:
    """Run a model once and watch it.

    Args:
        model (nn.Module): The model; as it was before, afterwards.
        run (Callable): Takes nothing and runs the model.

    Returns:
        Watched: What happened.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
        >>> watched = watch(model, lambda: model(torch.zeros(1, 2)))
        >>> watched.order, watched.inputs['2'], watched.last_layers('2', '0')
        (['0', '2'], [[((0,), (1, 3))]], ['0', '2'])
    """
    inputs: dict[str, list[list[Part]]] = {}
    order: list[str] = []

    def note(name: str, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        inputs.setdefault(name, []).append(parts(in_order(module.forward, args, kwargs)))
        if isinstance(module, LAYERS):
            order.append(name)

    named = [(name, module) for name, module in model.named_modules() if name and has_forward(module)]
    handles = [module.register_forward_pre_hook(partial(note, name), with_kwargs=True) for name, module in named]
    try:
        modules = trace(model, run)
    finally:
        for handle in handles:
            handle.remove()
    leaves = {name for name, module in named if not any(True for _ in module.children())}
    return Watched({module.name: module for module in modules}, inputs, order, leaves)
