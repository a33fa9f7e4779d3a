"""Every method on a tiny pair of every kind: what is compared, and that it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tiny_pairs import SIZES, model_config, write_config
from mmengine.config import Config

from mmdist.engine.new.check import try_out
from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.load import load_pair
from mmdist.engine.new.methods import METHODS, why_not, wire
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.write import config_text
from mmdist.errors import ConfigError

LOGITS = ("kd", "dist", "distplus", "rdd", "rdd-dist", "sdd")
LABELLED = ("dkd", "nkd", "dckd")
SUITING = dict(
    classifier={*LOGITS, *LABELLED, "mimic"},
    segmentor={*LOGITS, *LABELLED, "cwd", "mimic"},
    retina={*LOGITS, *LABELLED, "pkd", "mimic"},
    gfl={*LOGITS, "pkd", "mimic"},
    faster={"kd", "dist", "distplus", "sdd", *LABELLED, "pkd", "mimic"},
)
SCORES = dict(
    classifier="head.fc",
    segmentor="decode_head.conv_seg",
    retina="bbox_head.retina_cls",
    gfl="bbox_head.gfl_cls",
    faster="roi_head.bbox_head.fc_cls",
)
LOADED: dict[str, tuple[Path, Path, Pair]] = {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    LOADED.clear()
    return tmp_path_factory.mktemp("pairs")


def pair_of(name: str, folder: Path) -> tuple[Path, Path, Pair]:
    """A narrow student and a wide teacher, run once for all tests of this file."""
    if name not in LOADED:
        student = write_config(folder, name, f"{name}_student")
        teacher = write_config(folder, name, f"{name}_teacher", width=8)
        with dry_run():
            LOADED[name] = student, teacher, load_pair(str(student), str(teacher), SIZES[name])
    return LOADED[name]


@pytest.mark.parametrize("name", SUITING)
def test_the_methods_that_suit_a_pair_are_known(name: str, folder: Path) -> None:
    pair = pair_of(name, folder)[2]
    with dry_run():
        assert {method for method in METHODS if not why_not(pair, method)} == SUITING[name]


@pytest.mark.parametrize(("name", "method"), [(name, method) for name in SUITING for method in sorted(SUITING[name])])
def test_a_written_config_trains(name: str, method: str, folder: Path) -> None:
    student, teacher, pair = pair_of(name, folder)
    out = folder / f"{name}_{method}.py"
    with dry_run():
        out.write_text(config_text(wire(pair, method), method, out, str(student), str(teacher), None, None))
        losses = try_out(out, SIZES[name])
    cfg = Config.fromfile(out)
    named = set(cfg.model.distiller.distill_losses)
    assert {loss.removeprefix("distill.") for loss in losses if loss.startswith("distill.")} == named
    assert named == set(cfg.model.distiller.loss_forward_mappings)
    assert any(loss.startswith("student.") for loss in losses)
    assert max(map(len, out.read_text().splitlines())) <= 120
    recorders = cfg.model.distiller.teacher_recorders
    if "logits" in recorders:
        assert recorders.logits.source == SCORES[name]
    assert ("weighting" in cfg.model) == method.startswith("rdd")


@pytest.mark.parametrize("name", ["classifier", "segmentor", "retina", "faster"])
def test_distplus_trains_the_last_layer_of_the_teacher_and_its_classifier(name: str, folder: Path) -> None:
    pair = pair_of(name, folder)[2]
    before = dict(
        classifier="backbone.layer4.1.conv2",
        segmentor="decode_head.conv_cat.conv",
        retina="bbox_head.cls_convs.0.conv",
        faster="roi_head.bbox_head.shared_fcs.1",
    )
    assert wire(pair, "distplus").acclimated == [before[name], SCORES[name]]


def test_a_detector_of_another_head_is_refused_and_the_pyramid_suggested(folder: Path) -> None:
    student, teacher = pair_of("retina", folder)[0], pair_of("gfl", folder)[1]
    with dry_run(), pytest.raises(ConfigError, match="'pkd', 'mimic'; the student has 9 anchors of 3 scores"):
        wire(load_pair(str(student), str(teacher), SIZES["gfl"]), "dist")


def test_two_stages_and_one_are_compared_by_the_levels_that_both_have(folder: Path) -> None:
    student, teacher = pair_of("retina", folder)[0], pair_of("faster", folder)[1]
    with dry_run():
        pair = load_pair(str(student), str(teacher), (256, 256))
        wiring = wire(pair, "pkd")
        with pytest.raises(ConfigError, match="one-stage detector, the teacher a two-stage detector"):
            wire(pair, "kd")
    levels = [(m["preds_S"]["data_idx"], m["preds_T"]["data_idx"]) for m in wiring.losses[0].mappings]
    assert levels == [(0, 1), (1, 2), (2, 3), (3, 4)]  # strides 8 to 64 of 8 to 128 and 4 to 64


def test_other_anchors_are_refused(folder: Path, tmp_path: Path) -> None:
    model = model_config("retina", 8)
    model["bbox_head"]["anchor_generator"].update(octave_base_scale=2)
    teacher = write_config(tmp_path, "retina", "teacher", model=model)
    with dry_run():
        pair = load_pair(str(pair_of("retina", folder)[0]), str(teacher), SIZES["retina"])
        with pytest.raises(ConfigError, match=r"'pkd', 'mimic'; their anchors differ"):
            wire(pair, "dist")


def test_other_classes_leave_the_features(folder: Path, tmp_path: Path) -> None:
    teacher = write_config(tmp_path, "classifier", "teacher", classes=4)
    with dry_run():
        pair = load_pair(str(pair_of("classifier", folder)[0]), str(teacher), SIZES["classifier"])
    with pytest.raises(ConfigError, match="'mimic'; the student tells 3 classes apart, the teacher 4"):
        wire(pair, "kd")


def test_a_head_that_does_not_answer_for_regions_is_refused_for_sdd(folder: Path, tmp_path: Path) -> None:
    model = model_config("classifier")
    model["neck"] = dict(type="GeneralizedMeanPooling")
    student = write_config(tmp_path, "classifier", "student", model=model)
    with dry_run():
        pair = load_pair(str(student), str(pair_of("classifier", folder)[1]), SIZES["classifier"])
        with pytest.raises(ConfigError, match=r"the head of the student .* cannot be applied to regions"):
            wire(pair, "sdd")


def test_a_teacher_without_an_auxiliary_head_is_only_a_note(folder: Path, tmp_path: Path) -> None:
    model = model_config("segmentor", 8)
    del model["auxiliary_head"]
    teacher = write_config(tmp_path, "segmentor", "teacher", model=model)
    with dry_run():
        pair = load_pair(str(pair_of("segmentor", folder)[0]), str(teacher), SIZES["segmentor"])
        notes = wire(pair, "rdd-dist").notes
    assert notes == [
        "the teacher: no auxiliary head, so DIST compares the main scores alone",
        "the teacher has no auxiliary head: the entropy of its answer takes its place (ours)",
    ]


def test_maps_of_different_sizes_are_brought_to_the_larger(folder: Path, tmp_path: Path) -> None:
    model = model_config("segmentor", 8)
    model["backbone"].update(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    fine = write_config(tmp_path, "segmentor", "fine", model=model)
    coarse = pair_of("segmentor", folder)[0]
    for student, teacher, side in ((coarse, fine, "logits_S"), (fine, coarse, "logits_T")):
        with dry_run():
            wiring = wire(load_pair(str(student), str(teacher), (64, 64)), "dist")
        assert wiring.connectors == dict(resize=dict(type="mmdist.ResizeConnector"))
        assert [name for name, record in wiring.losses[0].mappings[0].items() if "connector" in record] == [side]


@pytest.mark.parametrize("name", ["retina", "gfl"])
def test_a_detector_of_one_class_has_no_classes_that_compete(name: str, tmp_path: Path) -> None:
    path = write_config(tmp_path, name, "one", classes=1)
    with dry_run():
        pair = load_pair(str(path), str(path), SIZES[name])
        assert all(METHODS[method].why_not(pair) for method in LABELLED)
        assert not METHODS["kd"].why_not(pair)


def test_a_box_head_with_batch_norm_is_refused_for_sdd_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    model = model_config("faster")
    model["roi_head"]["bbox_head"].update(
        type="Shared4Conv1FCBBoxHead", conv_out_channels=8, norm_cfg=dict(type="BN", requires_grad=True)
    )
    student = write_config(tmp_path, "faster", "student", model=model)
    with dry_run():
        pair = load_pair(str(student), str(pair_of("faster", folder)[1]), SIZES["faster"])
        with pytest.raises(ConfigError, match="batch norm"):
            wire(pair, "sdd")
        assert not METHODS["dist"].why_not(pair)


def test_distplus_takes_a_student_whose_levels_share_their_layers(tmp_path: Path) -> None:
    model = model_config("retina")
    model["bbox_head"].update(type="RetinaSepBNHead", num_ins=5, norm_cfg=dict(type="BN"))
    path = write_config(tmp_path, "retina", "shared", model=model)
    with dry_run():
        pair = load_pair(str(path), str(path), SIZES["retina"])
        out = tmp_path / "out.py"
        out.write_text(config_text(wire(pair, "distplus"), "distplus", out, str(path), str(path), None, None))
        assert try_out(out, pair.tried)
    assert Config.fromfile(out).optim_wrapper.paramwise_cfg.bypass_duplicate
