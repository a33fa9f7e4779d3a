# DIST on the class scores of a dense detector, and FitNet on its pyramid.
_base_ = ["dist_dense_cls.py", "mimic.py"]
distiller = _base_.mimic
