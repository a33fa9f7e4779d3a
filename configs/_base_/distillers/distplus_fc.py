# DIST+ on a classifier: the backbone's last map, and the weights that the paper uses on ImageNet.
_base_ = ["distplus.py"]
recorders = dict(
    logits=dict(type="mmdist.Module", source="head.fc"),
    feature=dict(type="mmdist.Module", source="backbone"),
)
labels = dict(labels=dict(type="mmdist.Module", source="head.loss_module", what="inputs"))
distiller = dict(
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    distill_losses=dict(loss_dist=dict(loss_weight=2.0)),
)
