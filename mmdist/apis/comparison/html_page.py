"""A report as one HTML file: figures inside, no scripts, nothing loaded from anywhere."""

from __future__ import annotations

import base64

from mmdist.apis.comparison.document import Block, Bullets, Code, Document, Heading, Image, Paragraph
from mmdist.apis.comparison.formatting import html_text
from mmdist.apis.comparison.table_layout import html_table

# A figure has styles of its own, and browsers differ in whether they hold it to its page's rules.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --back: #ffffff; --faint: #656d76; --line: #d1d9e0; --band: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --back: #0d1117; --faint: #9198a1; --line: #3d444d; --band: #151b23 }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1.5rem 4rem; color: var(--text); background: var(--back);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: 0.9rem }
th, td { padding: 0.3rem 0.7rem; border: 1px solid var(--line); text-align: left; vertical-align: top }
thead, tbody tr:nth-child(even) { background: var(--band) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } th.number { white-space: normal }
.answer { font-size: 1.15rem; padding: 0.8rem 1rem; background: var(--band); border-left: 4px solid #2f6ea5 }
.note, figcaption { color: var(--faint); font-size: 0.85rem } figure { margin: 1.2rem 0 }
img { max-width: 100%; background: #ffffff; border-radius: 4px }
pre { padding: 0.7rem 1rem; background: var(--band); white-space: pre-wrap; overflow-wrap: anywhere }
p, li, td { overflow-wrap: anywhere }
"""


def html_page(document: Document) -> str:
    """The text of the file.

    Args:
        document (Document): The report.

    Returns:
        str: HTML; every text in it is escaped.

    Example:
        >>> page = html_page(Document('<script>', [Paragraph('a & b')]))
        >>> '<title>&lt;script&gt;</title>' in page, '<p>a &amp; b</p>' in page
        (True, True)
    """
    title = html_text(document.title)
    body = "\n".join(map(_block, document.blocks))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html_text(text)}</h2>"
        case Paragraph(text, strong):
            return f'<p class="answer">{html_text(text)}</p>' if strong else f"<p>{html_text(text)}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{html_text(item)}</li>" for item in items) + "\n</ul>"
        case Code(text):
            return f"<pre><code>{html_text(text)}</code></pre>"
        case Image(_, data, caption):
            source = f"data:{block.media_type};base64,{base64.b64encode(data).decode('ascii')}"
            words = html_text(caption)
            return f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>'
        case _:
            return "\n".join([html_table(block), *(f'<p class="note">{html_text(note)}</p>' for note in block.notes)])
