# DIST on the logits of a segmenter and of its auxiliary head, as its authors have it.
_base_ = ["dist_conv_seg.py", "dist_aux.py"]
distiller = _base_.auxiliary
