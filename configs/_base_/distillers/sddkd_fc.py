# SD-DKD on a classifier, with the settings of CIFAR-100; published with a warm-up of 20 epochs (`warmup_epochs`).
# `sdd_pairs.py` has the settings of the published pairs.
_base_ = ["sdd_fc.py"]
distiller = dict(distill_losses=dict(loss_sdd=dict(base=dict(type="mmdist.DKDLoss", tau=4.0, alpha=1.0, beta=8.0))))
