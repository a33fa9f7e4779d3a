# MMSegmentation's PSPNet-R18, as a student in the papers' settings, where maps are enlarged with
# align_corners=True.
_base_ = ["mmseg::_base_/models/pspnet_r50-d8.py"]
model = dict(
    pretrained="open-mmlab://resnet18_v1c",
    backbone=dict(depth=18),
    decode_head=dict(in_channels=512, channels=128, align_corners=True),
    auxiliary_head=dict(in_channels=256, channels=64, align_corners=True),
)
