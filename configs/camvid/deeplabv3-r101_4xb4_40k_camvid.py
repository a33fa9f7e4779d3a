# DeepLabV3-R101 by itself on CamVid: the teacher.
_base_ = ["../_base_/models/deeplabv3_r101-d8_camvid.py", "../_base_/recipes/camvid_4xb4_40k.py"]
