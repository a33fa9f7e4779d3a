# FitNet on a feature pyramid.
_base_ = ["mimic.py"]
distiller = dict(type="mmrazor.ConfigurableDistiller", **_base_.mimic)
