# RDD with KD: the wide RetinaNet weighs the narrow one's loss, anchor by anchor (ours).
_base_ = ["kd_retinanet_r18-w32_retinanet_r18-w8_1xb32-800_digits.py", "../_base_/weightings/rdd.py"]
model = dict(weighting=_base_.weighting)
