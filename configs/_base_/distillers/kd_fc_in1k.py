# KD on ImageNet as in DIST's tables: tau 4, weight 1; the config gives the cross entropy a weight of 0.9.
_base_ = ["kd_fc.py"]
distiller = dict(distill_losses=dict(loss_kd=dict(loss_weight=1.0)))
