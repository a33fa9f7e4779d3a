"""How difficult each position is for teacher and student: RDD."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from mmdist.functional._confidence import check_label, confidence
from mmdist.functional._divergence import divergence
from mmdist.functional.checks import check_choice, check_non_negative, check_pair, compute_dtype, full_precision
from mmdist.functional.resizing import resize_maps

ACTIVATIONS = ("softmax", "sigmoid")
KL_DIRECTIONS = ("aux_main", "main_aux")
MODES = ("xor", "or", "and", "student")


@torch.no_grad()
def rdd_teacher_weight(
    main_t: Tensor,
    aux_t: Tensor,
    *,
    size: Sequence[int] | None = None,
    align_corners: bool = True,
    kl_direction: str = "aux_main",
) -> Tensor:
    r"""RDD, first stage: a position counts less the more the teacher's two heads disagree about it.

    With :math:`p` the softmax of the auxiliary and :math:`q` that of the main head,

    .. math:: R_{TFE} = \exp \left( -\sum_c p_c (\log p_c - \log q_c) \right)

    at the size of the main head's logits, then resized bilinearly.

    Args:
        main_t (Tensor): Logits of the teacher's main head, (N, C) or (N, C, *spatial).
        aux_t (Tensor): Logits of its auxiliary head, same shape; a map of another size is first resized to the main
            head's.
        size (Sequence[int], optional): (H, W) to come to, usually that of the labels. Defaults to that of the logits.
        align_corners (bool): Of the resizing. Defaults to True, as in the official code.
        kl_direction (str): ``aux_main`` as above (the official code), or ``main_aux``, p and q changed over (the
            paper). Defaults to ``aux_main``.

    Returns:
        Tensor: (N, *spatial) or (N, *size) in [0, 1], 1 = easy; 0 only where it underflows. float32 (float64 for
        float64 inputs), without gradient.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value.

    Source:
        RDD (SCIS 2024), teacher-full evaluated stage; official repository ``sunyueue/RDD``.

    Example:
        >>> import torch
        >>> main, aux = torch.randn(2, 19, 8, 16), torch.randn(2, 19, 8, 16)
        >>> rdd_teacher_weight(main, aux, size=(64, 128)).shape
        torch.Size([2, 64, 128])
        >>> bool((rdd_teacher_weight(main, main) == 1).all())
        True
    """
    check_choice("kl_direction", kl_direction, KL_DIRECTIONS)
    for name, logits in (("main_t", main_t), ("aux_t", aux_t)):
        _check_logits(name, logits)
    with full_precision(main_t):
        main_t, aux_t = (z.to(compute_dtype(main_t)) for z in (main_t, aux_t))
        if main_t.ndim == 4 and aux_t.ndim == 4 and main_t.shape[:2] == aux_t.shape[:2]:
            aux_t = resize_maps(aux_t, main_t.shape[2:], align_corners=align_corners)
        check_pair(main_t, aux_t, ("main_t", "aux_t"))
        log_p, log_q = aux_t.log_softmax(1), main_t.log_softmax(1)
        if kl_direction == "main_aux":
            log_p, log_q = log_q, log_p
        return _easiness(divergence(log_p, log_q), size, align_corners)


@torch.no_grad()
def entropy_weight(
    logits_t: Tensor, *, size: Sequence[int] | None = None, align_corners: bool = True, activation: str = "softmax"
) -> Tensor:
    r"""A position counts less the less sure the teacher is: for teachers without an auxiliary head.

    With :math:`p` the teacher's probabilities,

    .. math:: R = \exp \left( \sum_c p_c \log p_c \right)

    and with ``sigmoid`` the entropies of the classes, each against its rest, are summed.

    Args:
        logits_t (Tensor): Teacher, (N, C) or (N, C, *spatial).
        size (Sequence[int], optional): (H, W) to come to. Defaults to that of the logits.
        align_corners (bool): Of the resizing. Defaults to True.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.

    Returns:
        Tensor: (N, *spatial) or (N, *size) in [0, 1], 1 = easy; 0 only where it underflows. float32 (float64 for
        float64 inputs), without gradient.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape or value.

    Source:
        Ours: RDD has no first stage for such teachers.

    Example:
        >>> import torch
        >>> entropy_weight(torch.tensor([[50.0, 0.0], [0.0, 0.0]]))
        tensor([1.0000, 0.5000])
    """
    _check_logits("logits_t", logits_t)
    check_choice("activation", activation, ACTIVATIONS)
    with full_precision(logits_t):
        z = logits_t.to(compute_dtype(logits_t))
        if activation == "softmax":
            entropy = torch.special.entr(z.softmax(1))
        else:
            entropy = torch.special.entr(z.sigmoid()) + torch.special.entr((-z).sigmoid())
        return _easiness(entropy.sum(1), size, align_corners)


@torch.no_grad()
def label_probability(
    logits: Tensor,
    label: Tensor,
    *,
    ignore_index: int = 255,
    align_corners: bool = True,
    activation: str = "softmax",
) -> Tensor:
    r"""The probability of the ground-truth class, at the size of the labels.

    Logits of another size are resized bilinearly before the activation. With ``softmax`` the value is
    :math:`\exp(z_y - \log \sum_c \exp z_c)`. With ``sigmoid`` it is that of the label's own score, and for the label
    C, which is the background, :math:`1 - \max_c p_c`. No probabilities of all classes are ever held at label size:
    the map is made in blocks that fit the cache.

    Args:
        logits (Tensor): (N, C) or (N, C, *spatial).
        label (Tensor): (N,) or (N, *label size) integers in [0, C), with ``sigmoid`` in [0, C]; or, for (N, C)
            logits, (N, C) floating point, whose probability is :math:`\sum_c y_c p_c`.
        ignore_index (int): The label that does not count. Defaults to 255.
        align_corners (bool): Of the resizing. Defaults to True, as in the official code.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.

    Returns:
        Tensor: (N, *label size), 1 where ignored. float32 (float64 for float64 logits), without gradient.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, or a label that is no class.

    Source:
        The confidence of RDD (SCIS 2024) as its official repository ``sunyueue/RDD`` computes it. Sigmoid and soft
        labels are ours.

    Example:
        >>> import torch
        >>> label_probability(torch.tensor([[2.0, 2.0], [1.0, 3.0]]), torch.tensor([0, 255]))
        tensor([0.5000, 1.0000])
    """
    _check_logits("logits", logits)
    check_choice("activation", activation, ACTIVATIONS)
    if _is_soft(label, logits):
        with full_precision(logits):
            z = logits.to(compute_dtype(logits))
            return (label * (z.softmax(1) if activation == "softmax" else z.sigmoid())).sum(1, dtype=z.dtype)
    label = check_label(label, logits)
    with full_precision(logits):
        return confidence(logits, label, ignore_index, align_corners, activation)


def hard_from_probability(
    probability: Tensor, valid: Tensor, threshold: float = 0.7, min_kept: int = 100_000
) -> Tensor:
    """The positions of a low probability, and always the ``min_kept`` lowest.

    Args:
        probability (Tensor): Of any shape, of the ground-truth class (:func:`label_probability`).
        valid (Tensor): Same shape, bool, True = counts.
        threshold (float): A position at or below it is hard. Defaults to 0.7.
        min_kept (int): So many positions of the batch are hard at least, all if there are fewer. Defaults to 100,000.

    Returns:
        Tensor: Same shape, bool, True = hard; False where ``valid`` is.

    Raises:
        ValueError: A threshold or a number that cannot work.

    Source:
        See :func:`rdd_hard_mask`.

    Example:
        >>> import torch
        >>> p, valid = torch.tensor([0.1, 0.8, 0.9]), torch.tensor([True, True, True])
        >>> hard_from_probability(p, valid, min_kept=2)
        tensor([ True,  True, False])
    """
    check_non_negative("threshold", threshold)
    if not isinstance(min_kept, int) or min_kept < 0:
        raise ValueError(f"min_kept = {min_kept!r}: expected an integer, 0 or above")
    if valid.count_nonzero() <= min_kept:
        return valid.clone()
    hard = (probability <= threshold).logical_and_(valid)
    if hard.count_nonzero() < min_kept:
        kth = probability.masked_fill(~valid, torch.inf).flatten().kthvalue(min_kept).values
        hard = (probability <= kth).logical_and_(valid)
    return hard


def combine_masks(hard_s: Tensor, hard_t: Tensor, mode: str = "xor") -> Tensor:
    """The positions that count, from those that are hard for student and teacher.

    Args:
        hard_s (Tensor): Of the student, bool (:func:`hard_from_probability`).
        hard_t (Tensor): Of the teacher, same shape.
        mode (str): See :func:`rdd_relative_mask`. Defaults to ``xor``.

    Returns:
        Tensor: Same shape, bool.

    Raises:
        ValueError: A mode that does not exist.

    Source:
        See :func:`rdd_relative_mask`.

    Example:
        >>> import torch
        >>> combine_masks(torch.tensor([True, True]), torch.tensor([True, False]))
        tensor([False,  True])
    """
    check_choice("mode", mode, MODES)
    if mode == "student":
        return hard_s
    return {"xor": torch.logical_xor, "or": torch.logical_or, "and": torch.logical_and}[mode](hard_s, hard_t)


def rdd_hard_mask(
    logits: Tensor,
    label: Tensor,
    *,
    threshold: float = 0.7,
    min_kept: int = 100_000,
    ignore_index: int = 255,
    align_corners: bool = True,
    activation: str = "softmax",
) -> Tensor:
    r"""The positions that are hard for a network.

    With :math:`p` the probability of the ground-truth class (:func:`label_probability`), and :math:`p_{(k)}` the
    k-th smallest that counts in the whole batch, k = ``min_kept``,

    .. math:: \mathrm{hard} = p \le \max(\mathrm{threshold}, p_{(k)})

    Args:
        logits (Tensor): (N, C) or (N, C, *spatial).
        label (Tensor): (N,) or (N, *label size), as for :func:`label_probability`.
        threshold (float): Defaults to 0.7.
        min_kept (int): So many positions of the batch are hard at least, all that count if there are fewer; 0: the
            threshold decides alone. Defaults to 100,000.
        ignore_index (int): The label that does not count. Defaults to 255.
        align_corners (bool): Of the resizing to label size. Defaults to True, as in the official code.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.

    Returns:
        Tensor: (N, *label size) bool, True = hard; False where ignored.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, or a label that is no class.

    Source:
        RDD (SCIS 2024), teacher-student evaluated stage; official repository ``sunyueue/RDD``, which keeps the
        ``min_kept`` hardest as OHEM does. Fewer valid positions than ``min_kept`` are an error there.

    Example:
        >>> import torch
        >>> logits, label = torch.tensor([[9.0, 0.0], [0.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 1, 255])
        >>> rdd_hard_mask(logits, label, min_kept=1)
        tensor([False,  True, False])
    """
    probability = label_probability(
        logits, label, ignore_index=ignore_index, align_corners=align_corners, activation=activation
    )
    valid = torch.ones_like(probability, dtype=torch.bool) if _is_soft(label, logits) else label.long() != ignore_index
    return hard_from_probability(probability, valid, threshold=threshold, min_kept=min_kept)


def rdd_relative_mask(
    logits_s: Tensor,
    logits_t: Tensor,
    label: Tensor,
    *,
    mode: str = "xor",
    threshold: float = 0.7,
    min_kept: int = 100_000,
    ignore_index: int = 255,
    align_corners: bool = True,
    activation: str = "softmax",
) -> Tensor:
    r"""RDD, second stage: the positions that are hard for one network and not for the other.

    .. math:: R_{TSE} = \mathrm{hard}_s \oplus \mathrm{hard}_t

    with ``hard`` as in :func:`rdd_hard_mask`.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial).
        logits_t (Tensor): Teacher, likewise; the spatial size may be another.
        label (Tensor): (N,) or (N, *label size), as for :func:`label_probability`.
        mode (str): ``xor``, or one of the paper's comparisons: ``or``, ``and``, ``student`` (the student's mask
            alone). Defaults to ``xor``.
        threshold (float): See :func:`rdd_hard_mask`. Defaults to 0.7.
        min_kept (int): See :func:`rdd_hard_mask`; for each network. Defaults to 100,000.
        ignore_index (int): The label that does not count. Defaults to 255.
        align_corners (bool): Of the resizing to label size. Defaults to True, as in the official code.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.

    Returns:
        Tensor: (N, *label size) bool, True = counts; False where ignored. It may be empty.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value, or a label that is no class.

    Source:
        RDD (SCIS 2024), teacher-student evaluated stage; official repository ``sunyueue/RDD``.

    Example:
        >>> import torch
        >>> teacher, label = torch.tensor([[9.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
        >>> student = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
        >>> rdd_relative_mask(student, teacher, label, min_kept=0)
        tensor([ True, False])
    """
    check_choice("mode", mode, MODES)
    for name, logits in (("logits_s", logits_s), ("logits_t", logits_t)):
        _check_logits(name, logits)
    hard = functools.partial(
        rdd_hard_mask,
        label=label,
        threshold=threshold,
        min_kept=min_kept,
        ignore_index=ignore_index,
        align_corners=align_corners,
        activation=activation,
    )
    hard_s = hard(logits_s)
    return combine_masks(hard_s, hard_s if mode == "student" else hard(logits_t), mode)


def _easiness(kl: Tensor, size: Sequence[int] | None, align_corners: bool) -> Tensor:
    """exp(-divergence), never above 1, resized; ``kl`` is used up."""
    negative = kl.clamp_min_(0).neg_()
    if size is None:
        return negative.exp_()
    if negative.ndim != 3 or not isinstance(size, list | tuple) or len(size) != 2:
        raise ValueError(
            f"size = {size!r}: expected (height, width), for logits (N, C, H, W); "
            f"these have {negative.ndim - 1} spatial dimensions"
        )
    # What is lacking to 1 is resized: zeros stay zeros exactly, ones would not stay ones.
    lacking = resize_maps(negative.expm1_().unsqueeze(1), size, align_corners=align_corners).squeeze(1)
    return lacking.add_(1).clamp_min_(0)


def _check_logits(name: str, logits: Tensor) -> None:
    check_pair(logits, logits, (name, name))


def _is_soft(label: Tensor, logits: Tensor) -> bool:
    return isinstance(label, Tensor) and label.is_floating_point() and label.shape == logits.shape and label.ndim == 2
