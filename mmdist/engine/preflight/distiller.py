"""The distiller: losses, connectors, recorders, and how the mappings tie them together."""

from __future__ import annotations

from typing import Any

from mmdist.engine.config import did_you_mean
from mmdist.engine.lookup import check_arguments, find_type
from mmdist.engine.signatures import parameters
from mmdist.errors import ConfigError


def check_distiller(cfg: dict, scope: str | None, key: str) -> None:
    """A distiller's config can be built, and its mappings fit together.

    Args:
        cfg (dict): The distiller.
        scope (str, optional): Default scope where it stands.
        key (str): Its path in the config.

    Raises:
        ConfigError: The first mistake found.
    """
    scope = cfg.get("_scope_", scope)
    kind = find_type(cfg.get("type"), scope, f"{key}.type")
    check_arguments(cfg, kind, key)
    from mmrazor.models.distillers import ConfigurableDistiller, OFDDistiller

    if not (isinstance(kind, type) and issubclass(kind, ConfigurableDistiller)):
        return
    losses = {
        name: _check_part(loss, scope, f"{key}.distill_losses.{name}")
        for name, loss in _dict(cfg, "distill_losses", key)
    }
    for name, loss in _dict(cfg, "distill_losses", key):
        base = loss.get("base") if isinstance(loss, dict) else None  # the loss of one region, of SDDLoss
        if isinstance(base, dict):
            _check_part(base, scope, f"{key}.distill_losses.{name}.base")
    for name, connector in _dict(cfg, "connectors", key):
        parts = connector if isinstance(connector, list | tuple) else [connector]
        for part in parts:
            built = _check_part(part, scope, f"{key}.connectors.{name}")
            if getattr(built, "__name__", "") == "OFDTeacherConnector" and not issubclass(kind, OFDDistiller):
                hint = f"{key}.type='mmrazor.OFDDistiller' does"
                raise ConfigError(
                    f"{key}.connectors.{name}.type", part["type"], "a distiller that gives it margins", hint
                )
    for side in ("student_recorders", "teacher_recorders"):
        for name, recorder in _dict(cfg, side, key):
            _check_part(recorder, scope, f"{key}.{side}.{name}", "task util", "Recorder")
    for name, mapping in _dict(cfg, "loss_forward_mappings", key):
        place = f"{key}.loss_forward_mappings"
        if name not in losses:
            raise ConfigError(f"{place}.{name}", name, losses or "a loss of distill_losses, which has none")
        _check_mapping(mapping, losses[name], cfg, kind, f"{place}.{name}")


def _dict(cfg: dict, name: str, key: str) -> list[tuple[str, Any]]:
    value = cfg.get(name)
    if value is None:
        return []
    if not isinstance(value, dict):
        raise ConfigError(f"{key}.{name}", value, "a dict of names and configs")
    return list(value.items())


def _check_part(cfg: Any, scope: str | None, key: str, registry: str = "model", suffix: str = "") -> Any:
    if not isinstance(cfg, dict):
        if hasattr(cfg, "forward"):  # a built module
            return type(cfg)
        raise ConfigError(key, cfg, "a dict with `type`")
    if "type" not in cfg:
        raise ConfigError(key, dict(cfg), "a dict with `type`")
    kind = find_type(cfg["type"], cfg.get("_scope_", scope), f"{key}.type", registry, suffix)
    check_arguments(cfg, kind, key)
    return kind


def _check_mapping(mapping: Any, loss: Any, cfg: dict, distiller: type, key: str) -> None:
    if not isinstance(mapping, dict):
        raise ConfigError(key, mapping, "a dict: argument of the loss -> where it is recorded")
    arguments = parameters(getattr(loss, "forward", loss))
    arguments = None if arguments is None else {name: p for name, p in arguments.items() if name != "self"}
    for argument, record in mapping.items():
        place = f"{key}.{argument}"
        if arguments is not None and argument not in arguments:
            hint = did_you_mean(argument, list(arguments)) or f"it takes {', '.join(arguments)}"
            raise ConfigError(place, argument, f"an argument of {loss.__name__}.forward", hint)
        if not isinstance(record, dict):
            raise ConfigError(place, record, "a dict with `recorder` and `from_student`")
        _check_record(record, cfg, distiller, place)
    missing = [n for n, p in (arguments or {}).items() if p.default is p.empty and n not in mapping]
    if missing:
        raise ConfigError(key, sorted(mapping), f"{', '.join(missing)} too, which {loss.__name__}.forward requires")


def _check_record(record: dict, cfg: dict, distiller: type, key: str) -> None:
    known = {name for name in parameters(distiller.get_record) or () if name != "self"}
    for name in record:
        if known and name not in known:
            raise ConfigError(f"{key}.{name}", record[name], "a known key", did_you_mean(name, sorted(known)))
    for name, kinds, wanted in (
        ("record_idx", int, "a whole number: which call, from 0"),
        ("data_idx", int | str | None, "a whole number or a name: which part of a call's tuple, list or dict"),
        ("connector_idx", int | None, "a whole number: which part of what the connector gives"),
    ):
        if not isinstance(record.get(name, 0), kinds) or isinstance(record.get(name), bool):
            raise ConfigError(f"{key}.{name}", record[name], wanted)
    for name in ("recorder", "from_student"):
        if name not in record:
            raise ConfigError(key, dict(record), f"`{name}` too")
    if record["from_student"] not in (True, False):
        raise ConfigError(f"{key}.from_student", record["from_student"], "True or False")
    here, there = ("student", "teacher") if record["from_student"] else ("teacher", "student")
    recorders, others = (cfg.get(f"{side}_recorders") or {} for side in (here, there))
    if record["recorder"] not in recorders:
        hint = (
            f"it is one of {there}_recorders: from_student={there == 'student'}" if record["recorder"] in others else ""
        )
        options = f"one of {here}_recorders" if hint or not recorders else list(recorders)
        raise ConfigError(f"{key}.recorder", record["recorder"], options, hint)
    connector = record.get("connector")
    if connector is not None and not isinstance(connector, str):
        raise ConfigError(f"{key}.connector", connector, "the name of one of connectors")
    if connector and connector not in (cfg.get("connectors") or {}):
        raise ConfigError(
            f"{key}.connector", connector, list(cfg.get("connectors") or {}) or "one of connectors, which has none"
        )
