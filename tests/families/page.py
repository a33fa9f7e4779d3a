"""docs/en/families.md and results.json from the cells that have been tried: ``python -m families.page``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from families.catalogue import FAMILIES, PARTNERS, Family
from families.outcome import ARRANGEMENTS
from families.reasons import METHODS, WHOLE
from families.results import COMMITTED, ROOT, collected, committed

PAGE = ROOT / "docs" / "en" / "families.md"
TITLES = {"mmdet": "MMDetection", "mmseg": "MMSegmentation", "mmpretrain": "MMPretrain"}
Results = dict[str, dict[str, Any]]
HEAD = """\
# What can be distilled

Every folder of configs of MMDetection, MMSegmentation and MMPretrain is a family here, and one config stands for it.
Each family was tried three times, with what `mmdist new` does: under itself, as the student of a fixed teacher, and as
the teacher of that model. The fixed models are {partners}.

Backbones of the ResNet kind are an eighth as wide, and large transformers take their smallest form. Weights and images
are random. For each method that suits a pair, a config was written and trained one iteration. Where class scores are
compared, the recorded ones are those that `predict` decides with: on two images, for both models, they differ by at
most 1e-5 (of the largest score, where that is above 1), and by 1e-3 where the teacher's norms are fused.

A few models at random turn a rounding error of the image into another answer: ViG chooses other neighbours, ResNeSt-101
amplifies it in a hundred layers. Such a teacher is compared on the very image that the recorded pass saw, and a
deviation with fused norms is divided by that amplification.

Of {families} families {tried} have been tried so far, and {works} of them can be distilled under themselves.
`make test-families` tries them all and makes this page. It takes hours on two cores, and goes on where it was
interrupted. `make test` tries a tenth of the families.
"""


def text(results: Results) -> str:
    """The page.

    Args:
        results (dict): By cell, as ``results.json`` has them.
    """
    return "\n".join(
        [*_head(results), *_reasons(results), *(line for name in TITLES for line in _library(name, results))]
    )


def _head(results: Results) -> Iterator[str]:
    tried = [name for name in results if name.endswith("-itself")]
    works = [name for name in tried if results[name]["works"]]
    partners = ", ".join(f"`{path.rpartition('/')[2].removesuffix('.py')}`" for path in PARTNERS.values())
    yield HEAD.format(partners=partners, tried=len(tried), works=len(works), families=len(FAMILIES))


def _reasons(results: Results) -> Iterator[str]:
    yield "## Why not"
    yield ""
    yield "A family, or a method for a pair, is refused for one of these reasons. A test judges them by the models."
    yield "The number says how often the reason is the first that holds."
    yield ""
    yield "| reason | | times |"
    yield "|---|---|--:|"
    counted = Counter(found["whole"] for found in results.values() if found["whole"])
    counted += Counter(key for found in results.values() for key in found["refused"].values())
    listed: dict[str, str] = {}
    for reason in [*WHOLE, *(reason for reasons in METHODS.values() for reason in reasons)]:
        listed.setdefault(reason.key, reason.text)
    for key, sentence in listed.items():
        yield f"| {key} | {sentence} | {counted[key]} |"
    yield ""


def _library(name: str, results: Results) -> Iterator[str]:
    yield f"## {TITLES[name]}"
    yield ""
    yield f"| family | config | {' | '.join(ARRANGEMENTS.values())} |"
    yield f"|---|---|{'---|' * len(ARRANGEMENTS)}"
    for family in FAMILIES:
        tried = any(f"{family.id}-{arrangement}" in results for arrangement in ARRANGEMENTS)
        if family.library == name and tried:
            outcomes = [_cell(family, results.get(f"{family.id}-{arrangement}")) for arrangement in ARRANGEMENTS]
            config = f"`{family.file.removesuffix('.py')}`"
            yield f"| {family.name} | {config} | {' | '.join(outcomes)} |"
    yield ""


def _cell(family: Family, found: dict[str, Any] | None) -> str:
    """Such as ``all``, ``kd, dist`` or the reason."""
    if found is None:
        return "not tried yet"
    if found["whole"]:
        return f"no: {found['whole']}"
    missing = [method for method, key in found["refused"].items() if key != "other task"]
    if not missing:
        return "all"
    if not found["works"]:
        return f"no: {', '.join(sorted(set(found['refused'][method] for method in missing)))}"
    grouped: dict[str, list[str]] = {}
    for method in missing:
        grouped.setdefault(found["refused"][method], []).append(method)
    return "all but " + "; ".join(f"{', '.join(methods)} ({key})" for key, methods in grouped.items())


def main() -> None:
    """Write both files."""
    results = {**committed(), **dict(collected())}
    order = {f"{family.id}-{arrangement}": None for family in FAMILIES for arrangement in ARRANGEMENTS}
    results = {name: results[name] for name in order if name in results}
    COMMITTED.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(text(results))


if __name__ == "__main__":
    main()
