"""Knowing when the last thing to be recorded has been recorded: the teacher need not run any further."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mmrazor.models.task_modules import ModuleInputsRecorder, ModuleOutputsRecorder, ParameterRecorder, RecorderManager
from torch import Tensor

from mmdist.models.recorders import MethodRecorder, ModuleRecorder
from mmdist.models.recorders.owners import tensors

WATCHABLE = (ModuleInputsRecorder, ModuleOutputsRecorder, ModuleRecorder, MethodRecorder)  # append to `data_buffer`


class EnoughRecorded(Exception):
    """Raised inside the teacher's forward pass, to leave it."""


class _Buffer(list):
    """A recorder's buffer that reports every record."""

    def __init__(self, report: Callable[[Any], None]) -> None:
        super().__init__()
        self._report = report

    def append(self, record: Any) -> None:
        super().append(record)
        self._report(record)


def watchable(recorders: RecorderManager) -> bool:
    """Whether every recorder's records can be counted while the model runs."""
    return all(isinstance(recorder, WATCHABLE) for recorder in _counted(recorders))


def counts(recorders: RecorderManager) -> tuple[int, ...]:
    """How often each recorder has fired."""
    return tuple(len(recorder.data_buffer) for recorder in _counted(recorders))


@contextmanager
def stop_after(recorders: RecorderManager, total: int) -> Iterator[None]:
    """Inside, the model is left as soon as ``total`` records have been made.

    To be entered after the recorders, whose buffers are new then.

    Args:
        recorders (RecorderManager): All watchable.
        total (int): Records of all recorders together.
    """
    made = 0

    def report(record: Any) -> None:
        nonlocal made
        made += 1
        if made == total:
            raise EnoughRecorded

    with _reporting(recorders, report), suppress(EnoughRecorded):
        yield


@contextmanager
def noted_versions(recorders: RecorderManager) -> Iterator[list[tuple[Tensor, int]]]:
    """Inside, every tensor that is recorded is put into the list, with its version: one that grows was overwritten.

    To be entered after the recorders, whose buffers are new then.
    """
    noted: list[tuple[Tensor, int]] = []

    def report(record: Any) -> None:
        noted.extend((tensor, tensor._version) for tensor in tensors(record))

    with _reporting(recorders, report):
        yield noted


@contextmanager
def _reporting(recorders: RecorderManager, report: Callable[[Any], None]) -> Iterator[None]:
    able = [recorder for recorder in _counted(recorders) if isinstance(recorder, WATCHABLE)]
    for recorder in able:
        recorder._data_buffer = _Buffer(report)
    try:
        yield
    finally:
        for recorder in able:  # plain lists again, which can be copied and pickled
            recorder._data_buffer = list(recorder.data_buffer)


def _counted(recorders: RecorderManager) -> list:
    return [recorder for recorder in recorders.recorders.values() if not isinstance(recorder, ParameterRecorder)]
