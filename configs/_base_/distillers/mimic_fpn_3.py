# FitNet on a feature pyramid of three levels.
_base_ = ["mimic_3.py"]
distiller = dict(type="mmrazor.ConfigurableDistiller", **_base_.mimic)
