"""A report as a list of blocks, which :mod:`markdown_page` and :mod:`html_page` write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmdist.apis.comparison.table_layout import Table


@dataclass(frozen=True)
class Heading:
    """A heading of the second level."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain text.

    Args:
        text (str): Not escaped.
        strong (bool): Whether it stands out. Defaults to False.
    """

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of plain texts."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """A command."""

    text: str


@dataclass(frozen=True)
class Image:
    """A figure.

    Args:
        name (str): Of its file.
        data (bytes): Its content.
        caption (str): Not escaped.
    """

    name: str
    data: bytes
    caption: str

    @property
    def media_type(self) -> str:
        return "image/svg+xml" if self.name.endswith(".svg") else "image/png"


Block = Heading | Paragraph | Bullets | Code | Image | Table


@dataclass(frozen=True)
class Document:
    """A report.

    Args:
        title (str): Not escaped.
        blocks (Sequence[Block]): In their order.
    """

    title: str
    blocks: Sequence[Block]

    @property
    def images(self) -> list[Image]:
        return [block for block in self.blocks if isinstance(block, Image)]
