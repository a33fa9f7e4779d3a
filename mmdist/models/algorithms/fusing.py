"""A frozen batch norm after a frozen convolution is the convolution with other weights: one pass over the map less."""

from __future__ import annotations

import logging
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from mmcv.cnn.bricks.wrappers import Conv2d as MMCVConv2d
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mmdist.compat import packed_convolution
from mmdist.compat.packed_convolution import PackedConvolution
from mmdist.models.algorithms.passes import under

CONVOLUTIONS = {nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward, MMCVConv2d.forward}
NORMS = {nn.BatchNorm2d.forward, nn.SyncBatchNorm.forward}
TOLERANCE = 1e-3  # largest deviation, relative to the largest value
EAGER, SELDOM = 4, 50  # passes in which the weights are looked at: the first, and every so many

Run = Callable[[], list[Tensor]]


class Pair(NamedTuple):
    """A convolution, and the norm that alone reads its output."""

    convolution: nn.Module
    norm: nn.Module


class Statistics(NamedTuple):
    """What a norm computes with, each (C,)."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None


class FusedNorms:
    """The teacher's batch norms, computed by the convolutions before them while the teacher runs.

    Which norm follows which convolution shows when the model runs. Nothing of the model changes: weights with the norm
    in them are copies, and the modules compute with them inside :meth:`applied` alone.

    Args:
        model (nn.Module): The teacher, in evaluation mode.
        packs (bool): Whether weights may be packed on a CPU, so that the maps are in channels-last order.
    """

    def __init__(self, model: nn.Module, *, packs: bool = True) -> None:
        self.model = model
        self.packs = packs and packed_convolution.available()
        self.pairs: list[Pair] = []
        self.lone: list[nn.Module] = []  # convolutions that are packed alone, as maps in channels-last order reach them
        self._forwards: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
        self._state: tuple = ()
        self._witnesses: list[tuple[Tensor, Tensor]] = []
        self._passes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_forwards": {}, "_state": (), "_witnesses": [], "_passes": 0}

    def search(self, run: Run, sources: Iterable[str]) -> None:
        """Find the pairs; keep them if the model computes the same with them, packed only if it does so with that too.

        Args:
            run (Callable): Runs the model; returns what it recorded and answered.
            sources (Iterable[str]): What is recorded: these modules stay as they are.
        """
        sources = tuple(sources)
        names = {module: name for name, module in self.model.named_modules()}
        found, tried = followed(self.model, run)
        pairs = [
            pair for pair in found if not any(under(source, names[module]) for source in sources for module in pair)
        ]
        held = {pair.convolution for pair in pairs}
        # What the trial does not run, such as a box head, is not known to bear maps in another order.
        lone = [module for module in tried if module not in held and _is_convolution(module)]
        self.packs = self.packs and bool(pairs) and exchangeable(pairs, lone, run, packs=True)
        self.lone = lone if self.packs else []
        self.pairs = pairs if self.packs or (pairs and exchangeable(pairs, [], run, packs=False)) else []

    def unpack(self) -> None:
        """From now on with maps in the order that the model is used to."""
        self.packs, self.lone, self._state = False, [], ()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the convolutions compute the norms too, and those hand on what they get."""
        state = _state(self.pairs, self.lone)
        if state != self._state:  # also the first time, on another device and in another dtype
            statistics = {pair: _statistics(pair.norm) for pair in self.pairs}
            self._forwards = fused(statistics, packs=self.packs) | packed(self.lone)
            self._state, self._passes = state, 0
            ends = {pair.convolution.weight for pair in (*self.pairs[:1], *self.pairs[-1:])}
            self._witnesses = [(weight, weight.detach().clone()) for weight in ends]
        self._watch()
        with replaced(self._forwards):
            yield

    def _watch(self) -> None:
        """Stop fusing for a teacher that is written to through ``.data``, as hooks do that average a student into it.

        PyTorch does not say so, and to look means to wait for a GPU: thus in the first passes, and then now and then.
        """
        self._passes += 1
        if self._passes > EAGER and self._passes % SELDOM:
            return
        if not all(torch.equal(weight, before) for weight, before in self._witnesses):
            text = "the teacher's weights change: from now on it computes its batch norms (teacher_fuse_conv_bn=False)"
            print_log(text, "current", logging.WARNING)
            self.unpack()
            self.pairs, self._forwards, self._witnesses = [], {}, []


def followed(model: nn.Module, run: Run) -> tuple[list[Pair], list[nn.Module]]:
    """The frozen convolutions and norms of which the one was always, and by the other alone, followed in a run.

    Returns:
        tuple[list[Pair], list[nn.Module]]: These pairs, and all frozen convolutions and norms that the run called.
    """
    fired: Counter[nn.Module] = Counter()
    met: Counter[Pair] = Counter()
    made: dict[int, tuple[nn.Module, weakref.ref, int]] = {}

    def convolved(module: nn.Module, args: tuple, output: Tensor) -> None:
        fired[module] += 1
        made[id(output)] = (module, weakref.ref(output), output._version)

    def norming(module: nn.Module, args: tuple) -> None:
        fired[module] += 1
        convolution, output, version = made.get(id(args[0]), (None, lambda: None, 0))
        if output() is args[0] and version == args[0]._version:
            met[Pair(convolution, module)] += 1

    hooks = [m.register_forward_hook(convolved) for m in model.modules() if _is_convolution(m)]
    hooks += [m.register_forward_pre_hook(norming) for m in model.modules() if _is_norm(m)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    # a convolution that several norms share fires oftener than it meets one of them
    return [pair for pair, times in met.items() if all(fired[module] == times for module in pair)], list(fired)


def exchangeable(pairs: Iterable[Pair], lone: Iterable[nn.Module], run: Run, *, packs: bool) -> bool:
    """Whether the model computes the same with the pairs fused, whatever the norms' statistics are.

    It is tried with random ones: those of an untrained norm change nothing, so that a convolution whose output somebody
    else reads too would not be noticed.
    """
    statistics = {pair: _random(pair.norm) for pair in pairs}
    with replaced({pair.norm: partial(_normed, found, pair.norm.eps) for pair, found in statistics.items()}):
        expected = run()
    with replaced(fused(statistics, packs=packs) | packed(lone)):
        try:
            return _same(expected, run())
        except RuntimeError:  # `view` knows one order of the map
            if not packs:
                raise
            return False


def fused(statistics: Mapping[Pair, Statistics], *, packs: bool) -> dict[nn.Module, Callable[[Tensor], Tensor]]:
    """What the modules of the pairs are to compute, by module."""
    forwards: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
    for (convolution, norm), found in statistics.items():
        weights = fuse_conv_bn_weights(
            *(convolution.weight, convolution.bias, found.mean, found.variance, norm.eps, found.weight, found.bias)
        )
        weight, bias = (part.detach() for part in weights)
        if packs:
            forwards[convolution] = PackedConvolution(convolution, weight, bias)
        else:
            forwards[convolution] = partial(_convolved, convolution, weight, bias)
        forwards[norm] = _identity
    return forwards


def packed(convolutions: Iterable[nn.Module]) -> dict[nn.Module, Callable[[Tensor], Tensor]]:
    """What convolutions without a norm are to compute where the others are packed."""
    return {module: PackedConvolution(module, module.weight, module.bias) for module in convolutions}


@contextmanager
def replaced(forwards: Mapping[nn.Module, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Inside, the modules compute something else; hooks fire as ever."""
    try:
        for module, forward in forwards.items():
            vars(module)["forward"] = forward
        yield
    finally:
        for module in forwards:
            vars(module).pop("forward", None)


def _convolved(module: nn.Module, weight: Tensor, bias: Tensor, inputs: Tensor) -> Tensor:
    return module._conv_forward(inputs, weight, bias)


def _normed(statistics: Statistics, eps: float, inputs: Tensor) -> Tensor:
    return batch_norm(inputs, *statistics, eps=eps)


def _identity(inputs: Tensor) -> Tensor:
    return inputs


def _statistics(norm: nn.Module) -> Statistics:
    return Statistics(norm.running_mean, norm.running_var, norm.weight, norm.bias)


def _random(norm: nn.Module) -> Statistics:
    """Of the order of those of trained norms, so that no number grows out of bounds in a deep network."""
    mean, variance = torch.rand_like(norm.running_mean) - 0.5, torch.rand_like(norm.running_var) + 0.5
    weight = None if norm.weight is None else torch.rand_like(norm.weight) + 0.5
    bias = None if norm.bias is None else torch.rand_like(norm.bias) - 0.5
    return Statistics(mean, variance, weight, bias)


def _state(pairs: Iterable[Pair], lone: Iterable[nn.Module]) -> tuple:
    """Another as soon as a weight is: in place, on another device, in another dtype."""
    convolutions = (*(pair.convolution for pair in pairs), *lone)
    parts = [part for module in convolutions for part in (module.weight, module.bias)]
    parts += [part for pair in pairs for part in _statistics(pair.norm)]
    return tuple((part.data_ptr(), part._version, part.dtype) for part in parts if part is not None)


def _frozen(module: nn.Module) -> bool:
    return "forward" not in vars(module) and not any(parameter.requires_grad for parameter in module.parameters())


def _is_convolution(module: nn.Module) -> bool:
    return type(module).forward in CONVOLUTIONS and "weight" in module._parameters and _frozen(module)


def _is_norm(module: nn.Module) -> bool:
    plain = type(module).forward in NORMS and module.running_mean is not None
    return plain and not module.training and _frozen(module)


def _same(expected: list[Tensor], found: list[Tensor]) -> bool:
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in found]:
        return False
    for a, b in zip(expected, found, strict=True):
        # a comparison with what is not a number is false
        if a.numel() and not bool((a - b).abs().max() <= TOLERANCE * a.abs().max()):
            return False
    return True
