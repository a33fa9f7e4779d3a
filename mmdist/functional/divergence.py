"""Divergences between the classes' probabilities of student and teacher: KD, DKD, NKD and DCKD."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmdist.functional._divergence import (
    bernoulli_divergence,
    divergence,
    expectation,
    prepare,
    prepare_target,
    reduce,
    split_target,
    warn_without_others,
)
from mmdist.functional.checks import check_choice, check_non_negative, check_positive, full_precision

KD_ACTIVATIONS = ("softmax", "sigmoid")
TARGET_REFERENCES = ("best", "teacher")
NON_TARGETS = ("wrong", "all", "none")


def kd_loss(
    logits_s: Tensor,
    logits_t: Tensor,
    *,
    tau: float = 1.0,
    activation: str = "softmax",
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""KD: match the teacher's probabilities.

    With :math:`p = \mathrm{softmax}(z / \tau)` of each sample (each pixel, in a map),

    .. math:: L = \tau^2 \, \mathrm{mean}_i \sum_c p^t_{ic} (\log p^t_{ic} - \log p^s_{ic})

    With ``activation='sigmoid'`` each class is a distribution of its own, yes or no, and the sum is over their KL. A
    softmax over one class is always 1, so the loss is 0: take sigmoid there. The registered loss refuses it.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial).
        logits_t (Tensor): Teacher, same shape. Never gets a gradient.
        tau (float): Temperature. Defaults to 1.
        activation (str): ``softmax`` over the classes, or ``sigmoid`` (one-vs-rest heads). Defaults to ``softmax``.
        mask (Tensor, optional): (N, *spatial) bool, True = counts; elsewhere the logits may hold anything.
        weight (Tensor, optional): (N, *spatial), 0 or above.
        reduction (str): ``mean``: sum of weight x value over sum of weight, 0 if nothing counts; ``sum``: sum of
            weight x value; ``none``: weight x value, one a position. Defaults to ``mean``.

    Returns:
        Tensor: Scalar, or (N, *spatial); float32 (float64 for float64 inputs).

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value.

    Source:
        Hinton et al., Distilling the Knowledge in a Neural Network, section 2; mean over samples as in
        ``megvii-research/mdistiller``, over pixels as in ``sunyueue/RDD``. Sigmoid as its author describes it in
        ``hunto/DIST_KD``; mask and weight are ours.

    Example:
        >>> import torch
        >>> teacher = torch.randn(2, 19, 8, 8)
        >>> student = torch.randn(2, 19, 8, 8, requires_grad=True)
        >>> kd_loss(student, teacher, tau=4.0).backward()
        >>> kd_loss(teacher, teacher).item()
        0.0
    """
    check_positive("tau", tau)
    check_choice("activation", activation, KD_ACTIVATIONS)
    z_s, z_t, w = prepare(logits_s, logits_t, mask, weight, reduction)
    with full_precision(z_s):
        z_s, z_t = z_s / tau, z_t / tau
        if activation == "sigmoid":
            values = bernoulli_divergence(z_t, z_s).sum(1)
        else:
            values = divergence(z_t.log_softmax(1), z_s.log_softmax(1))
        return reduce(tau**2 * values, w, reduction)


def dkd_loss(
    logits_s: Tensor,
    logits_t: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    tau: float = 4.0,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""DKD: KD in two parts, the target against the others and the others among themselves.

    With :math:`b = (p_y, 1 - p_y)` of :math:`p = \mathrm{softmax}(z / \tau)`, and :math:`q` the softmax over the
    non-target logits,

    .. math::
        L = \tau^2 \, \mathrm{mean}_i \left( \alpha\, \mathrm{KL}(b^t_i \| b^s_i)
            + \beta\, \mathrm{KL}(q^t_i \| q^s_i) \right)

    With two classes the second part is always 0, which is said once by a warning.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial), two classes or more.
        logits_t (Tensor): Teacher, same shape. Never gets a gradient.
        target (Tensor): (N,) or (N, *spatial) integers in [0, C) wherever the mask is True.
        alpha (float): Weight of the target's part. Defaults to 1.
        beta (float): Weight of the non-target part. Defaults to 8.
        tau (float): Temperature of both parts. Defaults to 4.
        mask (Tensor, optional): (N, *spatial) bool, True = counts; elsewhere the logits may hold anything.
        weight (Tensor, optional): (N, *spatial), 0 or above.
        reduction (str): ``mean``, ``sum`` or ``none``, as :func:`kd_loss`. Defaults to ``mean``.

    Returns:
        Tensor: Scalar, or (N, *spatial); float32 (float64 for float64 inputs).

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, one class, or a target that is no class.

    Source:
        DKD (CVPR 2022) section 3; ``megvii-research/mdistiller`` (tau^2 on both parts, divided by the number of
        samples). Maps, mask and weight are ours, and so is the log domain: the official code is infinite where
        1 - p_y underflows.

    Example:
        >>> import torch
        >>> teacher, student = torch.randn(4, 10), torch.randn(4, 10, requires_grad=True)
        >>> dkd_loss(student, teacher, torch.tensor([1, 2, 3, 4])).backward()
        >>> dkd_loss(teacher, teacher, torch.tensor([1, 2, 3, 4])).item()
        0.0
    """
    return dckd_loss(
        logits_s,
        logits_t,
        target,
        alpha=alpha,
        beta=beta,
        tau=tau,
        target_reference="teacher",
        non_target="all",
        mask=mask,
        weight=weight,
        reduction=reduction,
    )


def nkd_loss(
    logits_s: Tensor,
    logits_t: Tensor,
    target: Tensor,
    *,
    gamma: float = 1.5,
    tau: float = 1.0,
    legacy_mask: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""NKD: cross entropies, the target's weighed by the teacher and the others' normalised among themselves.

    With :math:`p = \mathrm{softmax}(z)`, and :math:`q` the softmax over the non-target :math:`z / \tau`,

    .. math::
        L = \mathrm{mean}_i \left( -p^t_{iy} \log p^s_{iy}
            - \gamma \tau^2 \sum_{c \ne y} q^t_{ic} \log q^s_{ic} \right)

    These are cross entropies, not divergences: a student equal to its teacher has a loss above 0, and, in the target's
    part, a gradient. With two classes the second part is always 0, which is said once by a warning.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial), two classes or more.
        logits_t (Tensor): Teacher, same shape. Never gets a gradient.
        target (Tensor): (N,) or (N, *spatial) integers in [0, C) wherever the mask is True.
        gamma (float): Weight of the non-target part. Defaults to 1.5.
        tau (float): Temperature of the non-target part; the target's part has none. Defaults to 1.
        legacy_mask (bool): Leave the target among the "non-target" classes, as SDD's repository does, whose published
            figures come from that. Defaults to False.
        mask (Tensor, optional): (N, *spatial) bool, True = counts; elsewhere the logits may hold anything.
        weight (Tensor, optional): (N, *spatial), 0 or above.
        reduction (str): ``mean``, ``sum`` or ``none``, as :func:`kd_loss`. Defaults to ``mean``.

    Returns:
        Tensor: Scalar, or (N, *spatial); float32 (float64 for float64 inputs).

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, one class, or a target that is no class.

    Source:
        NKD (ICCV 2023), ``yzd-v/cls_KD`` (the mask as it is since its last change); ``legacy_mask``:
        ``shicaiwei123/SDD-CVPR2024``. Maps, mask and weight are ours.

    Example:
        >>> import torch
        >>> teacher, student = torch.randn(4, 10), torch.randn(4, 10, requires_grad=True)
        >>> nkd_loss(student, teacher, torch.tensor([1, 2, 3, 4])).backward()
        >>> bool(student.grad.abs().sum() > 0)
        True
    """
    check_positive("tau", tau)
    check_non_negative("gamma", gamma)
    z_s, z_t, w = prepare(logits_s, logits_t, mask, weight, reduction)
    target = prepare_target(target, logits_s, mask)
    if not legacy_mask:
        warn_without_others(logits_s)
    with full_precision(z_s):
        (margin_s, _), (margin_t, _) = (split_target(z, target) for z in (z_s, z_t))
        if legacy_mask:
            log_q_s, log_q_t = ((z / tau).log_softmax(1) for z in (z_s, z_t))
        else:
            log_q_s, log_q_t = (split_target(z / tau, target)[1] for z in (z_s, z_t))
        of_target = -margin_t.sigmoid() * F.logsigmoid(margin_s)
        of_others = -expectation(log_q_t.exp(), log_q_s).sum(1)
        return reduce(of_target + gamma * tau**2 * of_others, w, reduction)


def dckd_loss(
    logits_s: Tensor,
    logits_t: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    tau: float = 4.0,
    target_reference: str = "best",
    non_target: str = "wrong",
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""DCKD: DKD that leaves alone what the student already knows. A reconstruction, see Source.

    With :math:`b = (p_y, 1 - p_y)` of :math:`p = \mathrm{softmax}(z / \tau)`, :math:`q` the softmax over the
    non-target logits, :math:`b^*` the :math:`b` of whichever network gives the target the higher probability, and
    :math:`m_i = 1` where the student's prediction is wrong, else 0,

    .. math::
        L = \tau^2 \, \mathrm{mean}_i \left( \alpha\, \mathrm{KL}(b^*_i \| b^s_i)
            + \beta\, m_i\, \mathrm{KL}(q^t_i \| q^s_i) \right)

    Neither :math:`b^*` nor :math:`m` carries a gradient: a student that is right, and surer than its teacher, has a
    loss and a gradient of exactly 0.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial), two classes or more.
        logits_t (Tensor): Teacher, same shape. Never gets a gradient.
        target (Tensor): (N,) or (N, *spatial) integers in [0, C) wherever the mask is True.
        alpha (float): Weight of the target's part. Defaults to 1.
        beta (float): Weight of the non-target part. Defaults to 8.
        tau (float): Temperature of both parts. Defaults to 4.
        target_reference (str): ``best`` network, or always the ``teacher``. Defaults to ``best``.
        non_target (str): Samples with a non-target part: those the student gets ``wrong``, ``all``, or ``none``.
            Defaults to ``wrong``. ``teacher`` with ``all`` is :func:`dkd_loss`.
        mask (Tensor, optional): (N, *spatial) bool, True = counts; elsewhere the logits may hold anything.
        weight (Tensor, optional): (N, *spatial), 0 or above.
        reduction (str): ``mean``, ``sum`` or ``none``, as :func:`kd_loss`. Defaults to ``mean``.

    Returns:
        Tensor: Scalar, or (N, *spatial); float32 (float64 for float64 inputs).

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, one class, or a target that is no class.

    Source:
        A reconstruction from the abstract of DCKD (PLOS ONE 2025, 10.1371/journal.pone.0314267), the only part that
        was available; no code was published. It is not the published formula, and the published figures are not
        claimed for it.

    Example:
        >>> import torch
        >>> teacher, surer = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[3.0, 0.0, 0.0]])
        >>> dckd_loss(surer, teacher, torch.tensor([0])).item()
        0.0
    """
    check_positive("tau", tau)
    check_non_negative("alpha", alpha)
    check_non_negative("beta", beta)
    check_choice("target_reference", target_reference, TARGET_REFERENCES)
    check_choice("non_target", non_target, NON_TARGETS)
    z_s, z_t, w = prepare(logits_s, logits_t, mask, weight, reduction)
    target = prepare_target(target, logits_s, mask)
    with full_precision(z_s):
        (margin_s, log_q_s), (margin_t, log_q_t) = (split_target(z / tau, target) for z in (z_s, z_t))
        of_target = bernoulli_divergence(margin_t, margin_s)
        if target_reference == "best":  # the student's own b gives exactly 0; rounding would leave a small gradient
            of_target = of_target.masked_fill(margin_t <= margin_s, 0)
        values = alpha * of_target
        if non_target != "none":
            warn_without_others(logits_s)
            of_others = divergence(log_q_t, log_q_s)
            if non_target == "wrong":
                of_others = of_others.masked_fill(z_s.argmax(1) == target, 0)
            values = values + beta * of_others
        return reduce(tau**2 * values, w, reduction)
