# DIST+ on RetinaNet: the class scores of the three finest levels, one record and one loss a level, and the pyramid. The
# teacher is acclimated at the anchors that have an object; `num_classes` is that of the data.
_base_ = ["distplus.py"]
levels = range(3)
recorders = dict(
    logits=dict(type="mmdist.Module", source="bbox_head.retina_cls"),
    feature=dict(type="mmdist.Module", source="neck"),
)
labels = dict(labels=dict(type="mmdist.Module", source="bbox_head.loss_cls", what="inputs"))
relations = {name: _base_.distiller.distill_losses[name] for name in ("loss_channel", "loss_spatial")}
mappings = {name: _base_.distiller.loss_forward_mappings[name] for name in relations}
dist = dict(type="mmdist.DISTLoss", activation="sigmoid", loss_weight=1.0)
acclimation = dict(type="mmdist.AcclimationLoss", activation="sigmoid", num_classes=10, loss_weight=1.0)
distiller = dict(
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    distill_losses=dict(
        _delete_=True,
        **relations,
        **{f"loss_dist_{level}": dist for level in levels},
        **{f"loss_teacher_{level}": acclimation for level in levels},
    ),
    loss_forward_mappings=dict(
        _delete_=True,
        **mappings,
        **{
            f"loss_dist_{level}": dict(
                logits_S=dict(recorder="logits", from_student=True, record_idx=level),
                logits_T=dict(recorder="logits", from_student=False, record_idx=level),
            )
            for level in levels
        },
        **{
            f"loss_teacher_{level}": dict(
                preds_T=dict(recorder="logits", from_student=False, record_idx=level),
                preds_S=dict(recorder="logits", from_student=True, record_idx=level),
                gt_labels=dict(recorder="labels", from_student=True, record_idx=level, data_idx=1),
            )
            for level in levels
        },
    ),
)
