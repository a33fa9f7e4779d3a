# The class scores of a dense detector's head, all levels in one record: RetinaNet, GFL, FCOS, RTMDet.
recorders = dict(scores=dict(type="mmdist.Method", source="bbox_head.forward"))
scores_S = dict(recorder="scores", from_student=True, data_idx=0)
scores_T = dict(recorder="scores", from_student=False, data_idx=0)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=recorders,
    teacher_recorders=recorders,
)
