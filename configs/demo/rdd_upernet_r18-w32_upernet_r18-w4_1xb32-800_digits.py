# RDD with KD, as in the paper: the wide UPerNet weighs the narrow one's task loss.
_base_ = [
    "kd_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py",
    "../_base_/weightings/rdd_digits.py",
    "../_base_/hooks/distill_pictures.py",
]
model = dict(weighting=_base_.weighting)
