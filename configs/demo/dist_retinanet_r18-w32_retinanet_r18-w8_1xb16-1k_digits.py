# DIST on the class scores of each level (sigmoid, levels summed), from the wide RetinaNet to the narrow one.
_base_ = ["retinanet_r18-w8_1xb16-1k_digits.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
# The shared classification layer runs once a level: one record, one loss a level. The coarsest level, 2x2 positions
# here, is left out.
recorders = dict(scores=dict(type="mmrazor.ModuleOutputs", source="bbox_head.retina_cls"))
dist = dict(type="mmdist.DISTLoss", activation="sigmoid", loss_weight=1.0)
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/retinanet_r18-w32_1xb16-1k_digits.py",
    teacher_ckpt=None,  # the demo passes it: tools/train.py --teacher CKPT
    distiller=dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=recorders,
        teacher_recorders=recorders,
        distill_losses=dict(loss_dist_p2=dist, loss_dist_p3=dist, loss_dist_p4=dist),
        loss_forward_mappings=dict(
            loss_dist_p2=dict(
                logits_S=dict(recorder="scores", from_student=True, record_idx=0),
                logits_T=dict(recorder="scores", from_student=False, record_idx=0),
            ),
            loss_dist_p3=dict(
                logits_S=dict(recorder="scores", from_student=True, record_idx=1),
                logits_T=dict(recorder="scores", from_student=False, record_idx=1),
            ),
            loss_dist_p4=dict(
                logits_S=dict(recorder="scores", from_student=True, record_idx=2),
                logits_T=dict(recorder="scores", from_student=False, record_idx=2),
            ),
        ),
    ),
)
