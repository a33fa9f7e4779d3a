"""The teacher's pass over a batch: heads that ask their data samples for more than the preprocessor told."""

from __future__ import annotations

from pathlib import Path

import torch
from helpers.shrunk_configs import write_shrunk
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmdist.models.algorithms.passes import forward_features

MASKFORMER = "mmseg::maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py"


def test_maskformer_answers_as_in_its_own_inference(tmp_path: Path) -> None:
    cfg = Config.fromfile(write_shrunk(tmp_path, MASKFORMER, "maskformer", 4, smallest_form=True))
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(cfg.model).eval()
    inputs = torch.rand(2, 3, 64, 64)
    samples = [SegDataSample(metainfo=dict(img_shape=(64, 64))) for _ in inputs]
    with torch.no_grad():
        scores, masks = forward_features(model, inputs, samples)
        decided = model.encode_decode(inputs, [dict(img_shape=(64, 64)) for _ in inputs])
    resized = torch.nn.functional.interpolate(masks[-1], (64, 64), mode="bilinear", align_corners=False)
    wanted = torch.einsum("bqc, bqhw->bchw", scores[-1].softmax(-1)[..., :-1], resized.sigmoid())
    torch.testing.assert_close(wanted, decided)
    assert "batch_input_shape" not in samples[0].metainfo
