# DIST of Faster R-CNN by a cascade, and FitNet on the pyramid.
_base_ = ["dist_roi_cls_cascade.py", "mimic.py"]
distiller = _base_.mimic
