# MMSegmentation's DeepLabV3-MobileNetV2, as a student in the papers' settings: no auxiliary head, and maps are enlarged
# with align_corners=True.
_base_ = ["mmseg::_base_/models/deeplabv3_r50-d8.py"]
model = dict(
    pretrained="mmcls://mobilenet_v2",
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        widen_factor=1.0,
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4),
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type="SyncBN", requires_grad=True),
    ),
    decode_head=dict(in_channels=320, align_corners=True),
    auxiliary_head=None,
)
