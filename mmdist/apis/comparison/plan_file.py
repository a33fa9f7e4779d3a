"""A plan from the command line's words, or from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdist.apis.comparison.cells import PLAIN
from mmdist.apis.comparison.plan import CONFIGS, OWN, PLAINS, SEARCHED, Arm, Plan, Taught, check_name, check_plan
from mmdist.engine.config import load_config
from mmdist.errors import ConfigError, spelling_hint

SEEDS = 3
RATE_OF = {"all": (OWN, OWN), "plain": (OWN, PLAINS), "none": (CONFIGS, CONFIGS)}  # of the plain student, of the others
PLAN_KEYS = ("student", "teacher", "arms", "seeds", "equal", "search_lr", "rates", "around", "search_seeds")
PLAN_KEYS += ("metric", "options", "choosing", "judging", "title")
ARM_KEYS = ("config", "method", "taught", "options", "search_lr", "lengths", "weights", "text")
ARM_KEYS += ("unlabeled", "unlabeled_per_batch", "labels")
TEACHER_KEYS = ("config", "checkpoint", "options", "rates", "each_seed")
IMAGES = ("unlabeled", "unlabeled_per_batch", "labels")
# What keys hold, in a plan, an arm or a teacher; None stands for a key that is left out.
KINDS: tuple[tuple[tuple[str, ...], Any, str], ...] = (
    (("config", "method", "text", "checkpoint", "metric", "title", "equal"), str, "a text"),
    (("rates", "around", "search_seeds", "lengths", "weights"), list | tuple, "a list of numbers"),
    (("options", "choosing", "judging"), dict, "a dict of settings by dotted key"),
    (("taught", "each_seed"), bool, "True or False"),
)


def make_plan(
    student: str,
    folder: Path,
    *,
    teacher: str | None = None,
    teacher_ckpt: str | None = None,
    methods: Sequence[str] = (),
    arms: Mapping[str, str] | None = None,
    seeds: int | Sequence[int] = SEEDS,
    equal: str = "both",
    search_lr: str = "all",
    metric: str | None = None,
    images: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a command line.

    Args:
        student (str): Config of the plain student.
        folder (Path): The comparison's, where configs of methods are written.
        teacher (str, optional): Config of the teacher.
        teacher_ckpt (str, optional): Its weights. None: it is trained first.
        methods (Sequence[str]): Of ``mmdist new``.
        arms (Mapping[str, str], optional): Configs of the user's own, by name.
        seeds (int | Sequence[int]): How many, or which.
        equal (str): ``iterations``, ``time`` or ``both``.
        search_lr (str): Whose learning rate is searched: of ``all`` arms, of the ``plain`` student, of ``none``.
        metric (str, optional): Its key.
        images (Mapping[str, Any], optional): ``unlabeled``, ``unlabeled_per_batch`` and ``labels``, for every method.
        options (Mapping[str, Any], optional): Settings of all trainings by dotted key.

    Returns:
        Plan: Checked by itself.

    Raises:
        ConfigError: Arguments that cannot be, or do not go together.
    """
    if search_lr not in SEARCHED:
        raise ConfigError("--search-lr", search_lr, list(SEARCHED))
    if teacher_ckpt and not teacher:
        raise ConfigError("--teacher-ckpt", teacher_ckpt, hint="it goes with --teacher, the config of these weights")
    if images and not methods:
        name, value = next(iter(images.items()))
        raise ConfigError(f"--{name.replace('_', '-')}", value, hint="it goes with --methods, which learn from it")
    own, others = RATE_OF[search_lr]
    made = [Arm(PLAIN, student, taught=False, rate=own, text="plain student")]
    for name in methods:
        made.append(_method(name, name, folder, others, images or {}))
    for name, config in (arms or {}).items():
        check_name("--arms", name)
        if not isinstance(config, str):
            raise ConfigError(f"--arms {name}", config, "the name of a config")
        made.append(Arm(name, config, taught=learns(config, f"--arms {name}"), rate=others))
    plan = Plan(
        student,
        tuple(made),
        Taught(teacher, teacher_ckpt) if teacher else None,
        seeds=_seeds(seeds),
        equal=equal,
        metric=metric,
        options=options or {},
    )
    check_plan(plan)
    return plan


def read_plan(path: str, folder: Path) -> Plan:
    """The plan of a file: a Python config of mmengine.

    Args:
        path (str): The file.
        folder (Path): The comparison's.

    Returns:
        Plan: Checked by itself.

    Raises:
        ConfigError: An unknown key, or a value that cannot be.
    """
    given = load_config(path, "--plan-file").to_dict()
    given = _known("", given, PLAN_KEYS)
    if not isinstance(given.get("student"), str):
        raise ConfigError("student", given.get("student"), "the config of the plain student")
    search_lr = given.pop("search_lr", "all")
    if search_lr not in SEARCHED:
        raise ConfigError("search_lr", search_lr, list(SEARCHED))
    arms = given.pop("arms", None)
    if not isinstance(arms, dict) or not arms:
        raise ConfigError("arms", arms, "a dict of arms by their names")
    made = [_arm(name, arm, given["student"], folder, search_lr) for name, arm in {PLAIN: {}, **arms}.items()]
    made.sort(key=lambda arm: arm.name != PLAIN)
    teacher = given.pop("teacher", None)
    if isinstance(teacher, str):
        teacher = {"config": teacher}
    if teacher is not None:
        teacher = _known("teacher.", teacher, TEACHER_KEYS)
        if "config" not in teacher:
            raise ConfigError("teacher.config", None, "the config of the teacher")
        teacher = Taught(**{key: _frozen(value) for key, value in teacher.items()})
    if "seeds" in given:
        given["seeds"] = _seeds(given["seeds"])
    plan = Plan(arms=tuple(made), teacher=teacher, **{key: _frozen(value) for key, value in given.items()})
    check_plan(plan)
    return plan


def learns(config: str, key: str) -> bool:
    """Whether a config is a distiller's that names no weights of its teacher yet."""
    model = load_config(config, key).get("model") or {}
    return bool(model.get("teacher")) and not model.get("teacher_ckpt")


def _arm(name: str, given: Any, student: str, folder: Path, search_lr: str) -> Arm:
    check_name("arms", name)
    if not isinstance(given, dict):
        raise ConfigError(f"arms.{name}", given, f"a dict with some of {', '.join(ARM_KEYS)}")
    given = _known(f"arms.{name}.", given, ARM_KEYS)
    rate = RATE_OF[search_lr][name != PLAIN]
    own = given.get("search_lr")
    if own is not None:
        if own not in (OWN, PLAINS, CONFIGS):
            raise ConfigError(f"arms.{name}.search_lr", own, [OWN, PLAINS, CONFIGS])
        rate = own
    images = {key: given[key] for key in IMAGES if given.get(key) is not None}
    rest = {key: _frozen(given[key]) for key in ("options", "lengths", "weights", "text", "taught") if key in given}
    if name == PLAIN:
        if given.get("method") or images or given.get("taught") or given.get("weights"):
            raise ConfigError("arms.plain", given, "a student that nobody teaches, with labels alone")
        return Arm(PLAIN, given.get("config", student), rate=rate, **{"taught": False, "text": "plain student", **rest})
    if given.get("config"):
        if given.get("method") or images:
            raise ConfigError(f"arms.{name}", given, "either a config, or a method with the images that it learns from")
        rest.setdefault("taught", learns(given["config"], f"arms.{name}.config"))
        return Arm(name, given["config"], rate=rate, **rest)
    made = _method(name, given.get("method", name), folder, rate, images)
    return Arm(**{**vars(made), **rest})


def _method(name: str, method: str, folder: Path, rate: str, images: Mapping[str, Any]) -> Arm:
    from mmdist.engine.new.methods import METHODS

    if method not in METHODS:
        raise ConfigError("--methods", method, list(METHODS), spelling_hint(str(method), list(METHODS)))
    check_name("--methods", name)
    config = str(folder / "configs" / f"arm_{name}.py")
    return Arm(name, config, method=method, rate=rate, images=dict(images), text=METHODS[method].title)


def _seeds(given: Any) -> tuple[Any, ...]:
    if isinstance(given, bool) or not isinstance(given, int | list | tuple):
        raise ConfigError("--seeds", given, "a number, or a list of them")
    if isinstance(given, int):
        if not 1 <= given <= 100:
            raise ConfigError("--seeds", given, "a number from 1 to 100")
        return tuple(range(given))
    return tuple(given)


def _known(prefix: str, given: Any, keys: Sequence[str]) -> dict[str, Any]:
    """A dict of a plan, of known keys with values of their kinds; those that are None are left out."""
    if not isinstance(given, dict):
        raise ConfigError(prefix.rstrip(".") or "plan", given, f"a dict with some of {', '.join(keys)}")
    for key in given:
        if key not in keys:
            raise ConfigError(f"{prefix}{key}", given[key], hint=spelling_hint(str(key), list(keys)))
    for names, kind, words in KINDS:
        for key in names:
            if given.get(key) is not None and not isinstance(given[key], kind):
                raise ConfigError(f"{prefix}{key}", given[key], words)
    return {key: value for key, value in given.items() if value is not None}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
