"""Which images the student learns from: with labels, without labels, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdist.datasets.images import images_in, images_of_list, is_local
from mmdist.errors import ConfigError, nearest, one_line, printable

UNLABELED, PER_BATCH, LABELS = "--unlabeled", "--unlabeled-per-batch", "--labels"
NONE = "none"  # the value of --labels
TIMES = 3  # unlabelled images for each labelled one: 8 + 24 in a batch is what was measured
SAMPLERS = ("DefaultSampler", "InfiniteSampler")
CONFIGS = (".py", ".json", ".yaml", ".yml")


@dataclass(frozen=True)
class Images:
    """The images that a student learns from.

    Args:
        unlabeled (str, optional): A folder with images without labels, or a list file of them.
        per_batch (int, optional): How many of them are in a batch. None: not chosen yet, see :func:`resolve_images`.
        labels (bool): Whether the labels of the student's training data are used.
    """

    unlabeled: str | None = None
    per_batch: int | None = None
    labels: bool = True

    @property
    def are_plain(self) -> bool:
        """Whether they are the labelled images of the student's config, and no others."""
        return self.labels and self.unlabeled is None


PLAIN = Images()


def images_of_options(unlabeled: str | None, per_batch: int | None, labels: str | None) -> Images:
    """What the three options ask for.

    Args:
        unlabeled (str, optional): Of ``--unlabeled``.
        per_batch (int, optional): Of ``--unlabeled-per-batch``.
        labels (str, optional): Of ``--labels``.

    Returns:
        Images: Not resolved yet: no file has been looked at.

    Raises:
        ConfigError: A value that cannot work.

    Example:
        >>> images_of_options('data/more', 24, None)
        Images(unlabeled='data/more', per_batch=24, labels=True)
    """
    if labels not in (None, NONE):
        raise ConfigError(LABELS, labels, [NONE], "without this option the labels are used")
    if unlabeled is not None and (not isinstance(unlabeled, str) or not unlabeled):
        raise ConfigError(UNLABELED, unlabeled, "a folder with images, or a list file of them")
    if per_batch is not None:
        if unlabeled is None:
            raise ConfigError(PER_BATCH, per_batch, hint=f"it goes with {UNLABELED} DIR, a folder of images")
        if not isinstance(per_batch, int) or isinstance(per_batch, bool) or per_batch < 1:
            raise ConfigError(PER_BATCH, per_batch, "a whole number, 1 or above")
    return Images(unlabeled, per_batch, labels is None)


def resolve_images(images: Images, cfg: Config) -> tuple[Images, list[str]]:
    """Look at the folder, and choose how many unlabelled images are in a batch where nobody has.

    Args:
        images (Images): As :func:`images_of_options` gives them.
        cfg (Config): Of the student.

    Returns:
        tuple[Images, list[str]]: With ``per_batch``, and what the user should know.

    Raises:
        ConfigError: A folder without images, too few of them, or a training dataloader that does not suit them.
    """
    if images.are_plain:
        return images, []
    option = UNLABELED if images.unlabeled is not None else LABELS
    loader = _loader(cfg, option)
    found = None if images.unlabeled is None else _count(images.unlabeled)
    size = loader["batch_size"]
    if not images.labels:
        many = "the training data" if found is None else f"{found:,} images"
        notes = ["no label is used: the student learns from the teacher alone"]
        if _by_epoch(cfg):
            notes.append(f"an epoch is a pass over {many}")
        return replace(images, per_batch=images.per_batch or size), notes
    _check_sampler(loader, option)
    if images.per_batch is not None and images.per_batch > found:
        raise ConfigError(PER_BATCH, images.per_batch, f"{found} at most: there are no more images")
    count = images.per_batch or min(TIMES * size, found)
    notes = [f"each batch has {size} labelled images, and {count} of the {found:,} without labels"]
    if _by_epoch(cfg):
        notes.append("an epoch is a pass over the labelled images, as before")
    replaced = loader.get("batch_sampler")
    if replaced and "AspectRatio" not in str(replaced.get("type")):
        kind = printable(replaced.get("type"))
        notes.append(f"LabeledUnlabeledBatchSampler takes the place of {kind}, which knows no unlabelled images")
    return replace(images, per_batch=count), notes


def _loader(cfg: Config, option: str) -> dict[str, Any]:
    """The student's training dataloader, whose dataset is exchanged."""
    loader = cfg.get("train_dataloader")
    dataset = loader.get("dataset") if isinstance(loader, dict) else None
    if not isinstance(dataset, dict) or not isinstance(loader.get("batch_size"), int):
        wanted = "a dict with `batch_size` and `dataset` in the student's config"
        raise ConfigError("train_dataloader", loader, wanted, f"{option} changes the dataset in it")
    if "unlabeled" in dataset or str(dataset.get("type")).rpartition(".")[2] == "UnlabeledDataset":
        hint = f"leave {option} out, or name the student's plain config"
        raise ConfigError("train_dataloader.dataset.type", dataset.get("type"), "the task's own dataset", hint)
    return loader


def _check_sampler(loader: dict[str, Any], option: str) -> None:
    kind = (loader.get("sampler") or {}).get("type")
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    if name.rpartition(".")[2] not in SAMPLERS:
        hint = f"{option} needs one of these in the student's config"
        raise ConfigError("train_dataloader.sampler.type", name, SAMPLERS, hint)
    if loader.get("num_batch_per_epoch") is not None:
        wanted = f"no such setting in the student's config beside {option}"
        raise ConfigError("train_dataloader.num_batch_per_epoch", loader["num_batch_per_epoch"], wanted)


def _by_epoch(cfg: Config) -> bool:
    train = cfg.get("train_cfg") or {}
    return bool(train.get("by_epoch", "Epoch" in str(train.get("type", ""))))


def _count(unlabeled: str) -> int:
    """How many images there are; whether they can be read is looked at when the training begins."""
    path = Path(unlabeled).expanduser()
    try:
        if path.is_dir():
            return len(images_in(path, UNLABELED, follow_links=False))
        if path.is_file() and path.suffix not in CONFIGS:
            paths = images_of_list(path, path.parent, UNLABELED, follow_links=False)
            if not paths[0].is_file():
                hint = f"the first line names {printable(paths[0])}, which does not exist"
                raise ConfigError(UNLABELED, unlabeled, "a text file with the path of an image in each line", hint)
            return len(paths)
    except OSError as error:  # such as a name that is too long
        raise ConfigError(UNLABELED, unlabeled, "a folder that can be read", one_line(error)) from None
    if path.is_file():
        raise ConfigError(UNLABELED, unlabeled, "a folder with images, or a list file of them", "this is a config")
    hint = "images on a storage backend are not searched" if not is_local(unlabeled) else _near(path)
    raise ConfigError(UNLABELED, unlabeled, "a folder with images, or a list file of them, that exists", hint)


def _near(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {printable(path.parent)!r}"
    near = nearest(path.name, names, 1)
    return f"did you mean {printable(path.parent / near[0])!r}?" if near else ""
