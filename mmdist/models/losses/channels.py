"""Scores of one channel: a softmax over one class is always 1, so a loss of it teaches nothing."""

from __future__ import annotations

from mmdist.errors import ConfigError

SIGMOID = "'sigmoid' for scores of one channel"
CONSTANT = "a softmax over one class is always 1, so nothing would be taught"


def refuse_constant_softmax(key: str, channels: int, hint: str = "") -> None:
    """A softmax needs two classes or more.

    Args:
        key (str): Where the activation stands, such as ``KDLoss.activation``.
        channels (int): Classes of the scores.
        hint (str): What to set beside the activation.

    Raises:
        ConfigError: There is one class.

    Example:
        >>> refuse_constant_softmax('KDLoss.activation', 2)
    """
    if channels == 1:
        raise ConfigError(key, "softmax", SIGMOID, f"{CONSTANT}{f'; {hint}' if hint else ''}")


def refuse_one_class(key: str, channels: int) -> None:
    """A loss of the target against the other classes needs another class.

    Args:
        key (str): Where the loss stands.
        channels (int): Classes of the scores.

    Raises:
        ConfigError: There is one class.
    """
    if channels == 1:
        hint = "for scores of one channel take dict(type='mmdist.KDLoss', activation='sigmoid')"
        raise ConfigError(key, "scores of one class", "two classes or more", hint)
