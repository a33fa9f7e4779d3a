# DIST on CIFAR-100: tau 4. The authors' code multiplies the loss by tau^2, and their published logs come from it.
_base_ = ["dist_fc.py"]
distiller = dict(distill_losses=dict(loss_dist=dict(tau=4.0)))
