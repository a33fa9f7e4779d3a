"""What a user did wrong, said so that it can be put right.

Every mistake in a config or on the command line is answered with the key, the
value, what is allowed and the nearest right spelling. The command line prints
such an error as one line, without a traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

LONGEST_MESSAGE, LONGEST_NAME, LONGEST_VALUE = 4000, 200, 400
# Characters that show nothing, though Unicode counts them as letters, marks or symbols.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

# What PyTorch makes of such an error in a data worker: the whole traceback, of which the last line is the error's.
IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\..*\bmmdist\.errors\.\w+: ", re.DOTALL)


def printable(text: object, limit: int = LONGEST_NAME) -> str:
    """Text out of a file, such as the name of a weight or of a class, as a message may show it.

    A file can hold any characters: those that move the cursor, colour the terminal, begin a line that looks like one of
    ours, turn the direction of writing or show nothing are escaped, and long text is cut.

    Args:
        text (object): The text; another object is shown as ``str`` gives it.
        limit (int): Longest result in characters. Defaults to 200.

    Returns:
        str: One line of printable characters.

    Example:
        >>> print(printable('conv\\x1b[2J\\nerror: none'))
        conv\\x1b[2J\\nerror: none
    """
    text = str(text)
    shown = text[: limit + 1]
    if not shown.isprintable() or INVISIBLE.search(shown):
        shown = "".join(char if _is_visible(char) else _escaped(char) for char in shown)
    more = f"... ({len(text):,} characters)"
    return shown if len(shown) <= limit else shown[: limit - len(more)] + more


def _is_visible(char: str) -> bool:
    return char.isprintable() and not INVISIBLE.match(char)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


class MMDistError(Exception):
    """A mistake of the user's, or of the machine's, with its remedy: one line of printable characters."""

    def __init__(self, message: object = "") -> None:
        # Third parties' messages go over several lines, which is no reason to make them hard to read.
        lines = (line.strip() for line in IN_WORKER.sub("", str(message)).splitlines())
        super().__init__(printable(" ".join(line for line in lines if line), LONGEST_MESSAGE))


class ConfigError(MMDistError, ValueError):
    """A value in a config, or on the command line, that cannot work.

    Args:
        key (str): Path of the key, such as ``model.distiller.distill_losses``.
        value (Any): What was given.
        allowed (Iterable[str] | str): What would be right: the possible
            spellings (the nearest ones are shown), or a description.
        hint (str): What to do about it.

    Example:
        >>> str(ConfigError('tau', -1, 'a number above 0'))
        'tau = -1: expected a number above 0'
    """

    def __init__(self, key: str, value: Any, allowed: Iterable[str] | str = "", hint: str = "") -> None:
        self.key, self.value, self.allowed, self.hint = key, value, allowed, hint
        if isinstance(allowed, str):
            parts = [f"expected {allowed}"] if allowed else []
        else:
            parts = [spelling_hint(str(value), allowed)]
        message = "; ".join([*parts, *([hint] if hint else [])])
        super().__init__(f"{key} = {shown(value)}: {message}" if message else f"{key} = {shown(value)}")

    def at(self, key: str) -> ConfigError:
        """The same mistake, at the path where the user has it.

        Example:
            >>> str(ConfigError('tau', -1, 'a number above 0').at('model.distiller.distill_losses.loss_kd.tau'))
            'model.distiller.distill_losses.loss_kd.tau = -1: expected a number above 0'
        """
        return ConfigError(key, self.value, self.allowed, self.hint)


class CheckpointError(MMDistError, RuntimeError):
    """A checkpoint file that is missing, damaged, unsafe or of another model."""


class MissingPackageError(MMDistError, ImportError):
    """A feature was asked for whose package is not installed.

    Args:
        package (str): What to install, as pip knows it.
        feature (str): What needs it.
    """

    def __init__(self, package: str, feature: str) -> None:
        super().__init__(f"{feature} needs the package {package!r}, which is not installed: pip install {package}")


class UnusablePackageError(MMDistError, ImportError):
    """A package is installed, but it, or the part that was asked for, cannot be imported."""


def one_line(error: BaseException, limit: int = 300) -> str:
    """What an exception says, in one line: its name and the last line of its text.

    Args:
        error (BaseException): The exception.
        limit (int): How many characters are kept.

    Example:
        >>> one_line(TypeError("NoneType takes no arguments"))
        'TypeError: NoneType takes no arguments'
    """
    said = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
    return printable(f"{type(error).__name__}: {said.strip()}" if said else type(error).__name__, limit)


def shown(value: Any, most: int = 6) -> str:
    """A value in a message: of a dict or a long list no more than tells which it is.

    Example:
        >>> shown(dict(type='ResNet', depth=50, stages=dict(a=1)))
        "{'type': 'ResNet', ...}"
        >>> shown([1, 2, [3]])
        '[1, 2, [...]]'
    """
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            return f"{{'type': {value['type']!r}{', ...' if len(value) > 1 else ''}}}"
        keys = [f"{key!r}: ..." for key in list(value)[:most]]
        return "{" + ", ".join([*keys, *(["..."] if len(value) > most else [])]) + "}"
    if isinstance(value, list | tuple):
        start, end = "[]" if isinstance(value, list) else "()"
        items = [_inner(item) for item in value[:most]] + (["..."] if len(value) > most else [])
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"{start}{', '.join(items)}{comma}{end}"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 4]} ..."


def _inner(item: Any) -> str:
    if isinstance(item, dict) or not isinstance(item, list | tuple):
        return shown(item)
    return ("[...]" if isinstance(item, list) else "(...)") if item else repr(item)


def nearest(value: str, options: Iterable[str], count: int = 3) -> list[str]:
    """The options spelt most like ``value``, best first.

    Example:
        >>> nearest('decode_head.conv_seq', ['decode_head.conv_seg', 'backbone'])
        ['decode_head.conv_seg']
    """
    options = list(dict.fromkeys(options))
    folded = {option.lower(): option for option in options}
    return [folded[match] for match in difflib.get_close_matches(value.lower(), folded, n=count, cutoff=0.6)]


def spelling_hint(value: str, options: Iterable[str], limit: int = 12) -> str:
    """One phrase that says what is allowed, and what was probably meant.

    Example:
        >>> spelling_hint('softmx', ['softmax', 'sigmoid', 'none'])
        "did you mean 'softmax'? Allowed: 'none', 'sigmoid', 'softmax'"
    """
    options = sorted(set(options))
    close = nearest(value, options)
    shown = ", ".join(repr(option) for option in options[:limit])
    more = f" and {len(options) - limit} more" if len(options) > limit else ""
    meant = f"did you mean {' or '.join(repr(option) for option in close)}? " if close else ""
    return f"{meant}Allowed: {shown}{more}" if options else "nothing is allowed here"
