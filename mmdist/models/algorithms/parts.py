"""The records of the parts of a batch, and the distillation losses over both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from mmrazor.models.distillers import BaseDistiller
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.models.algorithms.alignment import match_connectors
from mmdist.models.algorithms.records import managers
from mmdist.models.algorithms.unlabeled import content
from mmdist.models.ignore_index import LABELS
from mmdist.models.losses.joint import Part, joint_loss, needs_labels, unlabeled_loss

_said: set[str] = set()


class Records:
    """What the recorders of both sides hold after the passes over one part of a batch.

    Args:
        distiller (BaseDistiller): Its recorders have fired.
        inputs (Tensor): (N, C, H, W), of this part.
        samples (Sequence, optional): Its data samples.
    """

    def __init__(self, distiller: BaseDistiller, inputs: Tensor, samples: Sequence | None) -> None:
        self.inputs, self.samples = inputs, samples
        recorders = [recorder for _, manager in managers(distiller) for recorder in manager.recorders.values()]
        self._buffers = [(recorder, recorder._data_buffer) for recorder in recorders]

    def put_back(self) -> None:
        """Let the recorders hold them again."""
        for recorder, records in self._buffers:
            recorder._data_buffer = records

    def arguments(self, distiller: BaseDistiller, losses: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What each of these losses is called with."""
        self.put_back()
        match_connectors(distiller)
        mappings = distiller.loss_forward_mappings
        return {
            name: {key: distiller.get_record(**record) for key, record in mappings[name].items()} for name in losses
        }

    def part(self, arguments: dict[str, Any], *, labeled: bool) -> Part:
        """The arguments of one loss, and the images they are of."""
        masked = LABELS in arguments and not labeled and self.samples is not None
        inside = content(self.inputs, self.samples) if masked else None
        return Part(arguments, len(self.inputs), inside)


def losses_of_parts(
    distiller: BaseDistiller, labeled: Records | None, unlabeled: Records, *, pseudo: bool = False
) -> dict[str, Tensor]:
    """The distillation losses: over both parts, or over the labelled images where a loss needs labels.

    Args:
        distiller (BaseDistiller): Its recorders; they hold the labelled images' records afterwards.
        labeled (Records, optional): None: the batch has none.
        unlabeled (Records): Of the others.
        pseudo (bool): Whether these teach by pseudo-labels too. Defaults to False.

    Returns:
        dict[str, Tensor]: By the losses' names.

    Raises:
        ConfigError: A loss that needs labels, and no labelled image.
    """
    mappings = getattr(distiller, "loss_forward_mappings", None) or {}
    modules = {name: distiller.distill_losses[name] for name in mappings}
    free = [name for name, mapping in mappings.items() if not needs_labels(modules[name], mapping)]
    if labeled is None:
        bound = next((name for name in mappings if name not in free), None)
        if bound is not None:
            key, wanted = f"model.distiller.distill_losses.{bound}", "a loss that needs no labels: the batch has none"
            raise ConfigError(key, type(modules[bound]).__name__, wanted)
        others = unlabeled.arguments(distiller, free)
        return {name: unlabeled_loss(modules[name], unlabeled.part(others[name], labeled=False)) for name in free}
    if not free and not pseudo and "none" not in _said:
        _said.add("none")
        text = "every loss of model.distiller needs labels: the unlabelled images teach nothing"
        print_log(text, "current", logging.WARNING)
    own = labeled.arguments(distiller, list(mappings))  # first: what a connector draws is as without the others
    others = unlabeled.arguments(distiller, free)
    labeled.put_back()
    found = {}
    for name, module in modules.items():
        if name not in free:
            found[name] = module(**own[name])
            continue
        parts = labeled.part(own[name], labeled=True), unlabeled.part(others[name], labeled=False)
        found[name] = joint_loss(module, *parts)
    return found
