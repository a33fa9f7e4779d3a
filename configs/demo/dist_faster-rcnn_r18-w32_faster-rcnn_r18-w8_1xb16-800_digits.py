# DIST from the wide Faster R-CNN to the narrow one.
_base_ = ["../_base_/pairs/demo/faster-rcnn_r18_digits.py", "../_base_/distillers/dist_roi_cls.py"]
model = dict(distiller=_base_.distiller)
