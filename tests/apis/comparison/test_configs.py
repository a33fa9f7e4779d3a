"""The config of a cell."""

from __future__ import annotations

from mmengine.config import Config

from mmdist.apis.comparison.cells import FINAL, SEARCH, TIMING, Cell
from mmdist.apis.comparison.configs import cell_config
from mmdist.apis.comparison.split import Part

PART = Part(dict(dataset=dict(indices=[1, 2])), [dict(type="IoUMetric")], "some images")


def arm(**changes: object) -> Config:
    losses = dict(loss_dist=dict(type="mmdist.DISTLoss", loss_weight=3.0), loss_kd=dict(type="mmdist.KDLoss"))
    return Config(
        dict(
            model=dict(distiller=dict(distill_losses=losses)),
            optim_wrapper=dict(
                optimizer=dict(lr=0.01), paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1)))
            ),
            param_scheduler=[dict(type="PolyLR", eta_min=1e-4, begin=0, end=40, by_epoch=False)],
            train_cfg=dict(max_iters=40),
            train_dataloader=dict(dataset=dict(ann_file="all.txt")),
            custom_hooks=[
                dict(type="EarlyStoppingHook"),
                dict(type="mmdist.DistillVisualizationHook", interval=5),
                dict(type="EMAHook"),
            ],
            **changes,
        )
    )


def test_the_whole_course_of_the_learning_rate_is_multiplied_and_the_teachers_stays() -> None:
    cfg = cell_config(Cell(FINAL, "dist", 3, 40, 4.0), arm(), PART, {})
    assert cfg.optim_wrapper.optimizer.lr == 0.04 and cfg.param_scheduler[0].eta_min == 4e-4
    teachers = cfg.optim_wrapper.paramwise_cfg.custom_keys.acclimated.lr_mult * cfg.optim_wrapper.optimizer.lr
    assert abs(teachers - 0.001) < 1e-12


def test_the_weights_of_all_distillation_losses_are_multiplied() -> None:
    cfg = cell_config(Cell(FINAL, "dist", 3, 40, 1.0, 2.0), arm(), PART, {})
    losses = cfg.model.distiller.distill_losses
    assert (losses.loss_dist.loss_weight, losses.loss_kd.loss_weight) == (6.0, 2.0)


def test_pseudo_labels_alone_are_weighed_themselves() -> None:
    own = arm()
    own.model = dict(distiller=None, pseudo_labels=dict(score_thr=0.0))
    assert cell_config(Cell(FINAL, "pseudo", 3, 40, 1.0, 2.0), own, PART, {}).model.pseudo_labels.loss_weight == 2.0


def test_seeds_go_into_the_options() -> None:
    options = {"train_dataloader.dataset.ann_file": "labelled_{seed}.txt"}
    cfg = cell_config(Cell(FINAL, "dist", 7, 40), arm(), PART, options)
    assert cfg.train_dataloader.dataset.ann_file == "labelled_7.txt" and cfg.randomness.seed == 7


def test_nothing_ends_a_training_early_and_no_pictures_are_drawn() -> None:
    cfg = cell_config(Cell(FINAL, "dist", 3, 40), arm(), PART, {})
    assert [hook.type for hook in cfg.custom_hooks] == ["mmdist.DistillVisualizationHook", "EMAHook"]
    assert cfg.custom_hooks[0].interval > 10**6


def test_it_is_validated_and_tested_on_the_part_that_it_may_see() -> None:
    cfg = cell_config(Cell(SEARCH, "dist", 3, 40), arm(val_dataloader=dict(dataset=dict(indices=[0]))), PART, {})
    assert cfg.val_dataloader == cfg.test_dataloader == PART.loader and cfg.val_evaluator == PART.evaluator
    assert cfg.train_cfg.val_interval == 40  # a search looks at its end alone


def test_settings_of_all_trainings_do_not_move_the_images_that_judge() -> None:
    judging = Part(dict(dataset=dict(ann_file="judging.txt")), [dict(type="IoUMetric", ann_file="half.json")], "one")
    options = {"val_dataloader.dataset.ann_file": "choosing.txt", "val_evaluator.ann_file": "whole.json"}
    own = arm(val_dataloader=dict(dataset=dict(ann_file="all.txt")), val_evaluator=dict(type="IoUMetric"))
    cfg = cell_config(Cell(FINAL, "dist", 3, 40), own, judging, options)
    assert cfg.val_dataloader == judging.loader and cfg.val_evaluator == judging.evaluator


def test_the_images_of_a_plan_are_validated_and_tested_on() -> None:
    validation = {"val_dataloader.dataset.indices": [7], "val_evaluator.0.name": "fold{seed}"}
    cfg = cell_config(Cell(FINAL, "dist", 3, 40), arm(), PART, {}, validation=validation)
    assert cfg.val_dataloader.dataset.indices == cfg.test_dataloader.dataset.indices == [7]
    assert cfg.val_evaluator[0].name == cfg.test_evaluator[0].name == "fold3"


def test_other_courses_than_the_learning_rates_stay() -> None:
    others = [
        dict(type="CosineAnnealingMomentum", eta_min=0.85),
        dict(type="CosineAnnealingParamScheduler", param_name="weight_decay", eta_min=0.1),
    ]
    own = arm()
    own.param_scheduler = [*others, dict(type="ReduceOnPlateauLR", min_value=1e-5)]
    cfg = cell_config(Cell(FINAL, "dist", 3, 40, 4.0), own, PART, {})
    assert [each.to_dict() for each in cfg.param_scheduler[:2]] == others and cfg.param_scheduler[2].min_value == 4e-5


def test_a_training_begins_at_its_beginning_even_where_the_config_goes_on_with_another() -> None:
    assert cell_config(Cell(FINAL, "dist", 3, 40), arm(resume=True, load_from="x.pth"), PART, {}).resume is False


def test_a_timing_has_so_many_iterations_in_a_config_of_epochs_too() -> None:
    own = arm()
    own.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=300)
    cfg = cell_config(Cell(TIMING, "dist", 3, 60), own, PART, {}, timing_batches=60)
    assert cfg.train_cfg.type == "IterBasedTrainLoop" and cfg.train_cfg.max_iters == 60
    assert cfg.val_dataloader is None and cfg.param_scheduler is None


def test_what_begins_on_the_way_is_timed_from_the_beginning() -> None:
    own = arm()
    own.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=300)
    own.custom_hooks = [dict(type="EMAHook", begin_epoch=100)]
    cfg = cell_config(Cell(TIMING, "dist", 3, 60), own, PART, {}, timing_batches=60)
    assert cfg.custom_hooks[0].begin_epoch == 0


def test_a_search_looks_at_its_end_alone_whatever_the_config_does_towards_it() -> None:
    own = arm()
    own.train_cfg.dynamic_intervals = [(30, 1)]
    cfg = cell_config(Cell(SEARCH, "dist", 3, 40), own, PART, {})
    assert cfg.train_cfg.val_interval == 40 and not cfg.train_cfg.get("dynamic_intervals")


def test_the_arms_config_stays_as_it_is() -> None:
    own = arm()
    before = own.to_dict()
    cell_config(Cell(FINAL, "dist", 3, 80, 4.0, 2.0), own, PART, {"randomness": dict(seed=1)})
    assert own.to_dict() == before
