"""Run inside ``.venv``: do mmcv's compiled operators load beside this torch, and compute what they should?

    python check_operators.py [MODULE ...]

Args:
    MODULE: What has to be importable besides.
"""

from __future__ import annotations

import importlib
import sys

import torch


def main() -> int:
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0], [5.0, 5.0, 9.0, 9.0]])
    _, kept = nms(boxes, torch.tensor([0.5, 0.9, 0.7]), iou_threshold=0.5)
    ramp = torch.arange(16.0).reshape(1, 1, 4, 4)
    pooled = roi_align(ramp, torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]]), (1, 1), 1.0, 0, "avg", True)
    if kept.tolist() != [1, 2] or abs(pooled.item() - 7.5) > 1e-5:
        print(f"error: mmcv's operators compute nonsense beside torch {torch.__version__}: {kept}, {pooled}")
        return 1
    for module in sys.argv[1:]:
        importlib.import_module(module)
    return 0


if __name__ == "__main__":
    sys.exit(main())
