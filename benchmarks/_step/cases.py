"""What is compared: two networks, their pictures, and the algorithms around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / "configs"
OURS, RAZOR = "mmdist.SingleTeacherDistill", "mmrazor.SingleTeacherDistill"
ITERATIONS = 1000  # of the training that a step is taken from
LAST = ITERATIONS - 1


class Rival(NamedTuple):
    """One of the algorithms that a case compares.

    Args:
        config (str | dict[str, Any]): A config file under ``configs``, or the algorithm's config, its ``distiller``
            perhaps by its name in ``configs/_base_/distillers``. The case says which models it gets.
        iteration (int): Iteration of the training that its steps are, of ``ITERATIONS``.
        changes (dict[str, Any]): What is other than in the config, by dotted keys.
    """

    config: str | dict[str, Any]
    iteration: int = 0
    changes: dict[str, Any] = {}  # noqa: RUF012  (never written to)

    def algorithm(self) -> dict[str, Any]:
        """The algorithm's config without its models."""
        config = Config.fromfile(CONFIGS / self.config).model if isinstance(self.config, str) else self.config
        found = {key: value for key, value in config.items() if key not in ("architecture", "teacher", "teacher_ckpt")}
        if isinstance(found["distiller"], str):
            found["distiller"] = Config.fromfile(CONFIGS / f"_base_/distillers/{found['distiller']}.py").distiller
        found = Config(found)
        found.merge_from_dict(self.changes)
        return dict(found.items())


class Case(NamedTuple):
    """A teacher, a student, and what is compared.

    Args:
        scope (str): The task library.
        teacher (str): Its config: ``pkg::path``, or a path under ``configs``.
        student (str): The student's, likewise.
        classes (int): That both know.
        sizes (Sequence[tuple[int, int]]): Height and width of each batch's pictures, in pixels; batches take turns.
        rivals (dict[str, Rival]): The contenders by name; the last is the reference.
        samples (int): Pictures a batch; the statistics of PSPNet's 1x1 pooling need two.
        same (bool): Whether all contenders must have the same losses.
        most (float, optional): Wanted: a step takes at most so many times that of the reference.
        shrink (int): ``--quick`` divides all channels by this.
        quick (bool): Whether the models are made tiny.
    """

    scope: str
    teacher: str
    student: str
    classes: int
    sizes: Sequence[tuple[int, int]]
    rivals: dict[str, Rival]
    samples: int = 2
    same: bool = False
    most: float | None = None
    shrink: int = 8
    quick: bool = False

    def tiny(self) -> Case:
        """The same with tiny models and few small pictures."""
        return self._replace(sizes=[(64, 64)], samples=2, quick=True)


def both_classes(source: str, loss: str, argument: str) -> dict[str, Rival]:
    """mmdist's class and MMRazor's, with the same distiller.

    Args:
        source (str): The recorded module, in both models.
        loss (str): Type of the distillation loss.
        argument (str): Its arguments for student and teacher, without ``_S`` and ``_T``.

    Returns:
        dict[str, Rival]: By the names of the two packages.
    """
    recorders = dict(record=dict(type="mmrazor.ModuleOutputs", source=source))
    mapping = {f"{argument}_{side}": dict(recorder="record", from_student=side == "S") for side in "ST"}
    distiller = dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=recorders,
        teacher_recorders=recorders,
        distill_losses=dict(loss_distill=dict(type=loss)),
        loss_forward_mappings=dict(loss_distill=mapping),
    )
    return {name: Rival(dict(type=kind, distiller=distiller)) for name, kind in (("mmdist", OURS), ("MMRazor", RAZOR))}


def stages(with_rdd: str | dict[str, Any], without: str | dict[str, Any]) -> dict[str, Rival]:
    """An algorithm with RDD in its first and in its second stage, and without."""
    return {"RDD, stage 1": Rival(with_rdd), "RDD, stage 2": Rival(with_rdd, LAST), "KD": Rival(without)}


KD = dict(type=OURS, distiller="kd_conv_seg")
SDD = dict(type=OURS, distiller="sdkd_fc")
LOGITS = {name: Rival(dict(type=OURS, distiller=f"{name.lower()}_fc")) for name in ("DKD", "NKD", "DCKD", "KD")}
RDD_DEMO = "demo/rdd_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py"
PSPNET = "mmseg::pspnet/pspnet_{}-d8_4xb2-80k_cityscapes-512x1024.py"
RETINANET = "mmdet::retinanet/retinanet_{}_fpn_1x_coco.py"
RESNET = "mmpretrain::resnet/resnet{}_8xb32_in1k.py"
RESNETS = Case(
    scope="mmpretrain",
    teacher=RESNET.format(34),
    student=RESNET.format(18),
    classes=1000,
    sizes=((224, 224),),
    rivals=LOGITS,
    samples=16,
)
CASES = {
    "retinanet-fpn": Case(
        scope="mmdet",
        teacher=RETINANET.format("r50"),
        student=RETINANET.format("r18"),
        classes=80,
        sizes=((320, 320), (320, 416), (416, 320), (416, 416)),
        rivals=both_classes("neck", "mmdist.ChannelRelationLoss", "preds"),
        same=True,
    ),
    "pspnet-logits": Case(
        scope="mmseg",
        teacher=PSPNET.format("r50"),
        student=PSPNET.format("r18"),
        classes=19,
        sizes=((256, 256),),
        rivals=both_classes("decode_head.conv_seg", "mmdist.DISTLoss", "logits"),
        same=True,
    ),
    "rdd-segmenter": Case(
        scope="mmseg",
        teacher="demo/upernet_r18-w32_1xb32-800_digits.py",
        student="demo/upernet_r18-w4_1xb32-800_digits.py",
        classes=11,
        sizes=((64, 64),),
        rivals={
            # Random networks are unsure everywhere. With trained ones hardly a pixel is at or below the threshold, and
            # the hardest have to be searched for: so too with a threshold of 0.
            "RDD, stage 2, sure": Rival(RDD_DEMO, LAST, {"weighting.threshold": 0.0}),
            **stages(RDD_DEMO, "demo/kd_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py"),
        },
        samples=32,
        most=1.07,
        shrink=1,
    ),
    "rdd-cityscapes": Case(
        scope="mmseg",
        teacher=PSPNET.format("r50"),
        student=PSPNET.format("r18"),
        classes=19,
        sizes=((512, 512),),
        rivals=stages(KD | dict(weighting=dict(type="mmdist.RDDWeighting")), KD),
    ),
    "sdd-resnet": RESNETS._replace(
        rivals={
            "SDD, 5 regions": Rival(SDD),
            "SDD, 21 regions": Rival(SDD, changes={"distiller.connectors.regions.scales": (1, 2, 4)}),
            "KD": LOGITS["KD"],
        },
        most=1.03,
    ),
    "logits-resnet": RESNETS,
    "distplus-resnet": RESNETS._replace(
        rivals={
            "DIST+": Rival(dict(type=OURS, distiller="distplus_fc", acclimated=["backbone.layer4.2.conv2", "head.fc"])),
            "DIST": Rival(dict(type=OURS, distiller="dist_fc")),
        },
    ),
}
