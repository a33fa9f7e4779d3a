"""Every method on a tiny pair of every kind, with unlabelled images beside the labelled ones and in their place."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.shrunk_configs import write_shrunk
from helpers.tiny_pairs import SIZES, model_config, write_config
from helpers.unlabeled_data import raw_batch, write_images
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmdist.engine.new import METHODS, new_config
from mmdist.engine.new.check import try_out
from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.images import Images
from mmdist.engine.new.load import load_pair
from mmdist.engine.new.methods import why_not, wire
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.write import config_text
from mmdist.errors import ConfigError

LABELED = {"dkd", "nkd", "dckd", "distplus"}
PSEUDO = {"pseudo", "pseudo-kd", "pseudo-dist"}
FREE = dict(
    classifier={"kd", "dist", "mimic"} | PSEUDO,
    pspnet={"kd", "dist", "cwd", "mimic"} | PSEUDO,
    retina={"kd", "dist", "sdd", "pkd", "mimic"} | PSEUDO,
    faster={"kd", "dist", "pkd", "mimic"} | PSEUDO,
    dino={"pkd", "mimic", "pseudo"},
)
SUITING = dict(
    classifier=FREE["classifier"] | LABELED | {"rdd", "rdd-dist", "sdd"},
    pspnet=FREE["pspnet"] | LABELED | {"rdd", "rdd-dist", "sdd"},
    retina=FREE["retina"] | LABELED | {"rdd", "rdd-dist"},
    faster=FREE["faster"] | LABELED | {"sdd"},
    dino=FREE["dino"],
)
PSPNET = "mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py"
DINO = "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py"
LOADER = dict(batch_size=2, sampler=dict(type="DefaultSampler"), dataset=dict(type="A", pipeline=[]))
LOADED: dict[str, tuple[Path, Pair]] = {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    LOADED.clear()
    folder = tmp_path_factory.mktemp("pairs")
    write_images(folder / "more", [(20, 16)] * 7)
    return folder


def dino() -> dict[str, Any]:
    """DINO with one layer of each kind; its heads' width is fixed by its encoding."""
    model = Config.fromstring(f"_base_ = {DINO!r}", ".py").to_dict()["model"]
    model["backbone"].update(depth=18, base_channels=8, stem_channels=8, init_cfg=None)
    model["neck"].update(in_channels=[16, 32, 64])
    model["num_queries"] = model["test_cfg"]["max_per_img"] = 20
    for part in ("encoder", "decoder"):
        model[part]["num_layers"] = 1
        model[part]["layer_cfg"]["ffn_cfg"]["feedforward_channels"] = 32
    model["bbox_head"]["num_classes"] = 3
    return model


def plain_of(name: str, folder: Path) -> Path:
    if name == "pspnet":
        path = write_shrunk(folder, PSPNET, name)
        path.write_text(f"{path.read_text()}train_dataloader = {LOADER!r}\n")
        return path
    if name == "dino":
        return write_config(folder, "retina", name, model=dino(), train_dataloader=LOADER)
    return write_config(folder, name, name, train_dataloader=LOADER)


def pair_of(name: str, folder: Path) -> tuple[Path, Pair]:
    """A model under itself, run once for all tests of this file."""
    if name not in LOADED:
        plain = plain_of(name, folder)
        with dry_run():
            LOADED[name] = plain, load_pair(str(plain), str(plain), SIZES.get(name, (64, 64)))
    return LOADED[name]


def tried(name: str, method: str, folder: Path, images: Images) -> tuple[Config, dict[str, float]]:
    """The written config, and the losses of its check."""
    plain, pair = pair_of(name, folder)
    out = folder / f"{name}_{method}.py"
    with dry_run():
        out.write_text(config_text(wire(pair, method, images), method, out, str(plain), str(plain), None, None))
        losses = try_out(out, pair.tried, images)
    return Config.fromfile(out), losses


CASES = [(name, method) for name in SUITING for method in sorted(SUITING[name])]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_config_with_unlabelled_images_trains(name: str, method: str, folder: Path) -> None:
    cfg, losses = tried(name, method, folder, Images(str(folder / "more"), 3))
    assert any(loss.startswith("student.") for loss in losses)
    named = {loss.removeprefix("distill.") for loss in losses if loss.startswith("distill.")}
    assert named == set((cfg.model.distiller or {}).get("distill_losses", {}))
    assert any(loss.startswith("pseudo.") for loss in losses) == (method in PSEUDO)
    data = cfg.train_dataloader
    assert (data.dataset.labeled, data.batch_size) == (LOADER["dataset"], 2)
    assert (data.batch_sampler.labeled, data.batch_sampler.unlabeled) == (2, 3)


@pytest.mark.parametrize(("name", "method"), [(name, method) for name in FREE for method in sorted(FREE[name])])
def test_a_config_without_labels_trains_on_the_distillation_alone(name: str, method: str, folder: Path) -> None:
    cfg, losses = tried(name, method, folder, Images(str(folder / "more"), 3, labels=False))
    assert losses.pop("loss") > 0
    assert losses and all(loss.startswith(("distill.", "pseudo.")) for loss in losses)
    assert cfg.find_unused_parameters and cfg.train_dataloader.batch_size == 3


@pytest.mark.parametrize("name", FREE)
def test_methods_that_need_labels_are_refused_without_and_the_others_named(name: str, folder: Path) -> None:
    pair, images = pair_of(name, folder)[1], Images(labels=False, per_batch=2)
    with dry_run():
        assert {method for method in METHODS if not why_not(pair, method, images)} == FREE[name]
        for method in SUITING[name] - FREE[name]:
            with pytest.raises(ConfigError) as caught:
                wire(pair, method, images)
            assert "no labels" in str(caught.value)
            assert all(repr(other) in str(caught.value) for other in FREE[name])


def test_it_is_said_where_the_unlabelled_images_teach_nothing(folder: Path) -> None:
    pair, images = pair_of("classifier", folder)[1], Images("more", 3)
    bound = {name for name in SUITING["classifier"] if "teach nothing" in " ".join(wire(pair, name, images).notes)}
    assert bound == {"dkd", "nkd", "dckd", "sdd"}


def test_the_labelled_images_have_the_task_loss_of_the_plain_config(folder: Path) -> None:
    cfg, _ = tried("pspnet", "dist", folder, Images(str(folder / "more"), 3))
    plain_cfg = Config.fromfile(pair_of("pspnet", folder)[0])
    sizes, others = [(64, 64), (48, 64)], [(64, 40)] * 3
    cfg.model.random_teacher = True
    for model in (cfg.model.architecture, plain_cfg.model):
        model.data_preprocessor.size = (64, 64)
    with DefaultScope.overwrite_default_scope("mmseg"):
        torch.manual_seed(0)
        model, plain = MODELS.build(cfg.model), MODELS.build(plain_cfg.model)
    plain.load_state_dict(model.student.state_dict())
    found = losses_of(model, raw_batch("mmseg", sizes, others))
    alone = losses_of(plain, raw_batch("mmseg", sizes))
    for key, value in alone.items():
        assert torch.equal(torch.as_tensor(found[f"student.{key}"]), torch.as_tensor(value)), key
    assert found["distill.loss_dist"] != losses_of(model, raw_batch("mmseg", sizes))["distill.loss_dist"]


def losses_of(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(3)
    return model.train()(**model.data_preprocessor(deepcopy(batch), True), mode="loss")


BROKEN = """
from mmdet.models import RetinaHead
from mmengine.registry import MODELS


@MODELS.register_module(force=True)
class NeedsBoxes(RetinaHead):
    def loss_by_feat(self, cls_scores, bbox_preds, batch_gt_instances, *args, **kwargs):
        if not all(map(len, batch_gt_instances)):
            raise IndexError("no box")
        return super().loss_by_feat(cls_scores, bbox_preds, batch_gt_instances, *args, **kwargs)
"""


@pytest.mark.parametrize("labels", [None, "none"])
def test_a_model_whose_loss_fails_without_annotations_is_named_before_the_file(
    labels: str | None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_boxes.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    model = model_config("retina")
    model["bbox_head"]["type"] = "mmengine.NeedsBoxes"
    imports = dict(imports=["needs_boxes"])
    plain = write_config(tmp_path, "retina", "plain", model=model, train_dataloader=LOADER, custom_imports=imports)
    given = dict(unlabeled=str(folder / "more"), labels=labels, size=(64, 64))
    with pytest.raises(Exception, match="no box") as caught:
        new_config(str(plain), str(plain), "mimic", str(tmp_path / "out.py"), **given)
    assert "without annotations" in str(caught.value) or "without labels" in str(caught.value)
    assert not list(tmp_path.glob("*out*"))
    new_config(str(plain), str(plain), "mimic", str(tmp_path / "out.py"), size=(64, 64))
