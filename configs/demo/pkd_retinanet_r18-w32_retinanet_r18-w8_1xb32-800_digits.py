# PKD from the wide RetinaNet to the narrow one.
_base_ = ["../_base_/pairs/demo/retinanet_r18_digits.py", "../_base_/distillers/pkd_align.py"]
model = dict(distiller=_base_.distiller)
