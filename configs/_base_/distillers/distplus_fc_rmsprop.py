# DIST+ on a classifier that RMSProp trains (recipes/in1k_8xb96_450e.py). RMSProp divides small gradients by its eps,
# 0.03: a step is as long as SGD's at fifteen times the rate of the baseline recipe. Hence a smaller share of it for the
# teacher (ours).
_base_ = ["distplus_fc.py"]
teachers_rate = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.01))))
