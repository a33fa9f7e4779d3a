# The CamVid training of RDD's tables: 40k iterations, crops of 360x360.
_base_ = ["../datasets/camvid.py", "../schedules/rdd_40k.py", "mmseg::_base_/default_runtime.py"]
