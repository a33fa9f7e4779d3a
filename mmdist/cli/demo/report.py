"""``report.md``: the table, the figures, and all that it takes to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmdist.cli.demo.catalog import Demo
from mmdist.cli.demo.results import Results, explanation, minutes, table
from mmdist.version import __version__

TITLES = {"seg": "Segmentation", "det": "Detection", "cls": "Classification"}
PACKAGES = ("torch", "mmengine", "mmcv", "mmrazor")


def versions_of(demo: Demo) -> dict[str, str]:
    """The installed versions of what a demo's result depends on."""

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {"mmdist": __version__, **{name: installed(name) for name in (*PACKAGES, demo.library)}}


def markdown(results: Results, figures: Mapping[str, str]) -> str:
    """The report.

    Args:
        results (Results): The numbers.
        figures (Mapping[str, str]): Caption by file name, relative to the report.

    Returns:
        str: Markdown.
    """
    setting = results.setting
    quick = ["**A quick run: too short to say anything about the models.**", ""] if setting["quick"] else []
    images = [line for name, caption in figures.items() for line in (f"![{caption}]({name})", "", caption, "")]
    runs = [
        f"| {trained.training.label} | {trained.training.iterations} | {minutes(trained.history.seconds)} "
        f"| {trained.metric:.2f} | `{trained.training.name}/{trained.checkpoint.name}` |"
        for trained in results.trained
    ]
    versions = ", ".join(f"{name} {value}" for name, value in setting["versions"].items())
    machine = setting["machine"]
    threads = f", OMP_NUM_THREADS={machine['omp_num_threads']}" if machine["omp_num_threads"] else ""
    return "\n".join(
        [
            f"# {TITLES[results.demo.task]} demo on {results.demo.data}",
            "",
            *quick,
            table(results),
            "",
            explanation(results),
            "",
            *images,
            "## The trainings",
            "",
            f"| training | iterations | minutes | {results.demo.metric.name} | checkpoint |",
            "|---|--:|--:|--:|---|",
            *runs,
            "",
            "A training's time is the sum of its iterations' times, as they stand in its checkpoint: validation is "
            "not counted, and an interruption neither.",
            "",
            "## How it was made",
            "",
            f"- command: `{setting['command']}`",
            f"- finished: {setting['finished']}",
            f"- seed: {setting['seed']}",
            f"- versions: {versions}, Python {machine['python']}",
            f"- machine: {machine['cores']} cores ({machine['architecture']}), {machine['device']}{threads}",
            "- each training by itself: its command is in `results.json`",
            "",
        ]
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
