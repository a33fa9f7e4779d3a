# DIST+ on a segmenter: the feature before the classifier. mmseg calls the head's method, not the head.
_base_ = ["distplus.py"]
recorders = dict(
    logits=dict(type="mmdist.Module", source="decode_head.conv_seg"),
    feature=dict(type="mmdist.Method", source="decode_head._forward_feature"),
)
labels = dict(labels=dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs"))
distiller = dict(student_recorders=dict(**recorders, **labels), teacher_recorders=recorders)
