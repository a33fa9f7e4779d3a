# SD-KD: ResNet-50 (RSB A1) teaches EfficientNet-B0.
_base_ = [
    "../_base_/pairs/in1k/resnet50-rsb_efficientnet-b0.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet50-rsb_efficientnet-b0"]["sdkd"]
model.architecture.head.loss.update(_base_.task_loss)
