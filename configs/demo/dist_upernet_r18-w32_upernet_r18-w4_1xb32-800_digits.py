# DIST from the wide UPerNet to the narrow one.
_base_ = ["../_base_/pairs/demo/upernet_r18_digits.py", "../_base_/distillers/dist_conv_seg.py"]
model = dict(distiller=_base_.distiller)
