# The mean squared difference of the five levels of a feature pyramid, the student's after a convolution of its own. The
# files beside this one use it alone, and with DIST.
fpn = dict(fpn=dict(type="mmdist.Module", source="neck"))
mimic = dict(
    student_recorders=fpn,
    teacher_recorders=fpn,
    connectors={f"align_{level}": dict(type="mmdist.AlignConnector") for level in range(5)},
    distill_losses={f"loss_mimic_{level}": dict(type="mmdet.MSELoss", loss_weight=1.0) for level in range(5)},
    loss_forward_mappings={
        f"loss_mimic_{level}": dict(
            pred=dict(recorder="fpn", from_student=True, data_idx=level, connector=f"align_{level}"),
            target=dict(recorder="fpn", from_student=False, data_idx=level),
        )
        for level in range(5)
    },
)
