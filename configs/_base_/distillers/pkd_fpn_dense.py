# PKD with MMRazor's weight for dense detectors.
_base_ = ["pkd_fpn.py"]
distiller = dict(distill_losses={f"loss_pkd_{level}": dict(loss_weight=10.0) for level in range(4)})
