"""Teachers with norms to fuse."""

from __future__ import annotations

import copy

import torch
from torch import nn

from mmdist.models.algorithms.fusing import FusedNorms


def trained(model):
    """Norms as after a training, which an untrained one's weights would not tell from nothing at all."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight.data, 0.3, 2)
            nn.init.normal_(module.bias.data, std=0.3)
    return model


def frozen(*modules):
    return trained(nn.Sequential(*modules)).requires_grad_(False).eval()


def search(model, *sources, size=(2, 3, 8, 8)):
    norms, picture = FusedNorms(model), torch.rand(size)
    norms.search(lambda: [model(picture)], sources)
    return norms


def losses(model, data):
    return model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode="loss")
