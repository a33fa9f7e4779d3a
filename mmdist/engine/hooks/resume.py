"""A run that was interrupted and goes on as if nothing had happened, bit for bit on the CPU."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmdist.engine.hooks import batches, random_state
from mmdist.engine.hooks.loops import AdvancedIterator, restart_iterator, run_rest_of_epoch
from mmdist.engine.resumed.entries import ENTRY, VERSION, check_position, is_known
from mmdist.registry import HOOKS


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Saves random states and the position in the data with every checkpoint, and goes on from them.

    mmdist's tools add it to every run. In a checkpoint it is the entry ``mmdist``, which other tools ignore.

    Example:
        >>> ExactResumeHook().priority
        89
    """

    # Just before CheckpointHook (VERY_LOW, 90): after whatever draws random numbers, and before they are saved.
    priority = 89

    def __init__(self) -> None:
        self._pass, self._done = 0, 0  # passes over the data that are complete, and batches of the running one
        self._resumed: dict[str, Any] | None = None
        self._started = False
        self._within = False  # the run goes on within an epoch
        self._before_val: dict[str, Any] | None = None
        self._collected: list[dict[str, Any]] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the entry of a checkpoint until it is known to be resumed."""
        meta = checkpoint.get("meta", {})
        entry = checkpoint.get(ENTRY)
        self._resumed = None
        if "iter" in meta:
            self._resumed = dict(at=(meta.get("epoch"), meta["iter"]), entry=entry)

    def before_train(self, runner: Runner) -> None:
        """Find out whether this run goes on from a checkpoint, and prepare the data for it."""
        loop, resumed = runner.train_loop, self._resumed
        # `load_from` reads a checkpoint too, but the run then starts at 0.
        if resumed is not None and (loop.iter == 0 or resumed["at"] != (loop.epoch, loop.iter)):
            self._resumed = resumed = None
        self._started = self._within = False
        if resumed is None:
            return
        if not is_known(resumed["entry"]):
            runner.logger.warning(
                "The checkpoint has no random states that this version of mmdist knows: training goes on, but not "
                "exactly as it would have without the interruption"
            )
            self._resumed = None
            return
        check_position(resumed["entry"])  # again: another tool's run has this hook without the one that checks all
        self._pass, self._done = resumed["entry"]["pass"], resumed["entry"]["done"]
        threads, now = resumed["entry"].get("threads"), torch.get_num_threads()
        if get_device() == "cpu" and threads not in (None, now):  # None: saved on a GPU, or by an earlier version
            runner.logger.warning(
                f"The checkpoint is of a run with OMP_NUM_THREADS={threads}, which is {now} now: sums are rounded in "
                "another order, so that the results will not be the same bit for bit"
            )
        sampler, seed = batches.sampler_of(loop.dataloader), resumed["entry"]["sampler_seed"]
        if seed is not None and hasattr(sampler, "seed"):
            sampler.seed = seed  # the samplers were built before the checkpoint was read, perhaps with a random seed
        self._within = (
            self._done > 0
            and isinstance(loop, EpochBasedTrainLoop)
            and type(loop).run_epoch is EpochBasedTrainLoop.run_epoch
        )
        if self._within:
            loop.run_epoch = lambda: run_rest_of_epoch(loop, resumed["entry"]["done"], self._restore)

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the pass over the data where it has to start; in a resumed run, from the random states of the save."""
        loop, first = runner.train_loop, not self._started
        self._started = True
        if isinstance(loop, IterBasedTrainLoop):
            if first:
                self._start_iterations(runner, loop)
            return
        resumed = first and self._resumed is not None
        if not resumed:
            self._pass, self._done = runner.epoch, 0
        if batches.can_be_numbered(loop.dataloader) and (loop.dataloader.num_workers or self._done):
            batches.number_batches(loop.dataloader, runner.seed, get_rank()).start_at(self._pass, self._done)
        if resumed and not self._within:
            self._restore()

    def _start_iterations(self, runner: Runner, loop: IterBasedTrainLoop) -> None:
        """Exchange the iterator, which the loop made before it knew where it starts."""
        loader, resumed = loop.dataloader, self._resumed is not None
        if not resumed and not getattr(loader, "num_workers", 0):
            return
        own = type(loop).run is IterBasedTrainLoop.run and hasattr(loop, "dataloader_iterator")
        exact = own and batches.can_be_numbered(loader) and batches.rewind(loader)
        if not exact:
            runner.logger.warning(
                "The train loop or the sampler is none that can be started in the middle: "
                + ("data that was trained on is loaded again, and " if resumed else "")
                + "a run resumed from a checkpoint does not see exactly the same random numbers"
            )
        if exact:
            batches.number_batches(loader, runner.seed, get_rank()).start_at(self._pass, self._done)
            if resumed and self._pass and hasattr(batches.sampler_of(loader), "set_epoch"):
                batches.sampler_of(loader).set_epoch(self._pass)
            restart_iterator(loop.dataloader_iterator, self._pass)
        if resumed and own:
            loop.dataloader_iterator = AdvancedIterator(loop, load=not exact, ready=self._restore)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Count the batches."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            pass_ = getattr(getattr(loop, "dataloader_iterator", None), "_epoch", 0)
            if pass_ != self._pass:
                self._pass, self._done = pass_, 0
            self._done += 1
        else:
            self._done = batch_idx + 1

    def after_train_epoch(self, runner: Runner) -> None:
        """Whatever is saved from here on starts with the next epoch."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._pass, self._done = runner.epoch + 1, 0

    def before_val(self, runner: Runner) -> None:
        """Keep the random states: a resumed run does not validate again, so validation must not change them."""
        if self._before_val is None:
            self._before_val = random_state.capture()

    def after_val(self, runner: Runner) -> None:
        """Go on as if there had been no validation."""
        if self._before_val is not None:
            random_state.restore(self._before_val)
            self._before_val = None

    def collect(self) -> None:
        """Gather the random states of all processes; every process must call it."""
        state = self._before_val or random_state.capture()
        self._collected = all_gather_object(state) if get_world_size() > 1 else [state]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the entry to a checkpoint that can be resumed."""
        if "optimizer" not in checkpoint:
            return
        states = self._collected or [self._before_val or random_state.capture()]
        self._collected = None
        seed = getattr(batches.sampler_of(runner.train_dataloader), "seed", None)
        entry = {"version": VERSION, "world": get_world_size(), "random": states}
        entry |= {"pass": self._pass, "done": self._done, "sampler_seed": seed if isinstance(seed, int) else None}
        if get_device() == "cpu":
            entry["threads"] = torch.get_num_threads()
        checkpoint[ENTRY] = entry

    def _restore(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            return
        states, rank = resumed["entry"]["random"], get_rank()
        if len(states) == get_world_size() == resumed["entry"]["world"]:
            random_state.restore(states[rank])
            return
        print_log(
            f"The checkpoint was saved by {resumed['entry']['world']} processes and has the random states of "
            f"{len(states)}; there are {get_world_size()} now: random numbers start anew",
            "current",
            logging.WARNING,
        )


def collect_random_states(runner: Runner) -> None:
    """Prepare a checkpoint in every process, because only one of them will write it.

    Args:
        runner (Runner): The runner; without an ``ExactResumeHook`` nothing happens.
    """
    for hook in runner.hooks:
        if isinstance(hook, ExactResumeHook):
            hook.collect()
