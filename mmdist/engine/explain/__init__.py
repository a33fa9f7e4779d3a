"""The user's mistake behind an exception of a library, found in the frames that it came through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config

from mmdist.engine.explain.building import explain_building
from mmdist.engine.explain.frames import TOP, all_dicts, frames_of, is_libraries
from mmdist.engine.explain.passes import explain_pass
from mmdist.errors import IN_WORKER, ConfigError, MMDistError

__all__ = ["explain", "explained"]

# What no config can be blamed for
MACHINE = (MemoryError, torch.cuda.OutOfMemoryError)


@contextmanager
def explained(cfg: Config, begun: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Inside, what registries, constructors and the first pass say of a mistake in the config becomes an answer.

    Args:
        cfg (Config): What is built and run.
        begun (Callable): Says that a first iteration has succeeded: later ones fail for other reasons.

    Raises:
        MMDistError: With the key path. An exception that is no mistake of the config passes as it is.
    """
    try:
        yield
    except MACHINE:
        raise
    except Exception as error:
        mistake = explain(error, cfg, first=not begun())
        if mistake is None or mistake is error:
            raise
        raise mistake from error


def explain(error: Exception, cfg: Config, *, first: bool = True) -> MMDistError | None:
    """The user's mistake behind an exception.

    Args:
        error (Exception): What building or running raised.
        cfg (Config): What was built.
        first (bool): No iteration has succeeded yet.

    Returns:
        MMDistError | None: With the key path; None for an exception that is better seen whole: one raised by code that
        is neither a library's nor mmdist's.
    """
    if not isinstance(error, MMDistError) and IN_WORKER.match(str(error)):
        return MMDistError(error)  # a ConfigError, which PyTorch could not build again
    frames = frames_of(error)
    if not isinstance(error, MMDistError) and not is_libraries(frames[-1]):
        return None
    mistake = explain_pass(error, frames, cfg, first=first) or explain_building(error, frames, cfg)
    mistake = mistake or (error if isinstance(error, MMDistError) else None)
    return _placed(mistake, cfg) if isinstance(mistake, ConfigError) else mistake


def _placed(mistake: ConfigError, cfg: Config) -> ConfigError:
    """A class that names its argument alone, told where the user has it, if that is in one place."""
    if "." in mistake.key or mistake.key in TOP:
        return mistake
    held = [key for key, node in all_dicts(cfg) if "type" in node and _is(node.get(mistake.key), mistake.value)]
    return mistake.at(f"{held[0]}.{mistake.key}") if len(held) == 1 else mistake


def _is(a: object, b: object) -> bool:
    return type(a) is type(b) and isinstance(a, str | int | float | bool) and a == b
