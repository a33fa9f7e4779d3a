# SD-KD on a classifier, with the settings of CIFAR-100. The weight of the student's own loss beside it, published as
# 0.1, is `head.loss.loss_weight` in the student's config. `sdd_pairs.py` has the settings of the published pairs.
_base_ = ["sdd_fc.py"]
distiller = dict(distill_losses=dict(loss_sdd=dict(base=dict(type="mmdist.KDLoss", tau=4.0), loss_weight=0.9)))
