# KD from the wide RetinaNet to the narrow one.
_base_ = ["../_base_/pairs/demo/retinanet_r18_digits.py", "../_base_/distillers/kd_retina.py"]
model = dict(distiller=_base_.distiller)
