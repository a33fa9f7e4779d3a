"""mmengine's CheckpointHook, with writing that a crash cannot turn into a loss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import Runner

from mmdist.engine import atomic
from mmdist.engine.hooks.resume import collect_random_states
from mmdist.engine.resumed import entries, files
from mmdist.errors import ConfigError
from mmdist.registry import HOOKS

PREEMPTED = "preempted.pth"


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """Saves like mmengine's hook, with the same arguments; on a local disk every file is whole or not there.

    A checkpoint is written under a temporary name, flushed to the disk and renamed. Then ``last_checkpoint`` names it,
    and only then are outdated files deleted. What a killed process left half-written is removed at the next start.
    Other storage (``s3://``, ...) and other runners than mmengine's ``Runner`` keep mmengine's own behaviour.

    Example:
        >>> hook = CheckpointHook(interval=2, by_epoch=False, max_keep_ckpts=3)
        >>> hook.filename_tmpl
        'iter_{}.pth'
    """

    def before_train(self, runner: Runner) -> None:
        """Find the place for checkpoints, and clear it of half-written ones.

        Raises:
            CheckpointError: A resumed checkpoint has no whole numbers as the steps whose checkpoints are kept.
        """
        notes = runner.message_hub.runtime_info  # perhaps a file's: this hook deletes what they name
        files.forget_elsewhere(notes, [hook for hook in runner.hooks if isinstance(hook, _CheckpointHook)], runner)
        entries.check_kept(f"message_hub.runtime_info[{entries.KEPT!r}]", notes.get(entries.KEPT, []))
        super().before_train(runner)
        self._saved_at: tuple[int, int] | None = None
        if self._is_safe(runner) and is_main_process():
            for folder in {Path(self._path(self.filename_tmpl)).parent, Path(self.out_dir), Path(runner.work_dir)}:
                for path in atomic.remove_leftovers(folder):
                    runner.logger.info(f"Removed {path}, which an interrupted process had not finished")

    def save_preempted(self, runner: Runner) -> str:
        """Save the end of the running iteration, outside the schedule; every process must call it.

        Args:
            runner (Runner): In ``after_train_iter``, after the other hooks.

        Returns:
            str: The checkpoint, which ``last_checkpoint`` names as well. It goes when the next regular one is there.
        """
        meta = dict(epoch=runner.epoch, iter=runner.iter + 1)
        if self._saved_at == (meta["epoch"], meta["iter"]):
            return str(self.last_ckpt)
        self._save(runner, PREEMPTED, save_optimizer=True, save_param_scheduler=True, meta=meta, by_epoch=False)
        path = self._path(PREEMPTED)
        self._note(runner, path)
        return path

    def _is_safe(self, runner: Runner) -> bool:
        backend = getattr(self.file_backend, "client", self.file_backend)  # the deprecated FileClient wraps one
        return isinstance(backend, LocalBackend) and isinstance(runner, Runner)

    def _path(self, filename: str) -> str:
        return str(self.file_backend.join_path(self.out_dir, filename))

    def _save(self, runner: Runner, filename: str, **options: Any) -> None:
        """One checkpoint; nothing is at its name before it is complete."""
        collect_random_states(runner)
        places = dict(file_client_args=self.file_client_args, backend_args=self.backend_args)
        # Of many processes the main one alone writes: another one must not rename a file that is not finished.
        if not self._is_safe(runner) or not is_main_process():
            runner.save_checkpoint(self.out_dir, filename, **places, **options)
            return
        with atomic.replacing(Path(self._path(filename))) as temporary:
            name = str(Path(filename).with_name(temporary.name))
            runner.save_checkpoint(self.out_dir, name, **places, **options)
            atomic.stamp(temporary)

    @staticmethod
    @master_only
    def _note(runner: Runner, path: str) -> None:
        atomic.write_text(path, Path(runner.work_dir, "last_checkpoint"))

    @master_only
    def _remove(self, path: str) -> bool:
        found = os.path.isfile(path)
        if found:
            os.remove(path)
        return found

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        self._saved_at = (meta["epoch"], meta["iter"])
        if not self._is_safe(runner):
            collect_random_states(runner)
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated = self._enlist(runner, step)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self._path(filename)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        self._save(
            runner,
            filename,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            **self.args,
        )
        self._note(runner, self.last_ckpt)
        if outdated is not None:
            self._remove(self._path(self.filename_tmpl.format(outdated)))
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        self._remove(self._path(PREEMPTED))

    def _enlist(self, runner: Runner, step: int) -> int | None:
        """Add a step to those kept; the step that has to go for it, once the new one is safe."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return None
        full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        outdated = self.keep_ckpt_ids.popleft() if full else None
        self.keep_ckpt_ids.append(step)
        # The new checkpoint lists the outdated one too: after a crash before its removal, `before_train` removes it.
        listed = [*([outdated] if full else []), *self.keep_ckpt_ids]
        runner.message_hub.update_info("keep_ckpt_ids", listed)
        return outdated

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        if not self.save_best:
            return
        if not self._is_safe(runner):
            super()._save_best_checkpoint(runner, metrics)
            return
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        now = runner.epoch if self.by_epoch else runner.iter
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        outdated, updated = [], False
        for indicator, rule in zip(self.key_indicators, self.rules, strict=True):
            if indicator not in metrics:
                raise ConfigError("default_hooks.checkpoint.save_best", indicator, list(metrics))
            suffix = "" if len(self.key_indicators) == 1 else f"_{indicator}"
            best = runner.message_hub.get_info(f"best_score{suffix}", self.init_value_map[rule])
            score = metrics[indicator]
            if score is None or not self.is_better_than[indicator](score, best):
                continue
            updated = True
            filename = f"best_{indicator}_{self.filename_tmpl.format(now)}".replace("/", "_")
            previous = self._exchange_best(indicator, self._path(filename))
            runner.message_hub.update_info(f"best_score{suffix}", score)
            runner.message_hub.update_info(f"best_ckpt{suffix}", self._path(filename))
            self._save(
                runner, filename, save_optimizer=False, save_param_scheduler=False, meta=dict(meta), by_epoch=False
            )
            unit = "epoch" if self.by_epoch else "iter"
            runner.logger.info(
                f"The best checkpoint with {score:0.4f} {indicator} at {now} {unit} is saved to {filename}."
            )
            if previous and previous != self._path(filename):
                outdated.append(previous)
        # The checkpoint of this step was saved before the score was known.
        if updated and self.last_ckpt is not None:
            self._save_checkpoint_with_step(runner, now, meta)
        for path in outdated:
            if self._remove(path):
                runner.logger.info(f"The previous best checkpoint {path} is removed")

    def _exchange_best(self, indicator: str, path: str) -> str | None:
        if len(self.key_indicators) == 1:
            previous, self.best_ckpt_path = self.best_ckpt_path, path
        else:
            previous = self.best_ckpt_path_dict.get(indicator)
            self.best_ckpt_path_dict[indicator] = path
        return previous

    @master_only
    def _publish_model(self, runner: Runner, ckpt_path: str) -> None:
        if not self._is_safe(runner):
            super()._publish_model(runner, ckpt_path)
            return
        from mmdist.compat.checkpoint import load_checkpoint_file

        if ckpt_path is None:  # a metric that never improved
            return
        content = load_checkpoint_file(ckpt_path)
        dropped = [key for key in content if key not in self.published_keys]
        if dropped:
            runner.logger.info(f"Not published: {', '.join(dropped)}; name them in published_keys to publish them")
        root = Path(ckpt_path).with_suffix("")
        unnamed = root.with_name(f"{root.name}-published.pth")
        atomic.write_checkpoint({key: content[key] for key in content if key not in dropped}, unnamed)
        # The name carries the hash of the file, as torch.hub's check_hash expects it.
        final = root.with_name(f"{root.name}-{atomic.file_hash(unnamed)[:8]}.pth")
        os.replace(unnamed, final)
        runner.logger.info(f"The checkpoint ({ckpt_path}) is published to {final}.")
