"""What is compared: settings, arms, seeds, and the trainings that this takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

ITERATIONS = 800  # of a schedule
BATCH = 32  # images in a batch of every arm
LABELED = 8  # of them with labels, where there are unlabelled ones
LABELS = 150
SCENES = 3000
# The first scenes of the validation set choose; the others judge.
CHOOSING, JUDGING = 200, 400
SEARCH_SEED = 100  # of trainings and of a subset of its own
SEEDS = (0, 1, 2)  # each with a labelled subset of its own
TIMING_SEED = 200
TIMING_ITERATIONS = 60

OTHER, OWN = "somebody else's teacher", "own teacher"
SETTINGS = {"other": OTHER, "own": OWN}  # by the name on the command line, in folders and on the page
ALL = "without a teacher"
SEARCH, FINAL, TIMING = "search", "final", "timing"
TEACHER, PLAIN, SAME = "teacher", "plain", "dist-labels"
PSEUDO = "pseudo"
NAMES: Mapping[str, str] = {
    PLAIN: "plain student",
    SAME: "DIST on the labelled images alone",
    PSEUDO: "pseudo-labels",
    "kd": "KD",
    "dist": "DIST",
    "pseudo-kd": "KD and pseudo-labels",
    "pseudo-dist": "DIST and pseudo-labels",
}
TAUGHT = tuple(name for name in NAMES if name != PLAIN)
LENGTHS = (0.5, 1.0, 2.0, 4.0)  # in schedules, of the plain student and of pseudo-labels
PLAIN_RATES = (2.0, 4.0, 8.0, 16.0, 32.0)  # times the config's, of the plain student
TEACHER_RATES = (0.5, 1.0, 2.0)
WEIGHTS = (0.5, 1.0, 2.0)
MOST = 8  # factors of a search


@dataclass(frozen=True)
class Cell:
    """One training.

    Args:
        purpose (str): search, final or timing.
        setting (str): Whose teacher; of the plain student none.
        arm (str): A key of ``NAMES``, or teacher.
        seed (int): Of the training and of the labelled subset.
        iterations (int): Its length.
        rate (float): Times the config's learning rate.
        weight (float): Times the distillation losses; of pseudo-labels alone times theirs.
    """

    purpose: str
    setting: str
    arm: str
    seed: int
    iterations: int
    rate: float
    weight: float = 1.0

    @property
    def folder(self) -> str:
        """Where it is trained, below the benchmark's folder; cells that differ in their purpose alone share it."""
        setting = next((name for name, setting in SETTINGS.items() if setting == self.setting), "plain")
        timing = "-timing" if self.purpose == TIMING else ""
        length = f"seed{self.seed}-{self.iterations}"
        return f"{setting}-{self.arm}-{length}-lr{self.rate:g}-weight{self.weight:g}{timing}"


def plain_cells(rates: Iterable[float], iterations: int = ITERATIONS) -> Iterator[Cell]:
    """The plain student at each learning rate."""
    for rate in rates:
        yield Cell(SEARCH, ALL, PLAIN, SEARCH_SEED, iterations, rate)


def teacher_cell(setting: str, seed: int, rate: float, iterations: int = ITERATIONS) -> Cell:
    """The teacher of a seed. Somebody else's is one for all of them."""
    return Cell(SEARCH, setting, TEACHER, SEARCH_SEED if setting == OTHER else seed, iterations, rate)
