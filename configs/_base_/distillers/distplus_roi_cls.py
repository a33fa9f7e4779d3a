# DIST+ on Faster R-CNN: the class scores and labels of the student's sampled regions, and the pyramid.
_base_ = ["distplus.py"]
recorders = dict(
    logits=dict(type="mmdist.Module", source="roi_head.bbox_head.fc_cls"),
    feature=dict(type="mmdist.Module", source="neck"),
)
labels = dict(labels=dict(type="mmdist.Module", source="roi_head.bbox_head.loss_cls", what="inputs"))
distiller = dict(student_recorders=dict(**recorders, **labels), teacher_recorders=recorders)
