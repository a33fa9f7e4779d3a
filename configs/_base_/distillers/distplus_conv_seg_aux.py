# DIST+ on a segmenter, with DIST on its auxiliary head's logits too.
_base_ = ["distplus_conv_seg.py", "dist_aux.py"]
distiller = _base_.auxiliary
