"""What mmengine's logger, which hands nothing on to Python's root logger, says in a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger


@contextmanager
def warnings_logged() -> Iterator[list[str]]:
    """Inside, the warnings that are logged are put into the list."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                heard.append(record.getMessage())

    logger, ear = MMLogger.get_current_instance(), Ear()
    logger.addHandler(ear)
    try:
        yield heard
    finally:
        logger.removeHandler(ear)
