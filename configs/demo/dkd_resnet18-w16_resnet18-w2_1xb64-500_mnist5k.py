# DKD from the wide ResNet-18 to the narrow one.
_base_ = ["../_base_/pairs/demo/resnet18_mnist5k.py", "../_base_/distillers/dkd_fc.py"]
distiller = _base_.distiller
distiller.distill_losses.loss_dkd.update(warmup_iters=40)  # a twelfth of the training, as on CIFAR-100
model = dict(distiller=distiller)
