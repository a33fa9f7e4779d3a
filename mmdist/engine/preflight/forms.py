"""A plain model or a distiller: weights of the one name no key of the other, and mmengine only warns of that."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmdist.errors import CheckpointError

STUDENT = "architecture."
PARTS = (STUDENT, "distiller.", "acclimated.")  # the keys of a distiller's weights start with one of these


def check_form(cfg: Config, content: dict[str, Any], path: str, *, resume: bool) -> None:
    """The weights that a run starts from are of the model's form, so that some of them can be loaded.

    Args:
        cfg (Config): The whole config.
        content (dict[str, Any]): What is in the file.
        path (str): The file, for messages.
        resume (bool): The run goes on from it, rather than starting from its weights.

    Raises:
        CheckpointError: A plain model's weights for a distiller, or the other way round; says what to do instead.
    """
    # Imported late: that module needs this package.
    from mmdist.engine.weights import algorithm_class

    names = weight_names(content)
    if not names or not isinstance(cfg.get("model"), dict):
        return
    kind = f"model.type = {cfg.model.get('type')!r}"
    key = f"--resume: {path!r}" if resume else f"load_from = {path!r}"
    if algorithm_class(cfg) is not None:
        parts = PARTS if keeps_teacher_out(cfg.model) else (*PARTS, "teacher.")
        if any(name.startswith(parts) for name in names):
            return
        plain = f"{key} is of a plain model (no key of it starts with {STUDENT!r}), and {kind} is a distiller"
        if resume:
            raise CheckpointError(
                f"{plain}: a plain run cannot be resumed as a distillation. --student-ckpt {path}, without --resume, "
                "starts a new run whose student has these weights"
            )
        raise CheckpointError(
            f"{plain}: nothing would be loaded. Give it as --student-ckpt {path} instead, to start the student from it"
        )
    # MMRazor's other algorithms, such as those that prune, have an architecture too.
    if "architecture" not in cfg.model and any(name.startswith(STUDENT) for name in names):
        distilled = f"{key} is of a distiller (its keys start with {STUDENT!r}), and {kind} is a plain model"
        export = f"`mmdist export {path} OUT`"
        if resume:
            raise CheckpointError(
                f"{distilled}: resume with the config of the distillation, or start a new run from its student: "
                f"{export} first, then --student-ckpt OUT without --resume"
            )
        raise CheckpointError(
            f"{distilled}: nothing would be loaded. {export} first, and start from OUT; or take the config of the "
            "distillation"
        )


def weight_names(content: dict[str, Any]) -> list[str]:
    """The names of a checkpoint's weights, as mmengine loads them.

    Example:
        >>> weight_names({'meta': {}, 'state_dict': {'module.head.fc.bias': 0}})
        ['head.fc.bias']
    """
    weights = content.get("state_dict", content)
    return [str(name).removeprefix("module.") for name in weights] if isinstance(weights, dict) else []


def keeps_teacher_out(model: dict[str, Any]) -> bool:
    """The model is mmdist's algorithm, whose teacher, unless it trains as a whole, is in no checkpoint."""
    return model.get("type") == "mmdist.SingleTeacherDistill" and not model.get("teacher_trainable", False)
