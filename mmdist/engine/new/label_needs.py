"""Which losses of a method need labels, and so teach nothing from images that have none."""

from __future__ import annotations

from mmengine.registry import MODELS

from mmdist.engine.new.wiring import Loss, Wiring
from mmdist.models.losses import joint


def needs_labels(loss: Loss) -> bool:
    """Whether a loss needs the labels that it is given, as the training will ask it."""
    return any(joint.needs_labels(MODELS.build(dict(loss.config)), mapping) for mapping in loss.mappings[:1])


def why_not_without_labels(wiring: Wiring) -> str:
    """Why a method cannot do without labels; empty: it can."""
    if wiring.weighting is not None:
        return "there are no labels, and it weighs the student's own losses, which need them"
    names = [loss.config["type"].rpartition(".")[2] for loss in wiring.losses if needs_labels(loss)]
    return f"there are no labels, and its {' and '.join(names)} needs them" if names else ""
