# DIST+ on SegFormer, whose feature before the classifier is what fuses the levels (ours).
_base_ = ["distplus_conv_seg.py"]
feature = dict(feature=dict(_delete_=True, type="mmdist.Module", source="decode_head.fusion_conv"))
distiller = dict(student_recorders=feature, teacher_recorders=feature)
