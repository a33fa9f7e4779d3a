# RDD with KD: the wide ResNet-18 weighs the narrow one's loss, image by image (ours).
_base_ = ["kd_resnet18-w16_resnet18-w2_1xb64-500_mnist5k.py", "../_base_/weightings/rdd.py"]
model = dict(weighting=_base_.weighting)
