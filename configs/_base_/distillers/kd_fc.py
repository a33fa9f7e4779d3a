# KD on a classifier's logits, with the settings of CIFAR-100. The weight of the student's own loss beside it, published
# as 0.1, is `head.loss.loss_weight` in the student's config.
_base_ = ["logits_fc.py"]
distiller = dict(
    distill_losses=dict(loss_kd=dict(type="mmdist.KDLoss", tau=4.0, loss_weight=0.9)),
    loss_forward_mappings=dict(loss_kd=_base_.mapping),
)
