# KD: Swin-L teaches Swin-T.
_base_ = [
    "../_base_/pairs/in1k/swin-l_swin-t.py",
    "../_base_/recipes/in1k_8xb128_300e_swin.py",
    "../_base_/distillers/kd_fc_in1k.py",
]
model = dict(distiller=_base_.distiller, architecture=dict(head=dict(loss=dict(loss_weight=0.9))))
