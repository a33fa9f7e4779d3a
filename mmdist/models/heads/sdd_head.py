"""``mmdist.SDDHead``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmrazor.models.architectures.connectors.base_connector import BaseConnector
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import pool_regions
from mmdist.functional.regions import check_scales
from mmdist.models.heads.classifier import KEY, as_map, classify
from mmdist.models.heads.roi import classify_rois
from mmdist.models.recorders.owners import owner_of
from mmdist.registry import MODELS


@MODELS.register_module()
class SDDHead(BaseConnector):
    r"""SDD (https://arxiv.org/abs/2403.13512): logits of regions, through the model's own classifier.

    A connector without parameters: the model whose record it is given, student or teacher, classifies the regions.
    Record with ``mmdist.Module`` or ``mmdist.Method``, which remember the model.

    - **Classifier**: the record is the last feature map (``backbone``). It is pooled first, and the few vectors then go
      through the head: :math:`z_{n,:,r} = \mathrm{head}(\mathrm{pool}_r(F_n))`. No map of class scores is ever made.
    - **Segmenter and one-stage detector** (ours): the record is a map of logits (``decode_head.conv_seg``), which is
      pooled; for a linear classifier that is the same.
    - **Two-stage detector**: the record is what the box head is given (``roi_head._bbox_forward``, ``what='inputs'``):
      RoIAlign at twice the size, its 2x2 averages and the four grids of every second pixel, each classified.

    Args:
        scales (Sequence[int]): Cells along each side of the grids, 1 first. Defaults to (1, 2, 4).
        nested (bool): As the official code: coarser grids from the finest one. Defaults to True.
        tokens (bool): Take a sequence of tokens, such as a ViT's, as the map it is made of, without its class token.
            Region 0 is then not what a classifier of the class token predicts. Defaults to False.

    Raises:
        ValueError: Scales that cannot be.

    Source:
        SDD (CVPR 2024) section 3; ``shicaiwei123/SDD-CVPR2024`` (two-stage detectors in its code alone).
    """

    def __init__(
        self,
        scales: Sequence[int] = (1, 2, 4),
        nested: bool = True,
        tokens: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.scales = check_scales(scales)
        self.nested = nested
        self.tokens = tokens

    def forward_train(self, feature: Any) -> Tensor:
        """Logits of the regions.

        Args:
            feature (Tensor | tuple): A map (N, D, H, W), of which a tuple's last counts; tokens (N, L, D); or the
                pyramid and the regions of interest, (R, 5).

        Returns:
            Tensor: (N, C, regions), region 0 the whole; of a two-stage detector (R, C + 1, 5).

        Raises:
            ConfigError: A record of another recorder, or a model whose classifier cannot be applied to regions.
        """
        model = owner_of(feature)
        if model is None:
            wanted = "a record of mmdist.Module or mmdist.Method, which remember the model that classifies"
            raise ConfigError(KEY, type(feature).__name__, wanted)
        if hasattr(model, "roi_head"):
            return classify_rois(model, feature)
        feature = feature[-1] if isinstance(feature, list | tuple) else feature
        if hasattr(model, "decode_head") or hasattr(model, "bbox_head"):
            return pool_regions(feature, self.scales, nested=self.nested)
        if not hasattr(model, "head"):
            raise ConfigError(KEY, type(model).__name__, "a model with a head, decode_head, bbox_head or roi_head")
        regions = pool_regions(as_map(model, feature, self.tokens), self.scales, nested=self.nested)
        logits = classify(model, regions.movedim(2, 1).flatten(0, 1), tokens=feature.ndim == 3)
        return logits.unflatten(0, (regions.shape[0], regions.shape[2])).movedim(2, 1)

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(model)``."""
        return f"scales={self.scales}, nested={self.nested}, tokens={self.tokens}"
