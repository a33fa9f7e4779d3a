"""What a comparison was made of: above the table what a reader has to know first, at the end the rest."""

from __future__ import annotations

from mmdist.apis.comparison.cells import PURPOSES, TEACHER
from mmdist.apis.comparison.document import Block, Bullets, Code, Heading, Paragraph
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.formatting import counted, minutes_text, versions_text
from mmdist.apis.comparison.line_names import arm_name
from mmdist.apis.comparison.tables import hours

SEARCHES = {"own": "a search of its own", "plain": "the plain student's", "config": "its config's, not searched"}


def basis(found: Findings) -> list[str]:
    """What stands above the table: which images were chosen on and judged on, and what the teacher reaches.

    Args:
        found (Findings): What was found.

    Returns:
        list[str]: Plain text.
    """
    setting, numbers = found.setting, found.numbers
    if setting.selected_on_judged:
        said = [
            "Learning rates and whatever else was searched were chosen on the same images that this report is about "
            f"({setting.judged_on}). So the values are a little better than on new images, most of all for the arms "
            "with the most trials."
        ]
    else:
        said = [f"Searches were judged on: {setting.chosen_on}. This report is about: {setting.judged_on}."]
    facts = f"One schedule has {setting.length} {setting.unit}. Every value is of the last checkpoint."
    if setting.teacher_metric is not None:
        parameters = "" if setting.teacher_parameters is None else f", {setting.teacher_parameters:,} parameters"
        facts += f" Teacher: {setting.metric.name} {numbers.value(setting.teacher_metric)}{parameters}."
    student = next((row.parameters for row in found.rows if row.arm != TEACHER and row.parameters), None)
    if student is not None:
        facts += f" Student: {student:,} parameters."
    return [*said, facts]


def how_it_was_made(found: Findings) -> list[Block]:
    """The last section: command, seeds, versions, machine, and what the arms are.

    Args:
        found (Findings): What was found.
    """
    rows, setting = found.rows, found.setting
    arms = [
        f"{arm}: {arm_name(arm, setting)}; learning rate: {SEARCHES.get(setting.searched.get(arm, ''), 'not said')}"
        for arm in setting.arms
    ]
    counts = [f"{sum(row.purpose == purpose for row in rows)} {purpose}" for purpose in PURPOSES]
    facts = [f"Trainings: {counted(len(rows), 'training')} ({', '.join(counts)}), {_time(hours(rows))}."]
    days = sorted({row.finished[:10] for row in rows if row.finished})
    if days:
        facts.append(f"Finished: {days[0] if len(days) == 1 else f'{days[0]} to {days[-1]}'}.")
    facts.append(f"Seeds: {', '.join(map(str, setting.seeds))}.")
    if setting.teacher:
        facts.append(f"Teacher: {setting.teacher}.")
    if setting.versions:
        facts.append(f"Versions: {versions_text(setting.versions)}.")
    for name, values in (("torch", {row.torch for row in rows}), ("mmdist", {row.mmdist for row in rows})):
        known = sorted(value for value in values if value)
        if len(known) > 1 or (known and not setting.versions):
            facts.append(f"The trainings ran with {name} {', '.join(known)}.")
    machine = setting.machine or ", ".join(sorted({row.device for row in rows if row.device}))
    if machine:
        facts.append(f"Machine: {machine}.")
    command = [Code(setting.command)] if setting.command else []
    return [Heading("How it was made"), *command, Bullets(tuple(facts)), Paragraph("The arms:"), Bullets(tuple(arms))]


def _time(hours_of_all: float) -> str:
    return f"{hours_of_all:.1f} hours" if hours_of_all >= 1 else f"{minutes_text(60 * hours_of_all)} minutes"
