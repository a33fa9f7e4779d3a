# DIST on the class scores of a dense detector, and FitNet on its pyramid of three levels.
_base_ = ["dist_dense_cls.py", "mimic_3.py"]
distiller = _base_.mimic
