# SDD on a segmenter (ours): its map of logits is pooled, and a region takes the class that most of its pixels have.
_base_ = ["sdd.py"]
feature = dict(feature=dict(type="mmdist.Module", source="decode_head.conv_seg"))
labels = dict(labels=dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs"))
grids = (1, 2, 4)
distiller = dict(
    student_recorders=dict(**feature, **labels),
    teacher_recorders=feature,
    connectors=dict(regions=dict(scales=grids)),
    distill_losses=dict(loss_sdd=dict(type="mmdist.SDDLoss", base=dict(type="mmdist.KDLoss", tau=1.0), scales=grids)),
)
