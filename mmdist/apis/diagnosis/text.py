"""A diagnosis for people."""

from __future__ import annotations

from collections.abc import Sequence

from mmdist.apis.diagnosis.diagnosis import Diagnosis
from mmdist.engine.gap.text import percent
from mmdist.errors import printable

SHOWN = 8


def report(found: Diagnosis) -> str:
    """All sections, the findings last.

    Args:
        found (Diagnosis): What was measured.

    Returns:
        str: Lines.

    Example:
        >>> print(report(Diagnosis('a.py')).splitlines()[-1])
        Nothing found that would spoil the training.
    """
    sections = [_weights(found), _predictions(found), _losses(found), _steps(found), _findings(found)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _weights(found: Diagnosis) -> list[str]:
    if not found.weights:
        return []
    rows = [("weights", "model", "loaded", "from")]
    for side, weights in found.weights.items():
        sources = ", ".join(printable(source) for source in weights.sources) if weights.loaded else ""
        rows.append((side, weights.model, f"{weights.loaded} of {weights.tensors}", sources or "-"))
    lines = _aligned(rows)
    for side, weights in found.weights.items():
        if weights.random:
            more = f" and {len(weights.random) - SHOWN} more" if len(weights.random) > SHOWN else ""
            names = ", ".join(printable(name) for name in weights.random[:SHOWN])
            lines.append(f"  random in the {side}: {names}{more}")
    return lines


def _predictions(found: Diagnosis) -> list[str]:
    predicted = found.predicted
    lines = []
    if predicted.measured:
        metric = next(iter(predicted.measured.values())).metric
        rows = [(f"{predicted.images} of {predicted.total} validation images", metric, "by chance")]
        for side, measured in predicted.measured.items():
            rows.append((side, percent(measured.value), percent(measured.chance)))
        for name, measured in predicted.variants.items():
            rows.append((f"teacher, {name}", percent(measured.value), percent(measured.chance)))
        lines = _aligned(rows)
    return lines + [f"note: {text}" for text in predicted.skipped]


def _losses(found: Diagnosis) -> list[str]:
    losses = found.losses
    if not losses.rows:
        return []
    rows = [(f"losses, mean of {losses.batches} batches", "value", "gradient", "/ task", "cosine")]
    for name, row in losses.rows.items():
        ratio, cosine = losses.ratio(name), row.cosine
        last = ("1", "-") if name == "task" else (_short(ratio), "-" if cosine is None else f"{cosine:.2f}")
        rows.append((name, _short(row.value), _short(row.norm), *last))
    return _aligned(rows)


def _steps(found: Diagnosis) -> list[str]:
    steps = found.steps
    if not steps.seconds:
        return []
    whole = steps.computing + steps.waiting
    rows = [(f"an iteration of {steps.batch} images", "seconds", "share")]
    rows += [
        (name, f"{value:.3f}", percent(value / whole if whole else None))
        for name, value in [("waiting for data", steps.waiting), *steps.seconds.items()]
        if name != "data"
    ]
    rows.append(("together", f"{whole:.3f}", ""))
    lines = _aligned(rows)
    load = f"loading a batch takes one process {steps.seconds['data']:.3f} s; num_workers = {steps.workers}"
    where = "this process" if steps.device == "cpu" else steps.device
    return [*lines, f"  {load}", f"  peak memory of {where}: {steps.memory:,.0f} MiB"]


def _findings(found: Diagnosis) -> list[str]:
    lines = [f"note: {text}" for text in found.notes]
    for finding in found.findings:
        lines.append(f"{'error' if finding.serious else 'warning'} ({finding.name}): {finding.what}")
        lines.append(f"       {finding.advice}")
    if not found.findings:
        lines.append("Nothing found that would spoil the training.")
    return lines


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A heading and its rows, which are indented: numbers to the right, words to the left."""
    names = [rows[0][0], *(f"  {row[0]}" for row in rows[1:])]
    first = max(map(len, names))
    columns = list(zip(*(row[1:] for row in rows), strict=True))
    widths = [max(map(len, column)) for column in columns]
    words = [any(char.isalpha() for cell in column[1:] for char in cell) for column in columns]
    lines = []
    for name, row in zip(names, rows, strict=True):
        cells = [
            cell.ljust(width) if word else cell.rjust(width)
            for cell, width, word in zip(row[1:], widths, words, strict=True)
        ]
        lines.append("  ".join([name.ljust(first), *cells]).rstrip())
    return lines
