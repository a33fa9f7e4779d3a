# DCKD on ImageNet: tau 1, one epoch of warm-up, and the weight for a teacher of the student's family. As DKD.
_base_ = ["dckd_fc.py"]
distiller = dict(distill_losses=dict(loss_dckd=dict(tau=1.0, beta=0.5, warmup_epochs=1)))
