# DKD on a classifier's logits, with the settings of CIFAR-100; ImageNet: tau=1.0, beta=0.5. Published with a warm-up of
# 20 epochs, on ImageNet of 1 (`warmup_epochs`).
_base_ = ["logits_fc.py"]
distiller = dict(
    distill_losses=dict(loss_dkd=dict(type="mmdist.DKDLoss", tau=4.0, alpha=1.0, beta=8.0)),
    loss_forward_mappings=dict(loss_dkd=_base_.mapping),
)
