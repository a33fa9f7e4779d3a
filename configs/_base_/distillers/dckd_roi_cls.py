# DCKD, as reconstructed, on the class scores of the box head: teacher and student look at the student's sampled
# regions, background is a class. DKD's settings for detection.
_base_ = ["logits.py"]
logits = dict(logits=dict(type="mmdist.Module", source="roi_head.bbox_head.fc_cls"))
labels = dict(labels=dict(type="mmdist.Module", source="roi_head.bbox_head.loss_cls", what="inputs"))
distiller = dict(
    student_recorders=dict(**logits, **labels),
    teacher_recorders=logits,
    distill_losses=dict(loss_dckd=dict(type="mmdist.DCKDLoss", tau=1.0, alpha=1.0, beta=0.25)),
    loss_forward_mappings=dict(loss_dckd=_base_.mapping),
)
