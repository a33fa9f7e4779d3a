# KD: Swin-L teaches ResNet-50.
_base_ = [
    "../_base_/pairs/in1k/swin-l_resnet50.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/kd_fc_in1k.py",
]
model = dict(distiller=_base_.distiller, architecture=dict(head=dict(loss=dict(_base_.task_loss, loss_weight=0.9))))
