"""A report as Markdown, its figures in files beside it."""

from __future__ import annotations

from mmdist.apis.comparison.document import Block, Bullets, Code, Document, Heading, Image, Paragraph
from mmdist.apis.comparison.formatting import markdown_code, markdown_line
from mmdist.apis.comparison.table_layout import markdown_table


def markdown_page(document: Document) -> str:
    """The text of the file.

    Args:
        document (Document): The report.

    Returns:
        str: Markdown, as GitHub shows it.

    Example:
        >>> print(markdown_page(Document('a <b>', [Heading('c'), Paragraph('d|e', strong=True)])))
        # a &lt;b&gt;
        <BLANKLINE>
        ## c
        <BLANKLINE>
        **d\\|e**
        <BLANKLINE>
    """
    blocks = [f"# {markdown_line(document.title)}", *map(_block, document.blocks)]
    return "\n\n".join(blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {markdown_line(text)}"
        case Paragraph(text, strong):
            return f"**{markdown_line(text)}**" if strong else markdown_line(text)
        case Bullets(items):
            return "\n".join(f"- {markdown_line(item)}" for item in items)
        case Code(text):
            return markdown_code(text, "shell")
        case Image(name, _, caption):
            return f"![{markdown_line(caption)}]({name})\n\n{markdown_line(caption)}"
        case _:
            return "\n\n".join([markdown_table(block), *map(markdown_line, block.notes)])
