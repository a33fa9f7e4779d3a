"""Data with and without labels: what a config names ``mmdist.<class>`` in a dataloader."""

from mmdist.datasets.batch_sampler import LabeledUnlabeledBatchSampler
from mmdist.datasets.labeled_unlabeled import LabeledUnlabeledDataset
from mmdist.datasets.unlabeled import UnlabeledDataset

__all__ = ["LabeledUnlabeledBatchSampler", "LabeledUnlabeledDataset", "UnlabeledDataset"]
