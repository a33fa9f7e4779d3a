# DCKD, as reconstructed, on a classifier's logits, with DKD's settings for CIFAR-100; ImageNet: tau=1.0, beta=0.5. DKD
# warms up over 20 epochs, on ImageNet over 1 (`warmup_epochs`).
_base_ = ["logits_fc.py"]
distiller = dict(
    distill_losses=dict(loss_dckd=dict(type="mmdist.DCKDLoss", tau=4.0, alpha=1.0, beta=8.0)),
    loss_forward_mappings=dict(loss_dckd=_base_.mapping),
)
