# MMRazor's PKD on the four finest levels of a feature pyramid, with its weight for two-stage detectors.
fpn = dict(fpn=dict(type="mmdist.Module", source="neck"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=fpn,
    teacher_recorders=fpn,
    distill_losses={f"loss_pkd_{level}": dict(type="mmrazor.PKDLoss", loss_weight=6.0) for level in range(4)},
    loss_forward_mappings={
        f"loss_pkd_{level}": dict(
            preds_S=dict(recorder="fpn", from_student=True, data_idx=level),
            preds_T=dict(recorder="fpn", from_student=False, data_idx=level),
        )
        for level in range(4)
    },
)
