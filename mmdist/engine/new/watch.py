"""One pass of a model, watched: what its modules are given and return, and in which order its layers run."""

from __future__ import annotations

import re
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

NO_LAST = "no layer before its classifier returns what the classifier works on"
LAYERS = (nn.Conv2d, nn.Linear)
ASIDE = re.compile(r"(^|\.)(se|se_layer|se_module|downsample|shortcut|skip)\.")  # beside the main path, by their names


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

    def last_layers(self, classifier: str, prefix: str = "", word: str = "", feature: Shape = ()) -> list[str]:
        """The last layer whose output the classifier works on, and the classifier.

        Layers beside the main path, such as those of a squeeze-and-excitation, return something of another shape.

        Args:
            classifier (str): Name of a layer.
            prefix (str): Where the layer before it stands; empty: anywhere.
            word (str): Of those before it, one that has this in its name, where there is one.
            feature (Shape): Of the map that is averaged for the classifier, where it is.

        Returns:
            list[str]: Two names, or none where the classifier is no layer, or no layer before it fits.
        """
        given = dict((self.inputs.get(classifier) or [[]])[0]).get((0,))
        if classifier not in self.order or given is None:
            return []
        seen = feature or given
        before = [name for name in self.order[: self.order.index(classifier)] if not prefix or under(name, prefix)]
        before = [name for name in before if self._returns(name, given, seen)]
        main = [name for name in before if not ASIDE.search(name)] or before
        near = [name for name in main if word and word in name.removeprefix(prefix)] or main
        return [near[-1], classifier] if near else []

    def _returns(self, name: str, given: Shape, seen: Shape) -> bool:
        """Whether a layer returns features as the classifier is given, and as many positions as are seen."""
        outputs = [shape for call in self.modules[name].outputs for _, shape in call]
        if not outputs or channels(outputs[0]) != channels(given):
            return False
        single = len(outputs[0]) == 2 or (len(outputs[0]) == 4 and outputs[0][2:] == (1, 1))
        return not single or len(given) == len(outputs[0]) == 2 or len(seen) != 4 or seen[2:] == (1, 1)


def channels(shape: Shape) -> int:
    """Of a map (N, C, H, W); of tokens and vectors the last dimension."""
    return shape[1] if len(shape) == 4 else shape[-1]


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
