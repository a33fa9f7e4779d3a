"""Weights that a run starts from: there, whole, and safe to read."""

from __future__ import annotations

import re
from typing import Any

from mmengine.config import Config

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.latest import latest_address
from mmdist.engine.preflight.forms import check_form, keeps_teacher_out
from mmdist.engine.resumed import check_content
from mmdist.errors import CheckpointError

REMOTE = re.compile(r"[\w.+-]{2,}:")  # https://, s3://, torchvision://, cluster:s3://; one letter is a Windows drive


def check_checkpoints(cfg: Config) -> dict[str, Any]:
    """Every local file of weights that the config names can be read, and the one to start from suits the run.

    Args:
        cfg (Config): After the command line has had its say.

    Returns:
        dict[str, Any]: What the teacher's checkpoint says about itself; nothing where it is not at hand.

    Raises:
        CheckpointError: A file that does not exist, is damaged, or carries more than weights; one to start from that
            is of a plain model where the config distils, or the other way round; or one with too little in it to
            resume.
    """
    model = cfg.model
    named = {f"model.{name}": model.get(name) for name in ("teacher_ckpt", "student_ckpt")}
    for name in ("architecture", "teacher"):
        part = model.get(name)
        if isinstance(part, dict) and isinstance(part.get("init_cfg"), dict):
            named[f"model.{name}.init_cfg.checkpoint"] = part["init_cfg"].get("checkpoint")
    meta: Any = None
    for key, path in named.items():
        content = check_checkpoint(path, key) if path else None
        if key == "model.teacher_ckpt" and content is not None:
            meta = content.get("meta")
    start, resume = cfg.get("load_from"), cfg.get("resume", False)
    if resume and start is None:
        start = latest_address(cfg)
    if start:
        content = check_checkpoint(start, "--resume" if resume else "load_from")
        if content is not None:
            check_form(cfg, content, start, resume=resume)
        if resume and content is not None and keeps_teacher_out(model) and has_teacher(content):
            hint = "its student can be the start of a new run: --cfg-options load_from=..."
            raise CheckpointError(
                f"--resume: {start!r} is MMRazor's: the teacher is among its weights and in its optimizer, "
                f"so mmdist.SingleTeacherDistill cannot go on from it; {hint}"
            )
        if resume and content is not None:
            check_content(content, str(start), scheduled=bool(cfg.get("param_scheduler")))
    return meta if isinstance(meta, dict) else {}


def has_teacher(content: dict[str, Any]) -> bool:
    """A whole teacher is among the weights of a checkpoint."""
    return any(name.startswith("teacher.") for name in content.get("state_dict", {}))


def check_checkpoint(path: Any, key: str) -> dict[str, Any] | None:
    """One file of weights can be read.

    Args:
        path (Any): As the config has it.
        key (str): Where it stands, for messages.

    Returns:
        dict[str, Any] | None: What is in it; None for a remote address, which is left alone.

    Raises:
        CheckpointError: As above.
    """
    if not isinstance(path, str):
        raise CheckpointError(f"{key} = {path!r}: expected the path of a checkpoint file")
    if REMOTE.match(path):
        return None
    try:
        return load_checkpoint_file(path, map_location="cpu")
    except CheckpointError as error:
        raise CheckpointError(f"{key} = {path!r}: {error}") from error
