# DIST on the class scores of a dense detector: one loss a level, which are summed. For RetinaNet that is the authors',
# who take the 9 x 80 channels of a location as its classes; for other heads it is ours.
_base_ = ["dense_cls.py"]
distiller = dict(
    distill_losses=dict(loss_dist=dict(type="mmdist.DISTLoss", activation="sigmoid", loss_weight=1.0)),
    loss_forward_mappings=dict(loss_dist=dict(logits_S=_base_.scores_S, logits_T=_base_.scores_T)),
)
