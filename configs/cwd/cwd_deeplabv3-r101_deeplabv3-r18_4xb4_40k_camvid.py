# CWD: DeepLabV3-R101 teaches DeepLabV3-R18.
_base_ = [
    "../_base_/pairs/camvid/deeplabv3-r101_deeplabv3-r18.py",
    "../_base_/recipes/camvid_4xb4_40k.py",
    "../_base_/distillers/cwd_seg.py",
]
model = dict(distiller=_base_.distiller)
