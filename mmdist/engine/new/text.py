"""Python text of a config: values, names and comments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WIDTH = 120
FOLDER = "{{ fileDirname }}"  # mmengine puts the folder of the config in its place


@dataclass(frozen=True)
class Noted:
    """A value with a comment."""

    value: Any
    comment: str


@dataclass(frozen=True)
class Code:
    """Text that stands for itself, such as the name of a variable."""

    text: str


def assign(name: str, value: Any, comment: str = "") -> str:
    """One assignment, its comment above it.

    Example:
        >>> print(assign('loss', dict(type='L', weight=Noted(2.0, 'twice')), 'the loss'))
        # the loss
        loss = dict(
            type="L",
            weight=2.0,  # twice
        )
    """
    return "\n".join([*remark(comment, 0), f"{name} = {render(value, 0, len(name) + 3)}"])


def render(value: Any, indent: int = 0, before: int = 0) -> str:
    """A value as Python text, on one line where that fits.

    Args:
        value (Any): Dicts, lists, tuples, numbers, strings, ``Code`` and ``Noted``.
        indent (int): Spaces before the line that the text begins in.
        before (int): What else stands in that line.

    Returns:
        str: Text; lines after the first are indented.
    """
    if not isinstance(value, dict | list) or not value:
        return _flat(value)
    if not _has_comment(value):
        flat = _flat(value)
        if indent + before + len(flat) + 1 <= WIDTH:
            return flat
    lines: list[str] = []
    if isinstance(value, dict):
        opening, closing = ("dict(", ")") if _plain(value) else ("{", "}")
        entries = [(f"{key}=" if _plain(value) else f"{_flat(key)}: ", item) for key, item in value.items()]
    else:
        opening, closing, entries = "[", "]", [("", item) for item in value]
    for key, item in entries:
        lines += _entry(key, item, indent + 4)
    return "\n".join([opening, *lines, " " * indent + closing])


def _entry(key: str, item: Any, indent: int) -> Iterator[str]:
    comment = ""
    if isinstance(item, Noted):
        item, comment = item.value, item.comment
    text = " " * indent + key + render(item, indent, len(key)) + ","
    if comment and "\n" not in text and len(text) + len(comment) + 4 <= WIDTH:
        yield f"{text}  # {comment}"
        return
    yield from remark(comment, indent)
    yield text


def remark(comment: str, indent: int = 0) -> Iterator[str]:
    """A comment's lines, broken between words."""
    line = ""
    for word in comment.split():
        if line and indent + len(line) + len(word) + 3 > WIDTH:
            yield f"{' ' * indent}# {line}"
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield f"{' ' * indent}# {line}"


def _flat(value: Any) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        if _plain(value):
            return f"dict({', '.join(f'{key}={_flat(item)}' for key, item in value.items())})"
        return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    return repr(value)


def _quoted(value: str) -> str:
    """A string that means itself, whatever is in it: mmengine would put variables into other pairs of braces."""
    rest = value.removeprefix(FOLDER)
    text = json.dumps(rest, ensure_ascii=False).replace("{{", r"{\x7b")
    # Bytes of a file's name that are no UTF-8 are escaped: the config's text is.
    text = "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)
    return f'"{FOLDER}{text[1:]}' if rest != value else text


def _plain(value: dict) -> bool:
    return all(isinstance(key, str) and key.isidentifier() for key in value)


def _has_comment(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_comment, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Noted)
