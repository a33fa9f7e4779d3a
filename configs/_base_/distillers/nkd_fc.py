# NKD on a classifier's logits, with the published settings.
_base_ = ["logits_fc.py"]
distiller = dict(
    distill_losses=dict(loss_nkd=dict(type="mmdist.NKDLoss", tau=1.0, gamma=1.5)),
    loss_forward_mappings=dict(loss_nkd=_base_.mapping),
)
