"""Networks of the CIFAR-100 and ImageNet distillation tables that mmpretrain lacks."""

from mmdist.models.backbones.cifar_mobilenet_v2 import CIFARMobileNetV2
from mmdist.models.backbones.cifar_resnet import CIFARResNet
from mmdist.models.backbones.cifar_shufflenet_v1 import CIFARShuffleNetV1
from mmdist.models.backbones.cifar_shufflenet_v2 import CIFARShuffleNetV2
from mmdist.models.backbones.cifar_vgg import CIFARVGG
from mmdist.models.backbones.cifar_wide_resnet import CIFARWideResNet
from mmdist.models.backbones.mobilenet_v1 import MobileNetV1

__all__ = [
    "CIFARVGG",
    "CIFARMobileNetV2",
    "CIFARResNet",
    "CIFARShuffleNetV1",
    "CIFARShuffleNetV2",
    "CIFARWideResNet",
    "MobileNetV1",
]
