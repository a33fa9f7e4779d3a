# SDD on Faster R-CNN, as its authors' code has it: five versions of each of the student's sampled regions, all with the
# same weight, and DKD's settings for detection. Background is a class.
_base_ = ["sdd.py"]
feature = dict(feature=dict(type="mmdist.Method", source="roi_head._bbox_forward", what="inputs"))
labels = dict(labels=dict(type="mmdist.Module", source="roi_head.bbox_head.loss_cls", what="inputs"))
dkd = dict(type="mmdist.DKDLoss", tau=1.0, alpha=1.0, beta=0.25)
distiller = dict(
    student_recorders=dict(**feature, **labels),
    teacher_recorders=feature,
    distill_losses=dict(loss_sdd=dict(type="mmdist.SDDLoss", base=dkd, complementary_weight=1.0)),
)
