# KD on the class scores of a dense detector: a binary KL a class, the mean over the anchors of a level, the sum over
# the levels. `num_classes` is that of the data.
_base_ = ["dense_cls.py"]
distiller = dict(
    distill_losses=dict(
        loss_kd=dict(type="mmdist.KDLoss", tau=1.0, activation="sigmoid", num_classes=80, loss_weight=1.0)
    ),
    loss_forward_mappings=dict(loss_kd=dict(preds_S=_base_.scores_S, preds_T=_base_.scores_T)),
)
