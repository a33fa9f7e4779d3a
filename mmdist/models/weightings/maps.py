"""The weights of one iteration, computed when the student's losses are called."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import difficulty
from mmdist.functional.checks import check_choice, check_non_negative
from mmdist.models.weightings.answers import Answers
from mmdist.models.weightings.calls import LossCall
from mmdist.models.weightings.rows import Order
from mmdist.models.weightings.targets import ANCHORS, PIXELS, Target


@dataclass(frozen=True)
class Options:
    """See :class:`mmdist.models.weightings.rdd.RDDWeighting`."""

    mode: str
    threshold: float
    min_kept: int | None
    class_weight: Sequence[float] | None
    kl_direction: str
    align_corners: bool

    def __post_init__(self) -> None:
        check_choice("model.weighting.mode", self.mode, difficulty.MODES)
        check_choice("model.weighting.kl_direction", self.kl_direction, difficulty.KL_DIRECTIONS)
        check_non_negative("model.weighting.threshold", self.threshold)
        if self.min_kept is not None and (not isinstance(self.min_kept, int) or self.min_kept < 0):
            raise ConfigError("model.weighting.min_kept", self.min_kept, "a number of positions, 0 or above")
        if not isinstance(self.class_weight, list | tuple | None):
            raise ConfigError("model.weighting.class_weight", self.class_weight, "a list, one number a class")
        for value in self.class_weight or ():
            check_non_negative("model.weighting.class_weight", value)

    def with_min_kept(self, value: int) -> Options:
        """The same with another ``min_kept``."""
        return replace(self, min_kept=value)


class Maps:
    """Weights of one iteration's loss calls.

    Args:
        options (Options): Of the weighting.
        share (float): How much of the first stage there is: 1, 0, or between while they blend.
        answers (Answers): The teacher's logits.
        opinions (tuple[str, str], optional): The recorders of the teacher's head that predicts and of its auxiliary
            head, for the first stage; None: entropy.
    """

    def __init__(self, options: Options, share: float, answers: Answers, opinions: tuple[str, str] | None) -> None:
        self.options, self.share, self.answers, self.opinions = options, share, answers, opinions
        # Of the main loss, over all of its calls: how many positions are valid, how many of them count, their weights.
        self.totals: Tensor | None = None
        self._agreement: dict[Any, Tensor] = {}
        self._teacher_probability: dict[Any, tuple[Tensor, Tensor]] = {}

    def weight(
        self, target: Target, name: str, call: LossCall, order: Order | None = None
    ) -> tuple[Tensor, Tensor | float | None]:
        """Weight of each position of one loss call, and what the weighted sum is divided by.

        Args:
            target (Target): The student's loss.
            name (str): The recorder of the teacher's answer to it.
            call (LossCall): The call.
            order (Order, optional): Of a detector, the order of its rows.

        Returns:
            tuple[Tensor, Tensor | float | None]: As the labels; None leaves the loss's own divisor.
        """
        logits, label = call.logits.detach(), call.label
        if target.kind == PIXELS and (label.ndim != 3 or logits.ndim != 4):
            wanted = "a loss of one label for each pixel, (N, H, W)"
            raise ConfigError(f"model.architecture.{target.path}", tuple(label.shape), wanted)
        ask = functools.cache(lambda recorder: self.answers.logits(target, recorder, call.logits, order))
        valid = valid_positions(target, call)
        first = self._first(target, name, call, ask) if self.share > 0 else None
        second = self._second(target, name, call, ask, valid) if self.share < 1 else None
        weight, average_over = self._joined(target, first, second, call, valid)
        if target.main:
            found = [valid.sum(), ((weight > 0) & valid).sum(), (weight * valid).sum()]
            totals = torch.stack([value.to(weight.dtype) for value in found])
            self.totals = totals if self.totals is None else self.totals + totals
        return weight, average_over

    def _first(self, target: Target, name: str, call: LossCall, ask: Callable[[str], Tensor]) -> Tensor:
        size = call.label.shape[1:] if target.kind == PIXELS else None
        key = name if self.opinions is None else size  # the paper's map is that of the network, for all its heads
        if target.kind == ANCHORS or key not in self._agreement:
            options = dict(size=size, align_corners=self.options.align_corners)
            if self.opinions is None:
                found = difficulty.entropy_weight(both_sides(ask(name)), activation=activation(call), **options)
            else:
                main, second = (both_sides(ask(opinion)) for opinion in self.opinions)
                found = difficulty.rdd_teacher_weight(main, second, kl_direction=self.options.kl_direction, **options)
            self._agreement[key] = found
        return self._agreement[key]

    def _second(self, target: Target, name: str, call: LossCall, ask: Callable[[str], Tensor], valid: Tensor) -> Tensor:
        options = dict(
            ignore_index=target.ignore_index, align_corners=self.options.align_corners, activation=activation(call)
        )
        logits = both_sides(call.logits.detach())
        hard = self._hard(difficulty.label_probability(logits, call.label, **options), valid)
        if self.options.mode == "student":
            return hard
        # Several losses of one head share the teacher's answer, unless the head changes the labels between them.
        known = self._teacher_probability.get(name)
        if target.kind == ANCHORS or known is None or known[0] is not call.label:
            known = call.label, difficulty.label_probability(both_sides(ask(name)), call.label, **options)
            self._teacher_probability[name] = known
        return difficulty.combine_masks(hard, self._hard(known[1], valid), self.options.mode)

    def _hard(self, probability: Tensor, valid: Tensor) -> Tensor:
        options = self.options
        return difficulty.hard_from_probability(
            probability, valid, threshold=options.threshold, min_kept=options.min_kept
        )

    def _joined(
        self, target: Target, first: Tensor | None, second: Tensor | None, call: LossCall, valid: Tensor
    ) -> tuple[Tensor, Tensor | float | None]:
        if second is None:
            return first, None
        kept = second.to(torch.float32)
        if self.options.class_weight is not None and not call.label.is_floating_point():
            kept = kept * self._class_weight(call.logits, call.label, self.options.class_weight)
        if target.kind == ANCHORS or call.reduction != "mean":
            return (kept if first is None else self.share * first + (1 - self.share) * kept), None
        # A mean over the kept positions: over those that a pixel sampler keeps too, and with the loss's own class
        # weights in the divisor as in the loss.
        own, sigmoid = getattr(call.module, "class_weight", None), getattr(call.module, "use_sigmoid", False)
        own = (
            self._class_weight(call.logits, call.label, own)
            if own is not None and target.kind == PIXELS and not sigmoid
            else None
        )
        per_class = call.logits.shape[1] if sigmoid else 1
        counted = kept if call.weight is None else kept * call.weight
        total = (counted if own is None else counted * own).sum() * per_class
        if first is None:
            return kept, total.where(total > 0, 1.0)
        everything = valid if getattr(call.module, "avg_non_ignore", False) else torch.ones_like(valid)
        divisor = ((everything * valid * own) if own is not None else everything).sum() * per_class
        return self.share * first + (1 - self.share) * kept * divisor / total.where(total > 0, 1.0), divisor

    @staticmethod
    def _class_weight(logits: Tensor, label: Tensor, values: Sequence[float]) -> Tensor:
        # The background of a detector is no class, and weighs 1.
        values = torch.tensor([*values, 1.0], dtype=torch.float32, device=logits.device)
        return values[label.clamp(0, len(values) - 1)]


def valid_positions(target: Target, call: LossCall) -> Tensor:
    """Which positions have a label that counts: not ignored, and of a detector not left out by its head."""
    soft = call.label.is_floating_point()  # of mixup
    valid = call.label.new_ones(call.label.shape[:1], dtype=bool) if soft else call.label != target.ignore_index
    return valid & (call.weight > 0) if target.kind == ANCHORS and call.weight is not None else valid


def activation(call: LossCall) -> str:
    """How the loss turns logits into probabilities."""
    one_channel = call.logits.ndim == 4 and call.logits.shape[1] == 1
    found = "sigmoid" if getattr(call.module, "use_sigmoid", False) and not one_channel else "softmax"
    if found == "softmax" and call.logits.shape[1] == 1 and not one_channel:
        hint = "a softmax over one class is always 1, so no position is easy or hard"
        raise ConfigError("model.weighting", "scores of one class", "two classes, or a sigmoid loss", hint)
    return found


def both_sides(logits: Tensor) -> Tensor:
    """A map of one channel, which says how much a pixel is of class 1, as logits of two classes; others as they are."""
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.ndim == 4 and logits.shape[1] == 1 else logits
