# DCKD: ResNet-50 (RSB A1) teaches ResNet-18.
_base_ = [
    "../_base_/pairs/in1k/resnet50-rsb_resnet18.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/dckd_fc_in1k.py",
]
model = dict(distiller=_base_.distiller, architecture=dict(head=dict(loss=_base_.task_loss)))
