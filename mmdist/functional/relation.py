"""Relations that a student takes over from its teacher: DIST and DIST+."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from mmdist.functional import _cpu
from mmdist.functional._blocked import Spec
from mmdist.functional._memory import addressable
from mmdist.functional._plain import EPS, pearson_distance
from mmdist.functional._streaming import as_maps, streaming_relation
from mmdist.functional.checks import (
    check_choice,
    check_non_negative,
    check_pair,
    check_positive,
    check_target,
    compute_dtype,
    full_precision,
    near_one,
    position_weight,
)

ACTIVATIONS = ("softmax", "sigmoid", "none")
GUARD_REL = 1e-4  # a spread below this share of the norm is rounding: its gradient would be noise, and huge
PLAIN_BELOW = 1 << 16  # scores up to which autograd on the plain formula is taken: blocks would only cost calls


def dist_loss(
    logits_s: Tensor,
    logits_t: Tensor,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    tau: float = 1.0,
    tau_squared: bool = True,
    activation: str = "softmax",
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
    guard_rel: float = 1e-4,
) -> Tensor:
    r"""DIST: match the relations between classes and, in each class, between samples.

    With :math:`Y = \mathrm{activation}(z / \tau)`, one row a sample (a pixel, in a map), and
    :math:`P` one minus the Pearson correlation,

    .. math::
        L = \tau^2 \left( \beta \, \mathrm{mean}_i\, P(Y^s_{i,:}, Y^t_{i,:})
            + \gamma \, \mathrm{mean}_j\, P(Y^s_{:,j}, Y^t_{:,j}) \right)

    One class has no relation to others, and a softmax over it is always 1: both terms are then 1, without gradient. The
    registered loss refuses that.

    Both terms lie in [0, 2]. With weights, the mean over the rows and the moments of the columns are weighted;
    a position of weight 0 is as if it were not there, whatever its logits hold. Nothing that counts: loss and
    gradient are 0.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial).
        logits_t (Tensor): Teacher, same shape. Never gets a gradient.
        inter_weight (float): beta, weight of the relation between classes. Defaults to 1.
        intra_weight (float): gamma, weight of the relation inside each class. Defaults to 1.
        tau (float): Temperature. Defaults to 1.
        tau_squared (bool): Multiply by tau^2, as the official code does and the paper does not. Defaults to True.
        activation (str): ``softmax`` over the classes, ``sigmoid`` (one-vs-rest heads) or ``none``.
        mask (Tensor, optional): (N, *spatial) bool, True = counts.
        weight (Tensor, optional): (N, *spatial), 0 or above.
        group (ProcessGroup, optional): The statistics are those of the batch over all processes of the group:
            every process returns the value of the global batch, and the gradients are such that their *average*
            over the processes (what DDP computes) is the gradient of one process on the global batch.
        guard_rel (float): A student row or column whose spread is at most this share of its norm gets no
            gradient, which would grow like 1 / spread. The value is unchanged. 0 disables. Defaults to 1e-4.

    Returns:
        Tensor: Scalar, float32 (float64 for float64 inputs).

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value.

    Source:
        DIST (NeurIPS 2022) sections 3.2 and 3.3; official repositories ``hunto/DIST_KD`` and
        ``hunto/image_classification_sota`` (tau^2, eps, flattening of maps). Mask, weight, group and guard are ours.

    Example:
        >>> import torch
        >>> teacher = torch.randn(2, 19, 8, 8)
        >>> student = torch.randn(2, 19, 8, 8, requires_grad=True)
        >>> dist_loss(student, teacher).backward()
        >>> bool(dist_loss(teacher, teacher) < 1e-4)
        True
    """
    check_pair(logits_s, logits_t)
    check_choice("activation", activation, ACTIVATIONS)
    check_positive("tau", tau)
    for name, value in (("inter_weight", inter_weight), ("intra_weight", intra_weight), ("guard_rel", guard_rel)):
        check_non_negative(name, value)
    factor = tau**2 if tau_squared else 1.0
    spec = Spec(activation, float(tau), guard_rel, rows=inter_weight > 0, columns=intra_weight > 0)
    return _relation(logits_s, logits_t, spec, factor * inter_weight, factor * intra_weight, mask, weight, group)


def channel_relation_loss(
    feat_s: Tensor, feat_t: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    r"""DIST+ L_cr: match, at each position, the relations between the channels.

    .. math:: L_{cr} = \mathrm{mean}_{b,h,w}\, P(F^s_{b,:,h,w}, F^t_{b,:,h,w})

    Args:
        feat_s (Tensor): Student, (N, D, *spatial), aligned to the teacher's channels and size.
        feat_t (Tensor): Teacher, same shape. Never gets a gradient.
        mask (Tensor, optional): (N, *spatial) bool, True = counts.
        weight (Tensor, optional): (N, *spatial), 0 or above.

    Returns:
        Tensor: Scalar in [0, 2], float32 (float64 for float64 inputs). A position where one side is constant, as
        after a dead ReLU, counts 1 and gets no gradient.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape or device.

    Source:
        DIST+ (TPAMI 2025), channel relation; no official code exists.

    Example:
        >>> import torch
        >>> feat = torch.randn(2, 16, 4, 4)
        >>> bool(channel_relation_loss(3 * feat + 1, feat) < 1e-4)
        True
    """
    check_pair(feat_s, feat_t, ("feat_s", "feat_t"))
    return _relation(feat_s, feat_t, Spec("none", 1.0, GUARD_REL, True, False), 1.0, 0.0, mask, weight, None)


def spatial_relation_loss(feat_s: Tensor, feat_t: Tensor, *, mask: Tensor | None = None) -> Tensor:
    r"""DIST+ L_sr: match, in each image, the relations between the positions.

    With :math:`A` the sum over the channels,

    .. math:: L_{sr} = \mathrm{mean}_b\, P(A^s_{b,:}, A^t_{b,:})

    Args:
        feat_s (Tensor): Student, (N, D, *spatial), aligned to the teacher's channels and size.
        feat_t (Tensor): Teacher, same shape. Never gets a gradient.
        mask (Tensor, optional): (N, *spatial) bool, True = counts. Images without such a position are left out.

    Returns:
        Tensor: Scalar in [0, 2], float32 (float64 for float64 inputs); 0 if nothing counts. With one position the
        correlation is not defined and the loss is 1, without gradient.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape or device.

    Source:
        DIST+ (TPAMI 2025), spatial relation; no official code exists.

    Example:
        >>> import torch
        >>> feat = torch.randn(2, 16, 4, 4)
        >>> bool(spatial_relation_loss(3 * feat + 1, feat) < 1e-4)
        True
    """
    check_pair(feat_s, feat_t, ("feat_s", "feat_t"))
    with full_precision(feat_s):
        dtype = compute_dtype(feat_s)
        w = position_weight(feat_s, mask, None)
        if w is not None:  # what does not count may hold anything, NaN too
            keep = mask.unsqueeze(1)
            feat_s, feat_t = (feat.where(keep, feat.new_zeros(())) for feat in (feat_s, feat_t))
        shape = (feat_s.shape[0], feat_s.shape[2:].numel())
        if not feat_s.numel():  # no image, such as no region of interest, or no position
            return feat_s.sum(dtype=dtype)
        w = None if w is None else w.reshape(shape)
        maps = (feat.sum(1, dtype=dtype).reshape(shape) for feat in (feat_s, feat_t.detach()))
        distance = pearson_distance(*maps, dims=(1,), weight=w, guard_rel=GUARD_REL)
        some = distance.new_ones(distance.shape) if w is None else (w.sum(1, keepdim=True) > 0).to(dtype)
        return (distance * some).sum() / some.sum().clamp_min(1)


def acclimation_loss(
    logits_t: Tensor,
    logits_s: Tensor,
    target: Tensor,
    *,
    tau: float = 1.0,
    mask: Tensor | None = None,
    activation: str = "softmax",
) -> Tensor:
    r"""DIST+ L_ta: bring the teacher nearer to the student, on the classes that are not the target.

    With :math:`E` the probabilities without the target's column,

    .. math:: L_{ta} = \mathrm{mean}_i\, P(E^s_{i,:}, E^t_{i,:})

    Args:
        logits_t (Tensor): Teacher, (N, C) or (N, C, *spatial). The gradient goes here, and nowhere else.
        logits_s (Tensor): Student, same shape. Never gets a gradient.
        target (Tensor): (N,) or (N, *spatial) integers in [0, C) wherever the mask is True.
        tau (float): Temperature. There is no tau^2. Defaults to 1.
        mask (Tensor, optional): (N, *spatial) bool, True = counts.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.

    Returns:
        Tensor: Scalar in [0, 2], float32 (float64 for float64 inputs); 0 if nothing counts.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, or a target that is no class.

    Source:
        DIST+ (TPAMI 2025), teacher acclimation; no official code exists. Masks, maps and sigmoid are ours.

    Example:
        >>> import torch
        >>> teacher = torch.randn(4, 10, requires_grad=True)
        >>> student = torch.randn(4, 10, requires_grad=True)
        >>> acclimation_loss(teacher, student, torch.tensor([1, 2, 3, 4])).backward()
        >>> student.grad is None
        True
    """
    check_pair(logits_t, logits_s, ("logits_t", "logits_s"))
    check_positive("tau", tau)
    check_choice("activation", activation, ACTIVATIONS[:2])
    with full_precision(logits_t):
        w = position_weight(logits_t, mask, None)
        target = check_target(target, logits_t, mask)
        z_t, z_s = (as_maps(z).to(compute_dtype(z)) for z in (logits_t, logits_s.detach()))
        keep_shape = (z_t.shape[0], z_t.shape[2])
        w = z_t.new_ones(keep_shape) if w is None else w.reshape(keep_shape)
        z_t, z_s = (z.where(w.unsqueeze(1) > 0, z.new_zeros(())) for z in (z_t, z_s))
        classes = torch.arange(z_t.shape[1], device=target.device)
        others = (classes[:, None] != target.reshape(keep_shape).unsqueeze(1)).to(z_t.dtype)
        e_t, e_s = (_activate(z / tau, activation) for z in (z_t, z_s))
        distance = pearson_distance(e_t, e_s, dims=(1,), weight=others, guard_rel=GUARD_REL).squeeze(1)
        return (distance * w).sum() / w.sum().clamp_min(torch.finfo(w.dtype).tiny)


def _relation(
    x_s: Tensor,
    x_t: Tensor,
    spec: Spec,
    row_weight: float,
    column_weight: float,
    mask: Tensor | None,
    weight: Tensor | None,
    group: dist.ProcessGroup | None,
) -> Tensor:
    with full_precision(x_s):
        dtype = compute_dtype(x_s)
        w = position_weight(x_s, mask, weight)
        w, top = (None, None) if w is None else near_one(w)
        x_t = x_t.detach()
        if group is None and _better_plain(x_s, x_t, w):
            maps = as_maps(x_s).to(dtype), as_maps(x_t).to(dtype)
            return _plain_relation(*maps, w, top, spec, row_weight, column_weight)
        return streaming_relation(
            x_s, x_t, w, top, spec, row_weight=row_weight, column_weight=column_weight, dtype=dtype, group=group
        )


def _better_plain(x_s: Tensor, x_t: Tensor, w: Tensor | None) -> bool:
    """Whether the formula and autograd are best: for a few scores, and for whatever is no ordinary memory."""
    if not addressable(x_s, x_t, w):
        return True
    return x_s.numel() <= PLAIN_BELOW and not _cpu.available(x_s, x_t, w)


def _plain_relation(
    x_s: Tensor,
    x_t: Tensor,
    w: Tensor | None,
    top: Tensor | None,
    spec: Spec,
    row_weight: float,
    column_weight: float,
) -> Tensor:
    if w is not None:
        w = w.reshape(x_s.shape[0], 1, x_s.shape[2])
        x_s, x_t = (x.where(w > 0, x.new_zeros(())) for x in (x_s, x_t))
    y_s, y_t = (_activate(x if spec.tau == 1 else x / spec.tau, spec.activation) for x in (x_s, x_t))
    positions = x_s.shape[0] * x_s.shape[2]
    count = max(positions, 1) if w is None else w.sum().clamp_min(torch.finfo(w.dtype).tiny)
    loss = x_s[:0].sum()  # zero, and part of the graph
    if spec.rows:
        rows = pearson_distance(y_s, y_t, dims=(1,), guard_rel=spec.guard_rel)
        loss = loss + row_weight * (rows if w is None else rows * w).sum() / count
    if spec.columns and positions:
        eps = EPS if top is None else EPS / top  # beside a product of weights, which were divided by it
        columns = pearson_distance(y_s, y_t, dims=(0, 2), weight=w, guard_rel=spec.guard_rel, eps=eps).mean()
        loss = loss + column_weight * (columns if w is None else columns * (w > 0).any())
    return loss


def _activate(z: Tensor, activation: str) -> Tensor:
    if activation == "softmax":
        return z.softmax(dim=1)
    return z.sigmoid() if activation == "sigmoid" else z
