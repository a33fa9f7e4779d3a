# DIST+ of Faster R-CNN by a cascade, whose first stage looks at the student's sampled regions.
_base_ = ["distplus_roi_cls.py"]
distiller = dict(teacher_recorders=dict(logits=dict(source="roi_head.bbox_head.0.fc_cls")))
