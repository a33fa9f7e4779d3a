# RDD for batches of 32 pictures of 64x64: `min_kept` is the share of the pixels of a batch that 100 000, the default, are
# of four Cityscapes crops.
weighting = dict(type="mmdist.RDDWeighting", warmup=0.1, mode="xor", threshold=0.7, min_kept=6000)
