"""Modules that a pass calls more than once: which of the calls is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.shrunk_configs import write_shrunk

from mmdist.engine.new import new_config
from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.load import load_pair
from mmdist.engine.new.passes import recorded

ANN = "mmseg::ann/ann_r50-d8_4xb2-40k_cityscapes-512x1024.py"  # drops out twice
PSP = "mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py"
KNET = "mmseg::knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py"  # in training, a map a stage
SIDE = 64


@pytest.mark.parametrize("source", [ANN, PSP], ids=["twice", "once"])
def test_the_features_of_a_segmenter_are_those_that_its_classifier_is_given(source: str, tmp_path: Path) -> None:
    path = str(write_shrunk(tmp_path, source, "plain"))
    with dry_run(), torch.no_grad():
        pair = load_pair(path, path, (SIDE, SIDE))
        for side in (pair.student, pair.teacher):
            (features,), (scores,) = (recorded(side, pair.batch, spots) for spots in (side.features, side.logits))
            torch.testing.assert_close(side.model.decode_head.conv_seg(features), scores, rtol=1e-4, atol=1e-4)


def test_a_head_that_returns_more_in_training_is_written_and_trains(tmp_path: Path) -> None:
    path = str(write_shrunk(tmp_path, KNET, "plain"))
    written = new_config(path, path, "kd", str(tmp_path / "written.py"), size=(SIDE, SIDE))
    assert written.losses["distill.loss_kd"] > 0


def test_distplus_trains_a_segmenter_that_drops_out_twice(tmp_path: Path) -> None:
    path = str(write_shrunk(tmp_path, ANN, "plain"))
    written = new_config(path, path, "distplus", str(tmp_path / "written.py"), size=(SIDE, SIDE))
    assert "distill.loss_spatial" in written.losses, written.losses
