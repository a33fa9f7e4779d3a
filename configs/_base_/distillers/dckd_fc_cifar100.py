# DCKD on CIFAR-100, with its 20 epochs of warm-up. As DKD.
_base_ = ["dckd_fc.py"]
distiller = dict(distill_losses=dict(loss_dckd=dict(warmup_epochs=20)))
