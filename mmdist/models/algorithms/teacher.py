"""The teacher: outside the algorithm's parameters, run no further than what is recorded."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmrazor.models.distillers import BaseDistiller
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor

from mmdist.compat.layout import in_channels_last
from mmdist.functional import resize_images
from mmdist.models.algorithms.fusing import FusedNorms
from mmdist.models.algorithms.normalisation import Translation
from mmdist.models.algorithms.passes import ROI_HEAD, RPN_HEAD, before_rois, forward_features, forward_rois, under
from mmdist.models.algorithms.randomness import isolated_randomness, iteration
from mmdist.models.algorithms.records import check_fired, silent
from mmdist.models.algorithms.watch import counts, stop_after, watchable
from mmdist.models.recorders.owners import tensors

TEACHER, LOSSES, UNLABELED, VIEW = 0, 1, 2, 3  # streams of random numbers, apart from the student's
LEARN = 2  # passes in full, which have to agree on what fires how often


class Teacher:
    """A model in evaluation mode that is run for its records alone.

    It is no ``nn.Module``: what holds it has it neither among its parameters nor in its state. Copies share it.

    Args:
        model (BaseModel): The model; stays in evaluation mode.
        translate (Translation, optional): What makes the student's pictures the teacher's; None: they are the same.
        dtype (torch.dtype, optional): Autocast to this dtype; None: as the student.
        channels_last (bool): Run in this memory format.
        acclimated (bool): Whether some of its modules train, so that the pass needs gradients.
        input_size (tuple[int, int], optional): Height and width of its pictures; None: those of the student's.
    """

    def __init__(
        self,
        model: BaseModel,
        translate: Translation | None = None,
        *,
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
        acclimated: bool = False,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        self.model = in_channels_last(model) if channels_last else model
        self.translate = translate
        self.dtype = dtype
        self.channels_last = channels_last
        self.fused = FusedNorms(self.model, packs=not (channels_last or acclimated))
        self.acclimated = acclimated
        self.input_size = input_size
        self.without_weights: Sequence[str] = ()  # its parts that nothing gives weights, see `check_teacher_weights`
        self.random_meant = False
        self._mode = "tensor"
        self._seen: list[tuple[int, ...]] = []
        self._features: Any = None
        self._owner: weakref.ref | None = None
        self._batches = 0  # that were prepared

    def owned_by(self, algorithm: object) -> bool:
        """Whether it follows this algorithm to another device: the first to ask, as long as that exists.

        A copy, such as a moving average on the CPU, must not take the teacher along with it.
        """
        owner = None if self._owner is None else self._owner()
        if owner is None:
            self._owner = weakref.ref(algorithm)
        return owner is None or owner is algorithm

    def __deepcopy__(self, memo: dict) -> Teacher:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_features": None, "_owner": None}

    @torch.compiler.disable
    def prepare(self, inputs: Tensor, samples: Sequence | None = None) -> Tensor:
        """The student's pictures as the teacher's own data preprocessor would have made them.

        Args:
            inputs (Tensor): (N, C, H, W), as the student's data preprocessor made them.
            samples (Sequence, optional): Their data samples, which say what of the pictures is a border.

        Returns:
            Tensor: (N, C, H, W), of the teacher's own size where it has one.
        """
        self._batches += 1
        if next(self.model.parameters()).device != inputs.device:  # a copy has gone to another device
            self.model.to(inputs.device)
        inputs = inputs if self.translate is None else self.translate(inputs, samples)
        inputs = inputs if self.input_size is None else resize_images(inputs, self.input_size)
        return inputs.contiguous(memory_format=torch.channels_last) if self.channels_last else inputs

    def own_numbers(self, stream: int, inputs: Tensor) -> AbstractContextManager[None]:
        """Inside, random numbers are not the student's, in every iteration others, and in a resumed run the same.

        Args:
            stream (int): ``TEACHER``, ``LOSSES`` for what compares the two, ``UNLABELED`` for both models' passes over
                images without labels, or ``VIEW`` for the student's view of them.
            inputs (Tensor): On the device that computes.
        """
        number = iteration()
        return isolated_randomness(self._batches if number is None else number, stream, device=inputs.device)

    @torch.compiler.disable
    def record_before_student(self, distiller: BaseDistiller, images: Tensor, samples: Sequence | None) -> bool:
        """Let a distiller's recorders record one pass, as far as it goes before the student's.

        Args:
            distiller (BaseDistiller): Its recorders are prepared.
            images (Tensor): (N, C, H, W), see :meth:`prepare`.
            samples (Sequence, optional): The data samples.

        Returns:
            bool: Whether :meth:`record_rois` is to follow, on the student's regions.
        """
        recorders, deliveries = distiller.teacher_recorders, distiller.deliveries
        if any(under(recorder.source, ROI_HEAD) for recorder in recorders.recorders.values()):
            self.extract(recorders, images)
            return True
        if recorders.recorders or deliveries.deliveries:
            with deliveries:
                self.record(recorders, images, samples, whole=bool(deliveries.deliveries))
        return False

    @torch.compiler.disable
    def record(self, recorders: RecorderManager, inputs: Tensor, samples: Sequence | None, *, whole: bool) -> None:
        """Let the recorders record one pass.

        Args:
            recorders (RecorderManager): The teacher's; empty before.
            inputs (Tensor): (N, C, H, W), see :meth:`prepare`.
            samples (Sequence, optional): The data samples.
            whole (bool): Run to the end, whatever is recorded (for deliveries).

        Raises:
            ConfigError: A recorder that never fires.
        """
        sources = [recorder.source for recorder in recorders.recorders.values()]
        if hasattr(self.model, ROI_HEAD) and not whole and all(map(before_rois, sources)):
            # No further: with masks, MMDetection's `tensor` mode of a cascade fails where a picture was flipped.
            self.extract(recorders, inputs)
            self._features = None
            check_fired(recorders, self.model, "teacher")
            return
        if self._mode == "tensor":
            reason = ""
            try:
                self._run(recorders, lambda: forward_features(self.model, inputs, samples, sources), inputs, whole)
            except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
                # Where heads need more than features, as mmseg's PointRend. What is wrong otherwise, fails again below.
                reason = f"`tensor` mode fails ({error})"
            if not reason and not silent(recorders):
                return
            # Some things happen in `loss` mode alone; it is left too as soon as everything is recorded.
            names = ", ".join(repr(recorder.source) for recorder in silent(recorders).values())
            print_log(
                f"the teacher runs in `loss` mode: {reason or f'{names} fires in no other'}", "current", logging.INFO
            )
            self._mode, self._seen = "loss", []
            self.fused.unpack()  # what a loss does with its maps was not tried out
        self._run(recorders, lambda: self.model(inputs, samples, mode="loss"), inputs, whole)
        check_fired(recorders, self.model, "teacher")

    @torch.compiler.disable
    def extract(self, recorders: RecorderManager, inputs: Tensor) -> None:
        """First half of a two-stage detector: features, which :meth:`record_rois` goes on from."""
        with recorders, self._context(inputs):
            self._features = self.model.extract_feat(inputs)
            if any(under(recorder.source, RPN_HEAD) for recorder in recorders.recorders.values()):
                self.model.rpn_head(self._features)
        self._reorder(recorders, inputs)

    @torch.compiler.disable
    def record_rois(self, recorders: RecorderManager, rois: Tensor) -> None:
        """Second half: the box head on the student's regions. What the first half recorded stays."""
        kept = {name: list(recorder.data_buffer) for name, recorder in recorders.recorders.items()}
        with recorders, self._context(rois):
            forward_rois(self.model, self._features, rois)
        self._features = None
        for name, recorder in recorders.recorders.items():
            if not under(recorder.source, ROI_HEAD):
                recorder._data_buffer = kept[name]
        check_fired(recorders, self.model, "teacher")

    def _run(self, recorders: RecorderManager, forward: Callable[[], Any], inputs: Tensor, whole: bool) -> None:
        learned = len(self._seen) >= LEARN and len(set(self._seen)) == 1 and not whole and watchable(recorders)
        total = sum(self._seen[-1]) if learned else 0
        with recorders, self._context(inputs), stop_after(recorders, total) if total else nullcontext():
            forward()
        self._reorder(recorders, inputs)
        fired = counts(recorders)
        if learned and fired != self._seen[-1]:
            self._seen = []  # another path through the model: learn anew
        elif not learned:
            self._seen = [*self._seen[1 - LEARN :], fired]

    def _reorder(self, recorders: RecorderManager, inputs: Tensor) -> None:
        """Bring what packed convolutions answered into the order that connectors, losses and C++ operators expect.

        In place: who asks whose a record is asks for the tensor.
        """
        if self.fused.packs and inputs.device.type == "cpu":
            records = [recorder.data_buffer for recorder in recorders.recorders.values()]
            for tensor in tensors([self._features, *records]):
                if not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last):
                    tensor.data = tensor.contiguous()

    @contextmanager
    def _context(self, inputs: Tensor) -> Iterator[None]:
        """Gradients for acclimated modules alone; its own random numbers; autocast where it has a dtype of its own."""
        grad = torch.set_grad_enabled(self.acclimated and torch.is_grad_enabled())
        with grad, self.own_numbers(TEACHER, inputs), self._cast(inputs), self.fused.applied():
            yield

    def _cast(self, inputs: Tensor) -> AbstractContextManager:
        return nullcontext() if self.dtype is None else torch.autocast(inputs.device.type, self.dtype)

    @torch.compiler.disable
    def infer(self, run: Callable[[], Any], inputs: Tensor) -> Any:
        """What the model's own inference gives: recorded by nobody, with its norms as they are.

        Args:
            run (Callable): Calls the model.
            inputs (Tensor): On the device that computes.
        """
        with torch.no_grad(), self.own_numbers(TEACHER, inputs), self._cast(inputs):
            return run()
