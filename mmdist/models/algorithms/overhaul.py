"""MMRazor's distiller of overhauled features (OFD): its connectors take margins from the teacher's batch norms."""

from __future__ import annotations

import copy
from operator import attrgetter

from mmengine.model import BaseModel
from mmrazor.models.architectures.connectors import OFDTeacherConnector
from mmrazor.models.distillers import BaseDistiller, OFDDistiller
from mmrazor.models.losses import OFDLoss
from torch import nn

from mmdist.errors import ConfigError

TINY = 1e-12


def give_margins(distiller: BaseDistiller, teacher: BaseModel) -> None:
    """Do what MMRazor's ``OverhaulFeatureDistillation`` does, which is an algorithm of its own there.

    Args:
        distiller (BaseDistiller): Of other types nothing is done.
        teacher (BaseModel): With its weights.

    Raises:
        ConfigError: The teacher's side of such a loss has no ``OFDTeacherConnector``, or records no batch norm.
    """
    if not isinstance(distiller, OFDDistiller):
        return
    for name, mapping in distiller.loss_forward_mappings.items():
        if not isinstance(distiller.distill_losses[name], OFDLoss):
            continue
        for argument, record in mapping.items():
            key = f"model.distiller.loss_forward_mappings.{name}.{argument}"
            connector = record.get("connector")
            if record["from_student"] or connector is None:
                continue
            if not isinstance(distiller.connectors[connector], OFDTeacherConnector):
                given = type(distiller.connectors[connector]).__name__
                raise ConfigError(f"model.distiller.connectors.{connector}", given, "an mmrazor.OFDTeacherConnector")
            source = distiller.teacher_recorders.get_recorder(record["recorder"]).source
            try:
                norm = attrgetter(source)(teacher)
            except AttributeError:
                norm = None
            if not isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):
                raise ConfigError(f"{key}.recorder", record["recorder"], "a recorder of a batch norm of the teacher")
            distiller.connectors[connector].init_margin(distiller._get_margin_from_BN(_without_zeros(norm)))


def _without_zeros(norm: nn.Module) -> nn.Module:
    """MMRazor divides by the weights, and that of a last norm in a residual block may be exactly 0."""
    norm = copy.deepcopy(norm)
    weight = norm.weight.data
    norm.weight.data = weight.where(weight.abs() >= TINY, weight.new_tensor(TINY))
    return norm
