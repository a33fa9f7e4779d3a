# SDD (ours) on RTMDet, as on RetinaNet; it has three levels, each with a layer of its own for the class scores.
_base_ = ["sdd_retina.py"]
mapping = _base_.distiller.loss_forward_mappings.loss_sdd_0
features = {f"feature_{level}": dict(type="mmdist.Module", source=f"bbox_head.rtm_cls.{level}") for level in range(3)}
distiller = dict(
    student_recorders=dict(_delete_=True, **features),
    teacher_recorders=dict(_delete_=True, **features),
    loss_forward_mappings={
        f"loss_sdd_{level}": {
            argument: dict(record, recorder=f"feature_{level}", record_idx=0) for argument, record in mapping.items()
        }
        for level in range(3)
    },
)
