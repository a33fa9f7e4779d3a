"""Which demos there are: task, data, the three configs and the metric."""

from __future__ import annotations

from dataclasses import dataclass

from mmdist.errors import ConfigError


@dataclass(frozen=True)
class Metric:
    """The number that a demo compares.

    Args:
        key (str): How the task library logs it.
        name (str): How the report calls it.
        scale (float): Factor that makes it a percentage.
        absent (float, optional): What it is where the library gives none: MMDetection does so when nothing at all
            was detected. None: that is an error.
    """

    key: str
    name: str
    scale: float = 1.0
    absent: float | None = None


@dataclass(frozen=True)
class Demo:
    """One demo.

    Args:
        task (str): seg, det or cls.
        data (str): Name of the data, as ``--data`` takes it.
        converter (str): Script in ``tools/dataset_converters`` that makes the data, and the folder below ``data``.
        library (str): Distribution name of the task library.
        metric (Metric): What is compared.
        teacher (str): Config in ``configs/demo``.
        student (str): Config of the student by itself.
        distilled (str): Config of the student under the teacher.
        quick_data (tuple[str, ...]): Arguments of the converter for ``--quick``.
    """

    task: str
    data: str
    converter: str
    library: str
    metric: Metric
    teacher: str
    student: str
    distilled: str
    quick_data: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.task}-{self.data}"


MIOU = Metric("mIoU", "mIoU")
MAP = Metric("coco/bbox_mAP", "mAP", scale=100.0, absent=0.0)
TOP1 = Metric("accuracy/top1", "top-1")
FEW_SCENES = ("--train", "48", "--val", "16")
SEG, DET, CLS = "mmsegmentation", "mmdet", "mmpretrain"

DEMOS = (
    Demo(
        *("seg", "digits", "digit_scenes", SEG, MIOU),
        teacher="upernet_r18-w32_1xb32-800_digits.py",
        student="upernet_r18-w4_1xb32-800_digits.py",
        distilled="dist_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py",
        quick_data=FEW_SCENES,
    ),
    Demo(
        *("seg", "nuclei", "nuclei", SEG, MIOU),
        teacher="upernet_r18-w32_1xb8-300_nuclei.py",
        student="upernet_r18-w8_1xb8-300_nuclei.py",
        distilled="dist_upernet_r18-w32_upernet_r18-w8_1xb8-300_nuclei.py",
    ),
    Demo(
        *("det", "digits", "digit_scenes", DET, MAP),
        teacher="retinanet_r18-w32_1xb32-800_digits.py",
        student="retinanet_r18-w8_1xb32-800_digits.py",
        distilled="dist_retinanet_r18-w32_retinanet_r18-w8_1xb32-800_digits.py",
        quick_data=FEW_SCENES,
    ),
    Demo(
        *("det", "trees", "trees", DET, MAP),
        teacher="retinanet_r18-w32_1xb4-600_trees.py",
        student="retinanet_r18-w8_1xb4-600_trees.py",
        distilled="dist_retinanet_r18-w32_retinanet_r18-w8_1xb4-600_trees.py",
    ),
    Demo(
        *("cls", "mnist", "mnist5k", CLS, TOP1),
        teacher="resnet18-w16_1xb64-500_mnist5k.py",
        student="resnet18-w2_1xb64-500_mnist5k.py",
        distilled="dist_resnet18-w16_resnet18-w2_1xb64-500_mnist5k.py",
    ),
)
TASKS = tuple(dict.fromkeys(demo.task for demo in DEMOS))
DATA = tuple(dict.fromkeys(demo.data for demo in DEMOS))


def choose(task: str | None = None, data: str | None = None) -> Demo:
    """The demo for a task and data; what is left out is chosen to go with the other.

    Args:
        task (str, optional): seg, det or cls.
        data (str, optional): digits, nuclei, trees or mnist.

    Returns:
        Demo: The first that fits.

    Raises:
        ConfigError: An unknown name, or a pair that does not exist.

    Example:
        >>> choose(data='trees').task
        'det'
    """
    if task is not None and task not in TASKS:
        raise ConfigError("--task", task, TASKS)
    if data is not None and data not in DATA:
        raise ConfigError("--data", data, DATA)
    fitting = [demo for demo in DEMOS if task in (None, demo.task) and data in (None, demo.data)]
    if not fitting:
        tasks = " or ".join(f"--task {demo.task}" for demo in DEMOS if demo.data == data)
        choices = [demo.data for demo in DEMOS if demo.task == task]
        allowed = f"{' or '.join(map(repr, choices))} with --task {task}"
        raise ConfigError("--data", data, allowed, f"{data!r} goes with {tasks}")
    return fitting[0]
