# SDD (ours) on FCOS for COCO, as on RetinaNet.
_base_ = ["sdd_retina_coco.py"]
feature = dict(feature=dict(source="bbox_head.conv_cls"))
distiller = dict(student_recorders=feature, teacher_recorders=feature)
