# DKD on ImageNet: tau 1, one epoch of warm-up, and the weight for a teacher of the student's family.
_base_ = ["dkd_fc.py"]
distiller = dict(distill_losses=dict(loss_dkd=dict(tau=1.0, beta=0.5, warmup_epochs=1)))
