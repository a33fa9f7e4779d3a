"""Which of RDD's two stages an iteration belongs to: derived from the runner's counter, so the same on every rank."""

from __future__ import annotations

from dataclasses import dataclass

from mmengine.logging import MessageHub

from mmdist.errors import ConfigError

FIRST, SECOND = 1, 2


@dataclass(frozen=True)
class Stages:
    """The first stage (teacher-full evaluated), then the second (teacher-student evaluated).

    Args:
        warmup (int | float): Iterations, or a share of all (a float up to 1). The first stage are the iterations,
            counted from 1, that are below it.
        blend (bool): After the warm-up, go over from the first to the second stage linearly instead of at once.

    Raises:
        ConfigError: A warm-up that is neither.
    """

    warmup: int | float = 0.1
    blend: bool = False

    def __post_init__(self) -> None:
        key, value = "model.weighting.warmup", self.warmup
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf") or (isinstance(value, float) and value > 1):
            raise ConfigError(key, value, "iterations (an integer), or a share of all (a float from 0.0 to 1.0)")

    def first_share(self) -> float:
        """How much of the first stage there is in the present iteration: 1, 0 or, with ``blend``, between.

        Returns:
            float: 1 in the first stage, 0 in the second.

        Raises:
            ConfigError: The number of iterations is not known and a share of it is asked for.
        """
        hub = MessageHub.get_current_instance()
        iteration = int(hub.get_info("iter", 0)) + 1
        total = hub.get_info("max_iters")
        share = isinstance(self.warmup, float) and self.warmup > 0
        if total is None and (share or self.blend):
            key, value = ("warmup", self.warmup) if share else ("blend", True)
            hint = "name the iterations of the warm-up as an integer, without blend"
            raise ConfigError(f"model.weighting.{key}", value, "a training whose number of iterations is known", hint)
        warmup = round(self.warmup * total) if share else self.warmup
        if iteration < warmup:
            return 1.0
        if self.blend and total > warmup:
            return min(max((iteration - total) / (warmup - total), 0.0), 1.0)
        return 0.0
