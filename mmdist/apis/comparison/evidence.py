"""What a report shows beside the numbers: courses of trainings, the teacher's own metric, images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmdist.apis.comparison.cells import FINAL, PLAIN, TEACHER, Cell
from mmdist.apis.comparison.configs import judge_on
from mmdist.apis.comparison.history import count_parameters, read_history, read_validations
from mmdist.apis.comparison.image_panels import SCORE, Panels
from mmdist.apis.comparison.predictions import load
from mmdist.apis.comparison.prepare import Prepared
from mmdist.apis.comparison.process import StageFailed, run
from mmdist.apis.comparison.results import Row, Setting, usable
from mmdist.apis.comparison.stages import Stage, sha256, write_json
from mmdist.apis.comparison.trainings import TOOL, Place, checkpoint_of, config_text, evaluate
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine import atomic
from mmdist.engine.config import load_config
from mmdist.errors import MMDistError
from mmdist.visualization import Curve

TASKS = {"mmseg": "seg", "mmdet": "det", "mmpretrain": "cls"}
IMAGES = 6
CAPTIONS = {
    "seg": "Images of the report, evenly spaced; ignored pixels are not painted.",
    "det": f"Images of the report, evenly spaced; boxes with a score of at least {SCORE}.",
    "cls": "Images of the report on which students differ, evenly spaced among all of these.",
}


def shown_cells(rows: Iterable[Row], setting: Setting) -> dict[str, Cell]:
    """By arm, the training that figures show: of the first seed, on the config's schedule where there is one."""
    found: dict[str, Cell] = {}
    for row in sorted(usable(list(rows)), key=lambda row: (row.length != setting.length, row.seed, row.cell)):
        if row.purpose == FINAL and row.arm in setting.arms:
            found.setdefault(row.arm, row.cell)
    return {arm: found[arm] for arm in setting.arms if arm in found}


def courses(place: Place, rows: Iterable[Row], setting: Setting) -> dict[Cell, Curve]:
    """Loss and validations of a training of each arm.

    Args:
        place (Place): The comparison's folder.
        rows (Iterable[Row]): What was trained.
        setting (Setting): What was compared.

    Returns:
        dict[Cell, Curve]: Of those whose checkpoint is still there; validations by iteration, as the report shows them.
    """
    rows = list(rows)
    by_cell, found = {row.cell: row for row in rows}, {}
    for cell in shown_cells(rows, setting).values():
        checkpoint, iterations = checkpoint_of(place, cell), by_cell[cell].iterations or cell.length
        if checkpoint is None or not checkpoint.is_file():
            continue
        validations = read_validations(place.folder / cell.folder, place.metric.key)
        scaled = {round(at * iterations / cell.length): value * place.metric.scale for at, value in validations.items()}
        found[cell] = Curve(read_history(checkpoint).loss, scaled)
    return found


def teachers_metric(prepared: Prepared, place: Place, checkpoint: Path) -> tuple[float, int] | None:
    """What the teacher reaches on the images of the report, and its size.

    Args:
        prepared (Prepared): With the teacher's config and the images.
        place (Place): The comparison's folder.
        checkpoint (Path): The teacher's weights.

    Returns:
        tuple[float, int] | None: The metric as the report shows it, and the number of parameters; None where the
            teacher cannot be evaluated this way.
    """
    teacher = prepared.plan.teacher
    if teacher is None:
        return None
    cfg = load_config(teacher.config, "--teacher")
    judge_on(cfg, prepared.judging, prepared.plan.judging, prepared.plan.seeds[0])
    inputs = {"config": cfg.to_dict(), "checkpoint": sha256(checkpoint) or str(checkpoint)}
    stage = Stage(place.folder / TEACHER / "evaluated", inputs)
    done = stage.result()
    if done is None:
        stage.begin()
        config = stage.folder / "config.py"
        atomic.write_text(config_text(cfg), config)
        try:
            value = evaluate(place, config, checkpoint, stage.folder / "log.txt", _common(place))
            size = count_parameters(load_checkpoint_file(checkpoint, map_location="cpu").get("state_dict", {}))
        except (StageFailed, MMDistError):  # a metric for readers is not worth the comparison
            return None
        done = stage.finish([], metric=value, parameters=size)
    return round(done["metric"] * place.metric.scale, 4), int(done["parameters"])


def images(
    prepared: Prepared, place: Place, rows: Iterable[Row], setting: Setting, teacher: Path | None
) -> Panels | None:
    """What the models say of some images of the report.

    Args:
        prepared (Prepared): With the configs.
        place (Place): The comparison's folder.
        rows (Iterable[Row]): What was trained.
        setting (Setting): What was compared.
        teacher (Path, optional): The teacher's weights.

    Returns:
        Panels | None: None for another task, or where a model cannot be run this way.
    """
    cells = shown_cells(rows, setting)
    scope = prepared.configs[PLAIN].get("default_scope")
    if scope not in TASKS or PLAIN not in cells:
        return None
    models = {}
    for arm, cell in cells.items():
        checkpoint = checkpoint_of(place, cell)
        if checkpoint is not None and checkpoint.is_file():
            config = place.folder / "configs" / f"{cell.folder.replace('/', '_')}.py"
            models[arm] = {"config": str(config), "checkpoint": str(checkpoint)}
    names = {arm: setting.arms[arm] for arm in models}
    config = place.folder / TEACHER / "evaluated" / "config.py"
    if teacher is not None and config.is_file():
        models = {TEACHER: {"config": str(config), "checkpoint": str(teacher)}, **models}
        names = {TEACHER: "teacher", **names}
    spec = {"task": TASKS[scope], "count": IMAGES, "options": {}, "models": models}
    sums = {name: sha256(Path(model["checkpoint"])) for name, model in models.items()}
    stage = Stage(place.folder / "images", {**spec, "sums": sums})
    if stage.result() is None:
        stage.begin()
        write_json(stage.folder / "spec.json", spec)
        tool = [*TOOL[:-1], "mmdist.apis.comparison.predict"]
        try:
            files = [stage.folder / "spec.json", stage.folder / "predictions.npz"]
            run([*tool, *files], "predictions", stage.folder / "log.txt", **_common(place))
        except StageFailed:
            return None
        stage.finish(["predictions.npz"])
    meta, records = load(stage.folder / "predictions.npz")
    return Panels(TASKS[scope], records, names, meta["classes"], meta["palette"], CAPTIONS[TASKS[scope]])


def _common(place: Place) -> Mapping[str, Any]:
    keep = [place.lock]
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), **place.environment}
    return dict(
        cwd=Path.cwd(), on_line=lambda line: None, keep=keep, environment=environment, processes=place.processes
    )
