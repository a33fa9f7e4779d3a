"""What is compared: arms, seeds, lengths, and how learning rates are found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmdist.apis.comparison.cells import PLAIN, TEACHER
from mmdist.errors import ConfigError

NAME = re.compile(r"[\w.+-]{1,64}", re.ASCII)
TAKEN = (TEACHER, "configs", "data", "images", "slurm", "results.csv", "report.md", "report.html")
TAKEN += ("minutes.svg", "differences.svg", "curves.svg", "panels.png")
EQUAL = ("iterations", "time", "both")
SEARCHED = ("all", "plain", "none")
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
TEACHER_RATES = (0.5, 1.0, 2.0)
SEARCH_SEEDS = (100,)
LEAST_RATES = 5
OWN, PLAINS, CONFIGS = "own", "plain", "config"  # where an arm's learning rate comes from
MOST_SEEDS = 100


@dataclass(frozen=True)
class Arm:
    """One of the ways to train the student.

    Args:
        name (str): In tables and folders; ASCII letters, digits and ``_.+-``.
        config (str): What is trained: a config file, or ``pkg::path``.
        method (str, optional): Of ``mmdist new``, which writes ``config`` first. None: it is there.
        taught (bool): Whether the teacher's weights go into it. Defaults to True.
        options (Mapping[str, Any]): Settings by dotted key; ``{seed}`` in a text stands for the seed. Defaults to none.
        rate (str): Where its learning rate comes from: a search of its ``own``, the ``plain`` student's search, or its
            ``config``. Defaults to ``own``.
        lengths (tuple[float, ...]): In schedules, those that are searched beside one. Defaults to none.
        weights (tuple[float, ...]): Factors of what the teacher says that are searched beside 1. Defaults to none.
        images (Mapping[str, Any]): ``unlabeled``, ``unlabeled_per_batch`` and ``labels`` as ``mmdist new`` takes them.
        text (str): In words, for the report; its name by default.
    """

    name: str
    config: str
    method: str | None = None
    taught: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    rate: str = OWN
    lengths: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    images: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Taught:
    """The teacher.

    Args:
        config (str): Its config.
        checkpoint (str, optional): Its weights. None: it is trained first, as ``rates`` and ``options`` say.
        options (Mapping[str, Any]): Settings of its training by dotted key.
        rates (tuple[float, ...]): Factors of its learning rate that are searched.
        each_seed (bool): Whether it is trained anew for each seed. Defaults to False.
    """

    config: str
    checkpoint: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = TEACHER_RATES
    each_seed: bool = False


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Args:
        student (str): Config of the plain student.
        arms (tuple[Arm, ...]): The plain student first.
        teacher (Taught, optional): Whom the others learn from.
        seeds (tuple[int, ...]): Of the reported trainings. Defaults to three.
        equal (str): At equal ``iterations``, at equal ``time``, or ``both``. Defaults to ``both``.
        rates (tuple[float, ...]): Factors of the config's learning rate that are searched; at least five.
        around (tuple[float, ...]): Of the arms, factors of the plain student's best rate. Empty: ``rates`` for all.
        search_seeds (tuple[int, ...]): Of the searches.
        metric (str, optional): Key of the metric that is compared; what the config's evaluator reports by default.
        options (Mapping[str, Any]): Settings of all trainings by dotted key.
        choosing (Mapping[str, Any]): Settings of the validation data on which searches are judged.
        judging (Mapping[str, Any]): Settings of the validation data that the report is about. Both empty: test and
            validation data of the config, or two halves of the latter.
        title (str): Of the report.
    """

    student: str
    arms: tuple[Arm, ...]
    teacher: Taught | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    equal: str = "both"
    rates: tuple[float, ...] = RATES
    around: tuple[float, ...] = ()
    search_seeds: tuple[int, ...] = SEARCH_SEEDS
    metric: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    choosing: Mapping[str, Any] = field(default_factory=dict)
    judging: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""

    @property
    def plain(self) -> Arm:
        return self.arms[0]

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)


def check_plan(plan: Plan) -> None:
    """What can be told from a plan by itself.

    Raises:
        ConfigError: A name that cannot be a folder, a number out of its range, or arms that cannot be compared.
    """
    names = [arm.name for arm in plan.arms]
    for name in names:
        check_name("--arms", name)
        if names.count(name) > 1:
            raise ConfigError("--arms", name, "arms of different names")
    if names[0] != PLAIN or len(names) < 2:
        raise ConfigError("--methods", names[1:], "at least one method or arm beside the plain student")
    _check_choice("--equal", plan.equal, EQUAL)
    if plan.metric is not None and not (isinstance(plan.metric, str) and plan.metric.strip()):
        raise ConfigError("--metric", plan.metric, "the key of a metric as the log has it")
    _check_seeds("--seeds", plan.seeds)
    _check_seeds("search_seeds", plan.search_seeds)
    if shared := set(plan.seeds) & set(plan.search_seeds):
        hint = f"{min(shared)} is one of both"
        raise ConfigError("search_seeds", list(plan.search_seeds), f"other seeds than {list(plan.seeds)}", hint)
    searched = any(arm.rate != CONFIGS for arm in plan.arms)
    least = LEAST_RATES if searched else 0
    _check_factors("rates", plan.rates, least)
    _check_factors("around", plan.around)
    if plan.teacher is not None:
        _check_factors("teacher.rates", plan.teacher.rates, 1)
    for arm in plan.arms:
        _check_factors(f"arms.{arm.name}.lengths", arm.lengths)
        _check_factors(f"arms.{arm.name}.weights", arm.weights)
        _check_choice(f"arms.{arm.name}.rate", arm.rate, (OWN, PLAINS, CONFIGS))
        if arm.taught and plan.teacher is None and arm.name != PLAIN:
            raise ConfigError("--teacher", None, f"the config of a teacher, which {arm.name} learns from")
    if bool(plan.choosing) != bool(plan.judging):
        raise ConfigError("choosing", dict(plan.choosing), "a setting beside `judging`, and neither without the other")
    if plan.plain.rate == CONFIGS and any(arm.rate == PLAINS for arm in plan.arms):
        raise ConfigError("arms.plain.rate", CONFIGS, OWN, "other arms take their learning rate from its search")


def check_name(key: str, name: Any) -> None:
    """Of an arm: it becomes a folder.

    Raises:
        ConfigError: Other characters, or a name that is taken.

    Example:
        >>> check_name('--arms', 'dist+mimic')
    """
    wanted = "letters, digits and _ . + - (at most 64), not beginning with . or -"
    if not isinstance(name, str) or not NAME.fullmatch(name) or name.startswith((".", "-")):
        raise ConfigError(key, name, wanted)
    if name in TAKEN:
        raise ConfigError(key, name, "another name", "the comparison has a folder or a file of that name")


def _check_choice(key: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(key, value, list(choices))


def _check_seeds(key: str, seeds: Sequence[Any]) -> None:
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds) or len(seeds) > MOST_SEEDS:
        raise ConfigError(key, list(seeds), f"1 to {MOST_SEEDS} different numbers from 0 to 4294967295")


def _check_factors(key: str, factors: Sequence[Any], least: int = 0) -> None:
    numbers = all(isinstance(f, int | float) and not isinstance(f, bool) and 1e-6 <= f <= 1e6 for f in factors)
    if not numbers or len(set(factors)) != len(factors):
        raise ConfigError(key, list(factors), "different factors from 1e-6 to 1e6")
    if len(factors) < least:
        hint = "with fewer nobody can tell whether the plain student was given its best" if least > 1 else None
        raise ConfigError(key, list(factors), f"at least {least}", hint)
