# DIST from the wide RetinaNet to the narrow one.
_base_ = ["retinanet_r18-w8_1xb4-600_trees.py", "../_base_/distillers/dist_retina_cls.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/retinanet_r18-w32_1xb4-600_trees.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher-ckpt CKPT
    distiller=_base_.distiller,
)
