# RDD for batches of 32 pictures of 64x64. `min_kept` is as large a share of their pixels as the default, 100 000, is of
# four Cityscapes crops.
weighting = dict(type="mmdist.RDDWeighting", warmup=0.1, mode="xor", threshold=0.7, min_kept=6000)
