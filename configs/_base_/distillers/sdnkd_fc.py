# SD-NKD on a classifier, with the settings of NKD. SDD's own code has others, and takes the target for one of the
# others: `sdd_pairs.py` has those of the published pairs, which come from it.
_base_ = ["sdd_fc.py"]
distiller = dict(distill_losses=dict(loss_sdd=dict(base=dict(type="mmdist.NKDLoss", tau=1.0, gamma=1.5))))
