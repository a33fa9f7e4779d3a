# DIST+ on CIFAR-100: tau 4, also where the teacher comes to meet the student (the paper names one tau for all).
_base_ = ["distplus_fc.py"]
distiller = dict(distill_losses=dict(loss_dist=dict(tau=4.0), loss_teacher=dict(tau=4.0)))
