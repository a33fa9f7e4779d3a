"""What `make test` trains of the configs for dense prediction: one a task and method; see `zoo.quick`."""

from __future__ import annotations

QUICK = (
    "cwd_segformer-b3_segformer-b0_8xb2_160k_ade20k",
    "dist_deeplabv3-r101_deeplabv3-r18_4xb4_40k_camvid",
    "distplus_deeplabv3-r101_deeplabv3-r18_8xb2_40k_cityscapes",
    "rdd_segformer-b3_segformer-b0_8xb2_160k_ade20k",
    "sdd_deeplabv3-r101_deeplabv3-r18_8xb2_40k_cityscapes",
    "dckd_retinanet-x101_retinanet-r50_8xb2_2x_coco",
    "dist-mimic_cascade-mask-rcnn-x101_faster-rcnn-r50_8xb2_2x_coco",
    "pkd_rtmdet-l_rtmdet-s_8xb32_300e_coco",
    "rdd_gfl-r101_gfl-r50_8xb2_1x_coco",
)
