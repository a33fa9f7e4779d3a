# RDD with the settings of its released scripts: the first stage is a tenth of all iterations.
weighting = dict(type="mmdist.RDDWeighting", warmup=0.1, mode="xor", threshold=0.7)
