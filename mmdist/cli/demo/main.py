"""The stages of the demo, one after the other."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdist.apis.comparison.predictions import load
from mmdist.apis.comparison.process import Progress, StageFailed
from mmdist.apis.comparison.stages import Stage, lock, write_json
from mmdist.cli.demo.catalog import DATA, TASKS, choose
from mmdist.cli.demo.report import markdown, versions_of, write_text
from mmdist.cli.demo.results import Results, as_json, equal_time_iterations, explanation, table
from mmdist.cli.demo.training import Place, Trained, Training, length_of, train
from mmdist.cli.report import INTERRUPTED, run_reported
from mmdist.engine.command import AGAIN, typed
from mmdist.engine.threads import threads_here, variables_for_tools
from mmdist.errors import ConfigError

STAGES = 7
QUICK_ITERATIONS = 12
IMAGES = 6


def build_parser() -> argparse.ArgumentParser:
    """The demo's arguments."""
    parser = argparse.ArgumentParser(
        description="Train a teacher, a student by itself and a distilled student on real images; compare them. "
        "Interrupted and run again, it goes on where it was."
    )
    parser.add_argument("--task", metavar="|".join(TASKS), help="default: seg, or what the data is for")
    parser.add_argument("--data", metavar="|".join(DATA), help="default: digits; mnist for cls")
    parser.add_argument("--work-dir", metavar="DIR", default="work_dirs/demo", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of every training (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few iterations on little data: shows that it runs")
    return parser


class Line:
    """Counts the stages and knows the one that is at work."""

    def __init__(self) -> None:
        self.count = 0
        self.progress: Progress | None = None

    def next(self, label: str) -> Progress:
        self.count += 1
        self.progress = Progress(f"[{self.count}/{STAGES}] {label}")
        return self.progress


def make_data(place: Place, quick: bool, progress: Progress) -> None:
    """Make the data set; its converter knows by itself whether there is anything to do."""
    demo, said = place.demo, [""]
    arguments = demo.quick_data if quick else ()
    command = [f"tools/dataset_converters/{demo.converter}.py", "--out", place.data, *arguments]

    class Listening(Progress):
        def line(self, line: str) -> None:
            said.append(line.strip())

    listening = Listening(progress.label)
    place.run(command, "making the data", place.folder / "data.log", listening)
    progress.end(said[-1].removeprefix(f"{demo.converter}: ").replace(f"{place.root}/", ""))


def predict(place: Place, trained: dict[str, Trained], cfg_options: dict[str, str], progress: Progress) -> Path:
    """Have the models look at some validation images; the file with what they say."""
    config = place.config(place.demo.student)
    models = {
        name: {
            "config": place.config(place.demo.teacher) if name == "teacher" else config,
            "checkpoint": str(model.checkpoint),
        }
        for name, model in trained.items()
    }
    spec = {"task": place.demo.task, "count": IMAGES, "options": cfg_options, "models": models}
    sums = {name: model.sha256 for name, model in trained.items()}
    stage = Stage(
        place.folder / "predictions",
        {**spec, "sha256": sums, "data": place.data_checksum(), "versions": place.versions},
    )
    skipped = stage.result() is not None
    if not skipped:
        stage.begin()
        write_json(stage.folder / "spec.json", spec)
        command = ["-m", "mmdist.apis.comparison.predict", stage.folder / "spec.json", stage.folder / "predictions.npz"]
        place.run(command, "predictions", stage.folder / "log.txt", progress)
        stage.finish(["predictions.npz"])
    progress.end("for the figures", skipped=skipped)
    return stage.folder / "predictions.npz"


def schedule_of(place: Place) -> int:
    """How many iterations the three configs train for.

    Raises:
        ConfigError: They differ: the comparison would not be one at equal iterations.
    """
    demo = place.demo
    lengths = {name: length_of(place, name) for name in (demo.teacher, demo.student, demo.distilled)}
    for name, length in lengths.items():
        if length != lengths[demo.student]:
            raise ConfigError(f"{name}: train_cfg.max_iters", length, f"{lengths[demo.student]}, as in {demo.student}")
    return lengths[demo.student]


def shown(path: Path) -> Path:
    """A path as short as it can be named from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def setting(args: argparse.Namespace, command: str, place: Place, trained: Sequence[Trained]) -> dict[str, Any]:
    """Under which circumstances a result came about."""
    from mmengine.device import get_device

    return {
        "command": command,
        "seed": args.seed,
        "quick": args.quick,
        "finished": max(model.finished for model in trained),
        "versions": place.versions,
        "machine": {
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "architecture": platform.machine(),
            "device": get_device(),
            "python": platform.python_version(),
            "omp_num_threads": " and ".join(sorted({model.threads for model in trained if model.threads})) or None,
        },
    }


def run(args: argparse.Namespace, root: Path, command: str, line: Line) -> None:
    """All stages.

    Args:
        args (argparse.Namespace): Of :func:`build_parser`.
        root (Path): The folder that has ``configs`` and ``tools``.
        command (str): How the demo was called.
        line (Line): Where the stages announce themselves.
    """
    demo = choose(args.task, args.data)
    if not 0 <= args.seed < 2**32:
        raise ConfigError("--seed", args.seed, "a number from 0 to 4294967295")
    folder = Path(args.work_dir).expanduser().resolve() / (f"{demo.name}-quick" if args.quick else demo.name)
    threads = threads_here(workers=0)
    with lock(folder) as held:
        if threads is not None:
            print(f"CPU threads: {threads}", flush=True)
        data = str(folder / "data" / demo.converter) if args.quick else f"data/{demo.converter}"
        place = Place(root, folder, demo, data, versions_of(demo), args.seed, held, variables_for_tools(threads))
        results, predictions = run_stages(args, place, command, line)
        progress = line.next("report")
        from mmdist.cli.demo.figures import write_figures

        figures = write_figures(results, predictions, folder)
        write_json(folder / "results.json", as_json(results))
        write_text(folder / "report.md", markdown(results, figures))
        progress.end(shown(folder / "report.md"))
    print(f"\n{table(results)}\n\n{explanation(results)}", flush=True)


def run_stages(args: argparse.Namespace, place: Place, command: str, line: Line) -> tuple[Results, Path]:
    """Data, trainings and predictions."""
    demo = place.demo
    length = schedule_of(place)
    if args.quick:
        length = QUICK_ITERATIONS
    make_data(place, args.quick, line.next(f"{demo.data} data"))

    def trained(name: str, label: str, config: str, length: int, teacher: Trained | None = None) -> Trained:
        return train(place, Training(name, label, config, length, teacher), line.next(label))

    teacher = trained("teacher", "teacher", demo.teacher, length)
    plain = trained("plain", "plain student", demo.student, length)
    distilled = trained("distilled", "distilled student", demo.distilled, length, teacher)
    longest = equal_time_iterations(length, plain.history.seconds, distilled.history.seconds)
    longer = trained("plain_equal_time", "plain student, equal time", demo.student, longest)
    models = {"teacher": teacher, "plain": plain, "distilled": distilled}
    from mmdist.engine.config import load_config

    options = place.data_options(load_config(str(place.root / place.config(demo.student))))
    predictions = predict(place, models, options, line.next("predictions"))
    circumstances = setting(args, command, place, [*models.values(), longer])
    images = load(predictions)[0]["images"]
    return Results(demo, teacher, plain, distilled, longer, images, circumstances), predictions


def main(root: Path, argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    Args:
        root (Path): The folder that has ``configs`` and ``tools``.
        argv (Sequence[str], optional): Arguments; those of the process by default.

    Returns:
        int: Exit code: 0, 1 (a stage failed), 2 (a mistake of the user's), 130 (interrupted).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    script = root / "tools" / "misc" / "demo.py"
    command = os.environ.get(AGAIN) or shlex.join(typed(argv, [sys.executable, str(script)]))
    # as an interrupt, so that the training that is at work ends too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # mmengine, reading `pkg::` bases
    line = Line()
    status = 0
    try:
        status = run_reported(lambda: _guarded(args, root, command, line))
    except StageFailed as failure:
        print("\n".join(failure.tail), file=sys.stderr)
        print(f"error: {failure}; all that it wrote: {shown(failure.log)}", file=sys.stderr)
        status = 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        status = 1
    if status == INTERRUPTED:
        print(f"what is finished is kept; go on from here with: {command}", file=sys.stderr)
    return status


def _guarded(args: argparse.Namespace, root: Path, command: str, line: Line) -> None:
    try:
        run(args, root, command, line)
    except BaseException:
        if line.progress is not None:
            line.progress.break_off()
        raise
