"""Both forms of the report: what they say, that they are whole, and that no name in them does anything."""

from __future__ import annotations

import base64
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers.comparison_rows import HOSTILE, LENGTH, final, search, setting, timing

from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.image_panels import Panels
from mmdist.apis.comparison.report import report, terminal_summary, write_report
from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.table_layout import terminal_table
from mmdist.apis.comparison.tables import comparison_table
from mmdist.visualization import Curve

PLAIN = [70.0, 71.0, 72.5]
ROWS = [
    *final("plain", PLAIN),
    *final("plain", [70.1, 71.2, 72.4], 2 * LENGTH),
    *final("kd", [75.0, 76.2, 77.3]),
    *final("dist", [71.0, None, math.nan]),
    *search("plain", {0.5: 60.0, 1.0: 65.0, 2.0: 66.0}),
    *timing({"plain": 75.0, "kd": 150.0, "dist": 160.0}),
]
CURVES = {Cell("final", "kd", 0, LENGTH): Curve(np.linspace(2, 1, 40), {20: 30.0, 40: 60.0})}
IMAGE = np.full((8, 8, 3), 90, np.uint8)
PANELS = Panels("cls", [{"image": IMAGE, "truth": np.array(0), "kd": np.array(1)}], {"kd": "KD"}, ["cat", "dog"])
# Attributes with which a page can load or start something.
LOADING = {
    "src",
    "href",
    "srcset",
    "data",
    "action",
    "formaction",
    "poster",
    "background",
    "cite",
    "xlink:href",
    "ping",
}
VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(self.text)


def written(tmp_path, rows=ROWS, known=None, **other):
    known = known or setting("kd", "dist", command="mmdist compare a.py --seeds 3", versions={"torch": "2.13.0"})
    paths = write_report(tmp_path / "report", rows, known, **other)
    return paths, paths[0].read_text(encoding="utf-8"), paths[1].read_text(encoding="utf-8")


def shown(text: str) -> str:
    """Text with its control characters escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def check_is_inert(page: Page) -> None:
    """Nothing is loaded, nothing runs."""
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "div", "table", "thead"}
    allowed |= {"tbody", "tr", "th", "td", "strong", "figure", "figcaption", "img", "pre", "code"}
    assert {tag for tag, _ in page.tags} <= allowed
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert all(value.startswith("data:image/") for name, value in attributes.items() if name in LOADING)
    assert "url(" not in page.style
    assert "@import" not in page.style


# ---------------------------------------------------------------- what is in it


def test_the_files_are_there_and_are_named(tmp_path):
    paths, markdown, page = written(tmp_path, curves=CURVES, panels=PANELS)
    names = ["report.md", "report.html", "minutes.svg", "differences.svg", "curves.svg", "panels.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(names)
    assert re.findall(r"\]\((\S+)\)", markdown) == names[2:]
    assert markdown.endswith("\n")
    assert page.endswith("</html>\n")


def test_the_answer_comes_first_in_both(tmp_path):
    _, markdown, page = written(tmp_path)
    answer = markdown.split("\n\n")[1].strip("*")
    assert answer.startswith("At equal time kd (+")
    assert answer in Page(page).words
    assert Page(page).words.index(answer) < Page(page).words.index("Comparison")


def test_sections_stand_in_their_order_in_both(tmp_path):
    _, markdown, page = written(tmp_path, gaps={"kd": [("loss_kd", 9.0, 0.5)]})
    titles = ["Comparison", "What to do next", "Figures", "Searches", "Trainings that failed", "How it was made"]
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == titles
    assert re.findall(r"<h2>(.*?)</h2>", page) == titles
    for text in (markdown, Page(page).words):
        for word in (
            "mmdist compare a.py --seeds 3",
            "torch 2.13.0",
            "loss is nan",
            "one half of val",
            "Seeds: 0, 1, 2",
        ):
            assert word in text


def test_figures_in_the_page_are_those_of_the_files(tmp_path):
    paths, _, page = written(tmp_path, curves=CURVES, panels=PANELS)
    sources = [attributes["src"] for tag, attributes in Page(page).tags if tag == "img"]
    assert [base64.b64decode(source.partition(",")[2]) for source in sources] == [p.read_bytes() for p in paths[2:]]
    kinds = [source.partition(";")[0] for source in sources]
    assert kinds == ["data:image/svg+xml"] * 3 + ["data:image/png"]
    assert all(attributes["alt"] for tag, attributes in Page(page).tags if tag == "img")


def test_the_same_results_give_the_same_files(tmp_path):
    first, second = (
        [path.read_bytes() for path in written(tmp_path / name, curves=CURVES, panels=PANELS)[0]] for name in "ab"
    )
    assert first == second


def test_a_report_is_replaced(tmp_path):
    written(tmp_path)
    _, markdown, _ = written(tmp_path, rows=[])
    assert "kd (+" not in markdown


def test_what_was_selected_on_what_is_judged_is_said(tmp_path):
    known = setting("kd", chosen_on="val", judged_on="val", selected_on_judged=True)
    for text in written(tmp_path, known=known)[1:]:
        assert "the same images that this report is about (val)" in text
    for text in written(tmp_path)[1:]:
        assert "the same images" not in text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        final("plain", [70.0]),
        final("plain", [None]) + final("kd", [None, math.nan]),
        final("plain", [70.0]) + final("kd", [71.0]),
        final("plain", [70.0] * 3) + final("kd", [70.0] * 3),
        search("plain", {1.0: None}),
        timing({"plain": 75.0}),
    ],
)
def test_any_results_make_a_report(rows, tmp_path):
    _, markdown, page = written(tmp_path, rows=rows)
    check_is_inert(Page(page))
    assert "How it was made" in markdown
    assert "nan" not in Page(page).words.replace("loss is nan", "")
    assert terminal_summary(rows, setting("kd"))


def test_a_metric_of_which_less_is_better_is_told_from_one_of_which_more_is(tmp_path):
    known = setting("kd", metric=Metric("m", "error", higher=False))
    _, markdown, _ = written(tmp_path, rows=final("plain", PLAIN) + final("kd", [60.0, 61.1, 62.6]), known=known)
    assert re.search(r"kd \(-\d+\.\d+ .*is better", markdown)


def test_the_terminal_has_answer_table_and_advice():
    text = terminal_summary(ROWS, setting("kd", "dist"))
    assert text.startswith("At equal time kd")
    assert "75.00 " not in text.splitlines()[0]
    assert re.search(r"^kd +3 +76\.17 ± 1\.15", text, re.MULTILINE)
    assert "\n- " in text
    full = terminal_table(comparison_table(ROWS, setting("kd", "dist")))
    assert text.index("\nkd ") > 0
    assert max(map(len, re.findall(r"^(?:--|kd ).*", text, re.MULTILINE))) < max(map(len, full.splitlines()[:5])) - 40


# ---------------------------------------------------------------- what must not be in it


def test_nothing_is_loaded_and_nothing_runs(tmp_path):
    _, _, text = written(tmp_path, curves=CURVES, panels=PANELS)
    page = Page(text)
    check_is_inert(page)
    metas = [attributes for tag, attributes in page.tags if tag == "meta"]
    (policy,) = [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "http" not in text.replace("http-equiv", "")


def test_figures_load_nothing_and_run_nothing(tmp_path):
    paths, _, _ = written(tmp_path, curves=CURVES)
    for path in paths[2:]:
        text = path.read_text(encoding="utf-8")
        assert "<!DOCTYPE" not in text
        for element in ET.fromstring(text).iter():
            assert element.tag.rpartition("}")[2] in {
                "svg",
                "defs",
                "style",
                "g",
                "path",
                "use",
                "clipPath",
                "rect",
                "text",
            }
            links = [value for name, value in element.attrib.items() if name.rpartition("}")[2] in LOADING]
            assert all(link.startswith("#") for link in links)
        assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", text))


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_anywhere_is_shown_and_does_nothing(text, tmp_path):
    known = replace(
        setting("kd", "dist"),
        title=text,
        metric=Metric("m", text),
        arms={"plain": "plain", "kd": text, "dist": "dist"},
        chosen_on=text,
        judged_on=text,
        teacher=text,
        command=text,
        versions={text: text},
        machine=text,
        notes=(text,),
    )
    rows = [replace(row, failed=text and row.failed and text, device=text, finished=text, torch=text) for row in ROWS]
    panels = replace(PANELS, models={"kd": text}, classes=[text, text], caption=text)
    gaps = {"kd": [(text, 9.0, -0.5)]}
    paths, markdown, html = written(tmp_path, rows=rows, known=known, curves=CURVES, panels=panels, gaps=gaps)
    page = Page(html)
    check_is_inert(page)
    assert all(line.isprintable() for line in (*markdown.splitlines(), *html.splitlines()))
    assert page.words.count(shown(text)) > 5
    outside = re.sub(r"^```+shell\n.*\n```+$", "", markdown, flags=re.MULTILINE)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)\]\((?!\w+\.(svg|png)\))", outside)
    assert not re.search(r"(?<!\\)[`$]", outside)
    assert "://" not in outside
    assert all(path.parent == tmp_path / "report" for path in paths)
    assert all(line.isprintable() for line in terminal_summary(rows, known, gaps).splitlines())


def test_a_command_cannot_leave_its_block(tmp_path):
    _, markdown, _ = written(tmp_path, known=setting("kd", command="a ``` b\n```\n<script>"))
    block = re.search(r"^(`{4,})shell\n(.*)\n\1$", markdown, re.MULTILINE)
    assert block[2] == "a ``` b\\n```\\n<script>"


def test_a_markdown_reader_sees_no_html_and_no_foreign_link():
    markdown_it = pytest.importorskip("markdown_it")
    from mmdist.apis.comparison.markdown_page import markdown_page

    for text in HOSTILE:
        known = replace(setting("kd", "dist"), arms={"plain": "p", "kd": text, "dist": f"1. {text}"}, notes=(text,))
        page = markdown_page(report(ROWS, known))
        html = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(page)
        found = Page(html)
        assert {tag for tag, _ in found.tags} <= {
            *("h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "img"),
            *("pre", "code"),
        }
        assert {attributes["src"] for tag, attributes in found.tags if tag == "img"} == {
            "minutes.svg",
            "differences.svg",
        }
        assert found.words.count(shown(text)) > 3
