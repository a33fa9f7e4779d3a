# SDD on a classifier: its last map, and grids of 1 and 2 cells a side, which is what the paper takes for a student of
# the teacher's family; (1, 2, 4) for another. The files beside it choose the loss of a region.
_base_ = ["sdd.py"]
feature = dict(feature=dict(type="mmdist.Module", source="backbone"))
labels = dict(labels=dict(type="mmdist.Module", source="head.loss_module", what="inputs"))
distiller = dict(
    student_recorders=dict(**feature, **labels),
    teacher_recorders=feature,
    connectors=dict(regions=dict(scales=(1, 2))),
    distill_losses=dict(loss_sdd=dict(type="mmdist.SDDLoss")),
)
