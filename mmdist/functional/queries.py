"""Segmenters that answer with queries: Mask2Former and its kind."""

from __future__ import annotations

import torch
from torch import Tensor

from mmdist.functional.checks import compute_dtype, full_precision


@torch.no_grad()
def query_logits(class_scores: Tensor, masks: Tensor) -> Tensor:
    r"""The classes and masks of queries as one map of logits.

    .. math:: z_{c,x} = \log \sum_q \mathrm{softmax}(s_q)_c\, \mathrm{sigmoid}(m_{q,x})

    over all classes but the last, which means that a query is of none. Its softmax is how the model shares a pixel out.

    Args:
        class_scores (Tensor): s, (N, Q, C + 1) logits.
        masks (Tensor): m, (N, Q, H, W) logits.

    Returns:
        Tensor: (N, C, H, W), float32 (float64 for float64 inputs), without gradient.

    Source:
        MaskFormer (NeurIPS 2021), semantic inference.

    Example:
        >>> import torch
        >>> query_logits(torch.randn(2, 10, 4), torch.randn(2, 10, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """
    with full_precision(masks):
        dtype = compute_dtype(masks)
        classes = class_scores.to(dtype).softmax(-1)[..., :-1]
        shares = torch.einsum("nqc,nqhw->nchw", classes, masks.to(dtype).sigmoid())
        return shares.clamp_min(torch.finfo(dtype).tiny).log()
