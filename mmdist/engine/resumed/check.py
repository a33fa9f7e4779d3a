"""All of a checkpoint that a run goes on from, checked: by itself, and against what the run has built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdist.engine.resumed import entries, files
from mmdist.engine.resumed.optimizer import check_optimizer
from mmdist.engine.resumed.schedulers import check_schedulers
from mmdist.engine.resumed.values import MAX_NUMBER, check_nesting, dictionary, shown, whole
from mmdist.engine.resumed.weights import check_weights
from mmdist.errors import CheckpointError

HINT = "to start a new run from its weights, use --cfg-options load_from=... and no --resume"


def check_content(content: dict[str, Any], path: str, *, scheduled: bool) -> None:
    """What can be known of a checkpoint before the run is built.

    Args:
        content (dict): The checkpoint.
        path (str): The file, for messages.
        scheduled (bool): The run has parameter schedulers.

    Raises:
        CheckpointError: It lacks what a run needs to go on, or an entry of it is of another type or range.
    """
    with _named(path):
        if not {"meta", "message_hub"}.issubset(content):
            raise CheckpointError("it is no checkpoint of a run: it has weights only")
        needed = ["state_dict", "optimizer", *(["param_schedulers"] if scheduled else [])]
        missing = [name for name in needed if name not in content]
        if missing:
            raise CheckpointError(
                f"it has no {', '.join(missing)}, as best checkpoints and those of a CheckpointHook with "
                "save_optimizer=False or save_param_scheduler=False"
            )
        dictionary("state_dict", content["state_dict"])
        _check_entries(content)


def check_for_runner(content: dict[str, Any], runner: Runner, path: str) -> None:
    """What can be known once the run is built, with nothing loaded yet.

    Args:
        content (dict): The checkpoint. What must not be used is removed: a config that mmengine would run, and best
            checkpoints outside the run's folder.
        runner (Runner): It has its train loop, optimizer and schedulers.
        path (str): The file, for messages.

    Raises:
        CheckpointError: As above, or the checkpoint does not fit the run.
    """
    leave_out(content)
    if not isinstance(runner, Runner):  # one that keeps weights and optimizer in a form of its own
        with _named(path):
            _check_entries(content)
            _check_progress(content, runner.train_loop)
            _forget(content, runner)
        return
    check_content(content, path, scheduled=bool(runner.param_schedulers))
    with _named(path):
        steps = _check_progress(content, runner.train_loop)
        _forget(content, runner)
        removed = check_optimizer("optimizer", content["optimizer"], runner.optim_wrapper)
        if removed:
            runner.logger.warning(f"{', '.join(removed)} of the checkpoint is not used: this run has none")
        if "param_schedulers" in content and _are_built(runner.param_schedulers):
            note = check_schedulers("param_schedulers", content["param_schedulers"], runner.param_schedulers, steps)
            if note:
                runner.logger.warning(note)
        wrapped = is_model_wrapper(runner.model)
        if not wrapped or "Distributed" in type(runner.model).__name__:  # not one that gives each process a part
            check_weights(content, runner.model.module if wrapped else runner.model)


def leave_out(content: dict[str, Any]) -> None:
    """Remove the configs of a checkpoint, which mmengine and MMRazor would parse as Python, running what is in them.

    Args:
        content (dict): The checkpoint; changed in place.
    """
    if isinstance(content.get("meta"), dict):
        content["meta"].pop("config", None)  # mmcv 1's; mmengine's own is `cfg`, and nothing reads it
    hub = content.get("message_hub")
    if isinstance(hub, dict) and isinstance(hub.get("runtime_info"), dict):
        hub["runtime_info"].pop("cfg", None)  # the run's own is there by now


def _check_entries(content: dict[str, Any]) -> None:
    check_nesting(content)
    entries.check_meta(content["meta"])
    entries.check_message_hub(content["message_hub"])
    entries.check_position(content.get(entries.ENTRY))


def _forget(content: dict[str, Any], runner: Runner) -> None:
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    files.forget_elsewhere(content["message_hub"]["runtime_info"], hooks, runner)


def _check_progress(content: dict[str, Any], loop: Any) -> int:
    """Bounds that depend on the schedule; how many steps of a scheduler fit into it."""
    meta, entry = content["meta"], content.get(entries.ENTRY)
    if isinstance(loop, EpochBasedTrainLoop):
        whole("meta.epoch", meta["epoch"], 0, loop.max_epochs)
        # By the images, not by the batches: the batch size may be another one now.
        longest = max(_length(getattr(loop.dataloader, "dataset", ())), _length(loop.dataloader), 1)
        iters, passes, within = longest * (meta["epoch"] + 1), loop.max_epochs, longest
    else:
        iters = passes = within = getattr(loop, "max_iters", MAX_NUMBER)
    whole("meta.iter", meta["iter"], 0, iters)
    whole("meta.epoch", meta["epoch"], 0, max(getattr(loop, "max_epochs", iters), iters))
    if entries.is_known(entry):
        whole(f"{entries.ENTRY}.pass", entry["pass"], 0, passes)
        whole(f"{entries.ENTRY}.done", entry["done"], 0, min(within, meta["iter"]))
    steps = max(meta["iter"], meta["epoch"])
    for step in content["message_hub"]["runtime_info"].get("keep_ckpt_ids", []):
        whole("message_hub.runtime_info['keep_ckpt_ids']", step, 0, steps)
    return steps


def _length(sized: Any) -> int:
    try:
        return len(sized)
    except (TypeError, NotImplementedError):
        return 0


def _are_built(schedulers: Any) -> bool:
    parts = [part for value in schedulers.values() for part in value] if isinstance(schedulers, dict) else schedulers
    return bool(parts) and all(callable(getattr(part, "state_dict", None)) for part in parts)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Inside, whatever is wrong with the file becomes one line that names it."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"--resume: {path!r} cannot be gone on from: {error}; {HINT}") from error
    # A hostile file can make any operation on it fail.
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"--resume: {path!r} cannot be gone on from: {type(error).__name__}: {shown(reason)}; {HINT}"
        ) from error
