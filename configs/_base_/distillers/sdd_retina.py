# SDD on RetinaNet (ours): the class scores of the three finest levels, pooled; one record and one loss a level. A level
# has many objects and no one label, so that regions differ where their highest scores do.
_base_ = ["sdd.py"]
levels = range(3)
feature = dict(feature=dict(type="mmdist.Module", source="bbox_head.retina_cls"))
sdd = dict(type="mmdist.SDDLoss", base=dict(type="mmdist.KDLoss", tau=1.0, activation="sigmoid"), split="agreement")
distiller = dict(
    student_recorders=feature,
    teacher_recorders=feature,
    distill_losses={f"loss_sdd_{level}": sdd for level in levels},
    loss_forward_mappings=dict(
        _delete_=True,
        **{
            f"loss_sdd_{level}": {name: dict(_base_.mapping[name], record_idx=level) for name in ("preds_S", "preds_T")}
            for level in levels
        },
    ),
)
