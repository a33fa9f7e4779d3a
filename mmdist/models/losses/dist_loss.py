"""``mmdist.DISTLoss``."""

from __future__ import annotations

import logging

import torch.distributed as dist
from mmengine.logging import print_log
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import dist_loss
from mmdist.functional.checks import check_choice, check_non_negative, check_positive
from mmdist.functional.relation import ACTIVATIONS
from mmdist.models.losses.channels import refuse_constant_softmax
from mmdist.models.losses.levels import Maps, check_teacher, label_mask, level_labels, pair_levels
from mmdist.models.losses.warmup import WeightedLoss
from mmdist.registry import MODELS

FEW = 8  # samples, of whose correlations little but their sign is left
_said: set[str] = set()


def warn_of_few(samples: int) -> None:
    """Classes are correlated over the samples: of one or two there is no correlation. Said once in a process."""
    if 0 < samples < FEW and "few" not in _said:
        _said.add("few")
        text = (
            f"DIST correlates each class over the samples, and here there are {samples} (pixels count): below {FEW} "
            "the intra term teaches next to nothing. Take a larger batch, or sync=True with several processes"
        )
        print_log(text, "current", logging.WARNING)


@MODELS.register_module()
class DISTLoss(WeightedLoss):
    """DIST (https://arxiv.org/abs/2205.10536) on logits of any task.

    Takes MMRazor's arguments, and is right for maps too: every pixel is a sample. See
    :func:`mmdist.functional.dist_loss` for the formula.

    Args:
        inter_loss_weight (float): Weight of the relation between classes. Defaults to 1.
        intra_loss_weight (float): Weight of the relation inside each class. Defaults to 1.
        tau (float): Temperature. Defaults to 1.
        loss_weight (float): Weight of the whole loss. Defaults to 1.
        teacher_detach (bool): Only True: this loss never trains the teacher. Kept for MMRazor's configs.
        tau_squared (bool): Multiply by tau^2 (code, not paper). Defaults to True.
        activation (str): ``softmax``, ``sigmoid`` (RetinaNet, GFL, FCOS) or ``none``. Defaults to ``softmax``.
        ignore_index (int, optional): Positions with this label are left out, when labels are given. Defaults
            to that of the student's head; where it has none, to 255, or to none if 255 is a class (ImageNet).
        sync (bool): Statistics over the batch of all processes instead of each process's own, so that N processes
            train as one process on the global batch. Defaults to False, as the official code.
        guard_rel (float): Relative spread below which a student row or column gets no gradient. Defaults to 1e-4.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> loss = DISTLoss(tau=1.0)
        >>> teacher = torch.randn(2, 19, 8, 8)
        >>> bool(loss(teacher, teacher) < 1e-4)
        True
    """

    def __init__(
        self,
        inter_loss_weight: float = 1.0,
        intra_loss_weight: float = 1.0,
        tau: float = 1.0,
        loss_weight: float = 1.0,
        teacher_detach: bool = True,
        tau_squared: bool = True,
        activation: str = "softmax",
        ignore_index: int | None = None,
        sync: bool = False,
        guard_rel: float = 1e-4,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, warmup_epochs, warmup_iters)
        check_positive("DISTLoss.tau", tau)
        check_choice("DISTLoss.activation", activation, ACTIVATIONS)
        for name, value in (
            ("inter_loss_weight", inter_loss_weight),
            ("intra_loss_weight", intra_loss_weight),
            ("guard_rel", guard_rel),
        ):
            check_non_negative(f"DISTLoss.{name}", value)
        if not teacher_detach:
            raise ValueError("DISTLoss.teacher_detach = False: expected True, this loss never trains the teacher")
        self.inter_loss_weight = inter_loss_weight
        self.intra_loss_weight = intra_loss_weight
        self.tau = tau
        self.teacher_detach = teacher_detach
        self.tau_squared = tau_squared
        self.activation = activation
        self.ignore_index = ignore_index
        self.sync = sync
        self.guard_rel = guard_rel

    def check_channels(self, channels: int, key: str = "DISTLoss") -> None:
        """Scores of so many channels can teach something.

        Args:
            channels (int): Of the scores.
            key (str): Where the loss stands. Defaults to ``DISTLoss``.

        Raises:
            ConfigError: There is one, and a softmax over it or its relation to other classes is all that is compared.
        """
        if channels != 1:
            return
        if self.activation == "softmax":
            hint = "and inter_loss_weight=0, since one class has no relation to others"
            refuse_constant_softmax(f"{key}.activation", channels, hint)
        if self.intra_loss_weight == 0:
            hint = "one class has no relation to others, so the inter term alone would teach nothing"
            raise ConfigError(f"{key}.intra_loss_weight", 0, "a number above 0 for scores of one channel", hint)
        if self.inter_loss_weight > 0 and "inter" not in _said:
            _said.add("inter")
            text = f"{key}.inter_loss_weight adds a constant: one class has no relation to others. Set it to 0"
            print_log(text, "current", logging.WARNING)

    def forward(self, logits_S: Maps, logits_T: Maps, gt_labels: Maps | None = None) -> Tensor:
        """The loss of one batch; the levels of a feature pyramid are summed.

        Args:
            logits_S (Tensor | Sequence[Tensor]): Student, (N, C) or (N, C, *spatial), or one a level.
            logits_T (Tensor | Sequence[Tensor]): Teacher, same shapes.
            gt_labels (Tensor | Sequence[Tensor], optional): (N,) or (N, *label size) integers, for ``ignore_index``;
                soft labels, of mixup, change nothing. A sequence has those of each level.

        Returns:
            Tensor: Scalar.
        """
        levels = pair_levels(logits_S, logits_T, ("logits_S", "logits_T"))
        for student, _ in levels:
            if student.ndim > 1:  # what else it may be is answered by the function
                self.check_channels(student.shape[1])
        group = dist.group.WORLD if self.sync and dist.is_available() and dist.is_initialized() else None
        if self.intra_loss_weight > 0 and group is None:
            warn_of_few(min(student.shape[0] * student.shape[2:].numel() for student, _ in levels))
        labels = level_labels(gt_labels, len(levels))
        loss = sum(
            dist_loss(
                student,
                teacher,
                inter_weight=self.inter_loss_weight,
                intra_weight=self.intra_loss_weight,
                tau=self.tau,
                tau_squared=self.tau_squared,
                activation=self.activation,
                mask=label_mask(student, label, self.ignored(student.shape[1])),
                group=group,
                guard_rel=self.guard_rel,
            )
            for (student, teacher), label in zip(levels, labels, strict=True)
        )
        check_teacher(loss, [teacher for _, teacher in levels], "logits_T")
        return self.weigh(loss)

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(model)``."""
        return (
            f"inter={self.inter_loss_weight}, intra={self.intra_loss_weight}, tau={self.tau}, "
            f"activation={self.activation!r}, loss_weight={self.loss_weight}"
        )
