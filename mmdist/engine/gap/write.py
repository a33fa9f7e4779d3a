"""A report as files, and where its paths and versions come from."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmdist.engine import atomic
from mmdist.engine.gap.checks import GapOptions
from mmdist.engine.gap.figures import class_bars, cosine_bars, reliability
from mmdist.engine.gap.report import FIGURES, GapReport
from mmdist.errors import ConfigError, MMDistError
from mmdist.version import __version__

TOOL = "python tools/analysis_tools/kd_gap.py"
PACKAGES = ("torch", "torchmetrics", "scipy", "mmengine", "mmcv", "mmrazor")


def write(report: GapReport, folder: Path) -> list[Path]:
    """Write ``report.md``, its figures and ``gap.json``, each whole or not at all.

    Args:
        report (GapReport): What is written.
        folder (Path): Made if it is not there; files of these names are replaced.

    Returns:
        list[Path]: The files.

    Raises:
        ConfigError: They cannot be written.
    """
    figures = {
        "classes": class_bars(report.findings.classes, report.findings.metric),
        "reliability": reliability(report.findings.calibration),
    }
    if report.gradients:
        figures["gradients"] = cosine_bars(report.gradients)
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            files.append(folder / FIGURES[name])
            with atomic.replacing(files[-1]) as temporary:
                figure.savefig(temporary, format="png", dpi=120)
        files += [folder / "gap.json", folder / "report.md"]
        atomic.write_text(json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n", files[-2])
        atomic.write_text(report.markdown(), files[-1])
    except (OSError, MMDistError) as error:
        raise ConfigError("--out", str(folder), "a folder that can be written to", str(error)) from error
    return files


def portable(path: str) -> str:
    """A path without the place of this machine: from the present folder on, or the name alone.

    Example:
        >>> portable('configs/a.py'), portable('/far/away/a.pth')
        ('configs/a.py', 'a.pth')
    """
    place = Path(path).expanduser()
    if not place.is_absolute():
        return path
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else place.name


def command(asked: GapOptions) -> str:
    """The command line that makes a report again.

    Example:
        >>> command(GapOptions('a.py', 'b.pth', batches=3))
        'python tools/analysis_tools/kd_gap.py a.py b.pth --batches 3'
    """
    usual = GapOptions("", "")
    words: list[str] = [portable(asked.config), portable(asked.checkpoint)]
    flags = {
        "--teacher-ckpt": asked.teacher and portable(asked.teacher),
        "--out": asked.out and portable(asked.out),
        "--batches": asked.batches,
        "--gradient-batches": _unless(asked.gradient_batches, usual.gradient_batches),
        "--split": _unless(asked.split, usual.split),
        "--score-thr": _unless(asked.score_threshold, usual.score_threshold),
        "--boundary": _unless(asked.boundary, usual.boundary),
    }
    for flag, value in flags.items():
        words += [flag, str(value)] if value is not None else []
    if asked.options:
        words += ["--cfg-options", *(f"{key}={_value(value)}" for key, value in asked.options.items())]
    return " ".join([TOOL, *map(shlex.quote, words)])


def versions(library: str) -> dict[str, str]:
    """What computed the report.

    Args:
        library (str): The task library, as pip knows it.

    Returns:
        dict[str, str]: By package.
    """
    return {"mmdist": __version__, **dict(_installed((*PACKAGES, library)))}


def _installed(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for package in packages:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # mmcv-lite, mmengine-lite
            continue


def _unless(value: Any, usual: Any) -> Any:
    return None if value == usual else value


def _value(value: Any) -> str:
    return portable(value) if isinstance(value, str) else str(value).replace(" ", "")
