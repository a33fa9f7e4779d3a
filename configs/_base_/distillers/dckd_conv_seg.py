# DCKD, as reconstructed, on a segmenter's logits: every pixel that is labelled is a sample (ours).
_base_ = ["logits_conv_seg.py"]
distiller = dict(
    distill_losses=dict(loss_dckd=dict(type="mmdist.DCKDLoss", tau=1.0, alpha=1.0, beta=0.5)),
    loss_forward_mappings=dict(loss_dckd=_base_.mapping),
)
