"""Fixed counts of both kinds in every batch of every process, whatever happens to the run."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import run_ranks
from helpers.unlabeled_data import batches_of_rank, make_batches
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import SequentialSampler

from mmdist.datasets import LabeledUnlabeledBatchSampler, LabeledUnlabeledDataset
from mmdist.engine.hooks.batches import NumberedBatches
from mmdist.errors import ConfigError

LABELED, UNLABELED = 7, 11


def kinds(batch: list[int]) -> tuple[list[int], list[int]]:
    return [i for i in batch if i < LABELED], [i for i in batch if i >= LABELED]


def test_every_batch_has_its_counts_and_the_labelled_images_first(both: LabeledUnlabeledDataset) -> None:
    for sampler in (DefaultSampler, InfiniteSampler):
        for batch in islice(make_batches(both, sampler, batch_size=2, unlabeled=3), 30):
            labeled, unlabeled = kinds(batch)
            assert (len(labeled), len(unlabeled)) == (2, 3)
            assert batch == labeled + unlabeled


def test_without_end_each_image_comes_once_in_every_pass_over_its_kind(both: LabeledUnlabeledDataset) -> None:
    batches = list(islice(make_batches(both, InfiniteSampler, batch_size=2, unlabeled=3), 77))
    for kind, (count, size) in enumerate(((2, LABELED), (3, UNLABELED))):
        drawn = list(chain.from_iterable(kinds(batch)[kind] for batch in batches))
        assert len(drawn) == 77 * count
        for start in range(0, len(drawn), size):
            assert len(set(drawn[start : start + size])) == size
        passes = [tuple(drawn[start : start + size]) for start in range(0, len(drawn), size)]
        assert len(set(passes)) > 1  # each in an order of its own


def test_an_epoch_is_a_pass_over_the_labelled_and_the_unlabelled_go_on(both: LabeledUnlabeledDataset) -> None:
    epochs = [list(make_batches(both, DefaultSampler, at=e, batch_size=2, unlabeled=3)) for e in range(11)]
    assert {len(epoch) for epoch in epochs} == {4}  # 7 images, two at a time
    for epoch in epochs:
        drawn = Counter(chain.from_iterable(kinds(batch)[0] for batch in epoch))
        assert set(drawn) == set(range(LABELED))
        assert sorted(drawn.values()) == [1] * 6 + [2]  # filled up with one
    drawn = Counter(chain.from_iterable(kinds(batch)[1] for epoch in epochs for batch in epoch))
    assert set(drawn.values()) == {12}  # 11 epochs of 12 images


def test_an_epoch_over_the_unlabelled_counts_by_these(both: LabeledUnlabeledDataset) -> None:
    options: dict[str, Any] = dict(batch_size=2, unlabeled=3, epoch="unlabeled")
    inner = DefaultSampler(both, seed=1)
    order = LabeledUnlabeledBatchSampler(inner, **options)
    assert len(order) == 4
    drawn = []
    for epoch in range(7):
        inner.set_epoch(epoch)
        batches = list(order)
        assert set(chain.from_iterable(kinds(batch)[1] for batch in batches)) == set(range(7, 18))
        drawn += chain.from_iterable(kinds(batch)[0] for batch in batches)
    assert set(Counter(drawn).values()) == {8}  # 7 epochs of 8 images


CASES = [
    (sampler, dict(batch_size=1, unlabeled=2, group_by_aspect_ratio=group))
    for sampler in (DefaultSampler, InfiniteSampler)
    for group in (False, True)
]


def test_two_processes_share_out_what_one_draws_and_refuse_unequal_counts(
    both: LabeledUnlabeledDataset, tmp_path: Path
) -> None:
    ranks = run_ranks(batches_of_rank, 2, tmp_path, both, CASES, 8)
    alone = batches_of_rank(0, both, CASES, 16)["batches"]
    for index, (sampler, _) in enumerate(case for case in CASES for _ in range(2)):
        mine, others = (rank["batches"][index] for rank in ranks)
        assert len(mine) == len(others) == (4 if sampler is DefaultSampler else 8)
        together = list(chain.from_iterable(zip(mine, others, strict=True)))
        if sampler is InfiniteSampler:
            assert together == alone[index]
            continue
        # Of 7 labelled images, one a batch, two processes make 8 batches: the first image comes again.
        labeled = [kinds(batch)[0] for batch in together]
        assert labeled == [kinds(batch)[0] for batch in alone[index]] + labeled[:1]
        assert all(len(batch) == 3 for batch in together)
        if index % 2 == 0:  # the first epoch
            assert [kinds(batch)[1] for batch in together[:7]] == [kinds(batch)[1] for batch in alone[index]]
    for rank in ranks:
        assert "batch_sampler.unlabeled = 3" in rank["refused"]


def test_what_a_batch_holds_depends_on_seed_pass_and_number_alone(both: LabeledUnlabeledDataset) -> None:
    options: dict[str, Any] = dict(batch_size=2, unlabeled=3)
    whole = list(make_batches(both, DefaultSampler, at=3, **options))
    other = make_batches(both, DefaultSampler, at=0, **options)
    list(other)
    assert other.batch(3, 2) == whole[2]
    resumed = NumberedBatches(make_batches(both, DefaultSampler, at=3, **options))
    resumed.start_at(pass_=3, done=2)  # as mmdist resumes in the middle of an epoch
    assert list(resumed) == whole[2:]
    assert list(make_batches(both, DefaultSampler, at=3, seed=6, **options)) != whole


def test_images_are_grouped_by_their_aspect_ratio_inside_each_kind(both: LabeledUnlabeledDataset) -> None:
    order = make_batches(both, InfiniteSampler, batch_size=2, unlabeled=2, group_by_aspect_ratio=True)
    batches = list(islice(order, 4 * 6))
    wide = [info["width"] >= info["height"] for info in map(both.get_data_info, range(len(both)))]
    for kind, size in ((0, 4), (1, 6)):  # groups of a pass: of 4 + 3 images, and of 7 + 4
        groups = [kinds(batch)[kind] for batch in batches]
        assert {len(group) for group in groups} == {2}
        for start in range(0, len(groups) - size + 1, size):
            of_pass = groups[start : start + size]
            seen = set(chain.from_iterable(of_pass))
            assert seen == set(range(LABELED) if kind == 0 else range(LABELED, LABELED + UNLABELED))
            assert sum(wide[a] != wide[b] for a, b in of_pass) <= 1  # of what is left of both


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (dict(batch_size=2, unlabeled=0), "batch_sampler.unlabeled"),
        (dict(batch_size=2, unlabeled=12), "batch_sampler.unlabeled"),
        (dict(batch_size=2, unlabeled=2.0), "batch_sampler.unlabeled"),
        (dict(batch_size=8, unlabeled=3), "batch_sampler.labeled"),
        (dict(batch_size=2, labeled=0, unlabeled=2), "batch_sampler.labeled"),
        (dict(batch_size=4, labeled=2, unlabeled=3), "batch_size"),
        (dict(batch_size=2, unlabeled=3, epoch="labelled"), "batch_sampler.epoch"),
    ],
)
def test_counts_that_cannot_be_are_refused(both: LabeledUnlabeledDataset, options: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        make_batches(both, InfiniteSampler, **options)


def test_the_batch_size_is_that_of_the_labelled_or_of_all(both: LabeledUnlabeledDataset) -> None:
    for batch_size in (2, 5):
        order = make_batches(both, InfiniteSampler, batch_size=batch_size, labeled=2, unlabeled=3)
        assert [len(part) for part in kinds(next(iter(order)))] == [2, 3]


def test_other_samplers_and_datasets_are_refused(both: LabeledUnlabeledDataset) -> None:
    with pytest.raises(ConfigError, match=r"train_dataloader\.sampler"):
        LabeledUnlabeledBatchSampler(SequentialSampler(both), batch_size=2, unlabeled=3)
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset"):
        make_batches([1, 2, 3], InfiniteSampler, batch_size=1, unlabeled=1)
