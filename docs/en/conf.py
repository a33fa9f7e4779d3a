"""Sphinx configuration: ``make docs`` builds the pages of this folder and the API reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import mmdist  # before torchvision and MMRazor, which autodoc imports

project = "mmdist"
copyright = "the mmdist authors, Apache-2.0"
release = mmdist.__version__
html_title = f"mmdist {release}"
html_theme = "furo"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]

# links to a heading, as on GitHub: page.md#a-heading
myst_heading_anchors = 3

# the docstrings give types and defaults in words
autodoc_typehints = "none"
# what classes have for each other, not for who names them in a config
autodoc_default_options = {"exclude-members": "extra_repr, relation, stages"}
autodoc_member_order = "bysource"
maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

# A reference must lead somewhere. The types in the docstrings are words of other packages, which are not looked up.
nitpicky = True
nitpick_ignore_regex = [(r"py:(class|exc|obj)", r"(?!mmdist\.).*"), (r"py:.*", r"torch\..*")]

ROOT = Path(__file__).resolve().parents[2]


def name_files(app: Sphinx, docname: str, source: list[str]) -> None:
    """Name what a page links to outside this folder, ``configs/dist/README.md``, which has no page here."""

    def plain(link: re.Match[str]) -> str:
        path = (Path(app.srcdir) / docname).parent.joinpath(link[2]).resolve()
        return link[0] if path.is_relative_to(app.srcdir) else f"{link[1]} (`{path.relative_to(ROOT)}`)"

    source[0] = re.sub(r"\[([^\]]+)\]\((\.\./[^)#\s]+)[^)]*\)", plain, source[0])


def escape_shapes(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep the star of a shape, ``(N, C, *spatial)``, from starting an emphasis."""
    lines[:] = [line if ">>>" in line else re.sub(r"(?<=, )\*(?=[a-z])", r"\\*", line) for line in lines]


def setup(app: Sphinx) -> None:
    app.connect("source-read", name_files)
    app.connect("autodoc-process-docstring", escape_shapes)
