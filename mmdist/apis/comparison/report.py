"""The report of a comparison: ``report.md`` with its figures, and ``report.html``, which is one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmdist.apis.comparison.advice import Gaps, advice
from mmdist.apis.comparison.answer import answer
from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.document import Block, Bullets, Document, Heading, Image, Paragraph
from mmdist.apis.comparison.figures import (
    difference_intervals,
    metric_over_minutes,
    png_bytes,
    svg_bytes,
    training_courses,
)
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.formatting import LONGEST_TEXT
from mmdist.apis.comparison.html_page import html_page
from mmdist.apis.comparison.image_panels import Panels, image_panels
from mmdist.apis.comparison.markdown_page import markdown_page
from mmdist.apis.comparison.provenance import basis, how_it_was_made
from mmdist.apis.comparison.results import Row, Setting
from mmdist.apis.comparison.table_layout import terminal_table
from mmdist.apis.comparison.tables import AT_EQUAL_TIME, TO_THE_BEST, comparison_table, failed_table, search_tables
from mmdist.engine import atomic
from mmdist.errors import printable
from mmdist.visualization import Curve

MARKDOWN, HTML = "report.md", "report.html"


def write_report(
    folder: Path,
    rows: Sequence[Row],
    setting: Setting,
    curves: Mapping[Cell, Curve] | None = None,
    panels: Panels | None = None,
    gaps: Gaps | None = None,
) -> list[Path]:
    """Write both forms of the report.

    Args:
        folder (Path): Where; it is made.
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.
        curves (Mapping[Cell, Curve], optional): Courses of trainings, as
            :func:`mmdist.apis.comparison.figures.training_courses` draws them.
        panels (Panels, optional): Images with what the models say.
        gaps (Mapping, optional): The losses' gradients, as in :func:`mmdist.apis.comparison.advice.advice`.

    Returns:
        list[Path]: The files, ``report.md`` and ``report.html`` first.

    Raises:
        CheckpointError: A file could not be written.
    """
    document = report(rows, setting, curves, panels, gaps)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / MARKDOWN, folder / HTML]
    for image in document.images:
        paths.append(folder / image.name)
        with atomic.replacing(paths[-1]) as temporary:
            temporary.write_bytes(image.data)
    atomic.write_text(markdown_page(document), paths[0])
    atomic.write_text(html_page(document), paths[1])
    return paths


def report(
    rows: Sequence[Row],
    setting: Setting,
    curves: Mapping[Cell, Curve] | None = None,
    panels: Panels | None = None,
    gaps: Gaps | None = None,
) -> Document:
    """The report's content: the answer first, how it was made last.

    Args:
        rows, setting, curves, panels, gaps: As in :func:`write_report`.
    """
    found = Findings.of(rows, setting)
    table = comparison_table(rows, setting)
    blocks: list[Block] = [Paragraph(answer(found), strong=True), *map(Paragraph, setting.notes)]
    blocks += [Heading("Comparison"), *map(Paragraph, basis(found)), *([table] if table.rows else [])]
    said = advice(rows, setting, gaps)
    if said:
        blocks += [Heading("What to do next"), Bullets(tuple(said))]
    images = _images(found, curves or {}, panels)
    if images:
        blocks += [Heading("Figures"), *images]
    searches = search_tables(rows, setting)
    if searches:
        blocks += [Heading("Searches"), Paragraph("What the reported trainings use stands out."), *searches]
    failed = failed_table(rows, setting)
    if failed.rows:
        blocks += [Heading("Trainings that failed"), failed]
    return Document(setting.title, [*blocks, *how_it_was_made(found)])


def terminal_summary(rows: Sequence[Row], setting: Setting, gaps: Gaps | None = None) -> str:
    """The answer, the table and the advice for a terminal; the table without its widest columns.

    Args:
        rows, setting, gaps: As in :func:`write_report`.

    Returns:
        str: Lines of printable characters.
    """
    found = Findings.of(rows, setting)
    table = comparison_table(rows, setting)
    parts = ["\n".join(map(_printable, [answer(found), *setting.notes, *basis(found)]))]
    wide = [name for name in table.head if name == AT_EQUAL_TIME or name.startswith(TO_THE_BEST)]
    parts += [terminal_table(table.without(*wide))] if table.rows else []
    parts += ["\n".join(f"- {_printable(sentence)}" for sentence in advice(rows, setting, gaps))]
    return "\n\n".join(part for part in parts if part)


def _printable(text: str) -> str:
    return printable(text, LONGEST_TEXT)


def _images(found: Findings, curves: Mapping[Cell, Curve], panels: Panels | None) -> list[Image]:
    minutes = metric_over_minutes(found)
    intervals = difference_intervals(found)
    courses = training_courses(found, curves)
    drawn = None if panels is None else image_panels(panels)
    images = []
    if minutes is not None:
        caption = f"{found.setting.metric.name} over the cost of training: mean and standard deviation of the seeds."
        images.append(Image("minutes.svg", svg_bytes(minutes), caption))
    if intervals is not None:
        caption = "Differences to the plain student with their intervals; one that crosses 0 is within noise."
        images.append(Image("differences.svg", svg_bytes(intervals), caption))
    if courses is not None:
        caption = "The task's own loss in training, without what distillation adds, and the validations."
        images.append(Image("curves.svg", svg_bytes(courses), caption))
    if drawn is not None and panels is not None:
        images.append(Image("panels.png", png_bytes(drawn), panels.caption or "Images with what the models say."))
    return images
