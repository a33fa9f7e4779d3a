# DKD on CIFAR-100, with its 20 epochs of warm-up.
_base_ = ["dkd_fc.py"]
distiller = dict(distill_losses=dict(loss_dkd=dict(warmup_epochs=20)))
