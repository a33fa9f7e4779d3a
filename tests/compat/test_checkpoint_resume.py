"""Fix 4 in mmengine's Runner: a checkpoint that it wrote is resumed."""

from __future__ import annotations

import pytest

pytest.importorskip("mmengine")

RUN = """
import mmdist, torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 1)

    def forward(self, x, mode="tensor"):
        return {"loss": self.fc(x).square().mean()} if mode == "loss" else self.fc(x)

def train(last, **options):
    runner = Runner(
        model=Toy(), work_dir="work", experiment_name=f"toy{len(options)}", log_level="ERROR",
        train_dataloader=dict(batch_size=2, dataset=[torch.ones(2)] * 4, sampler=dict(type="DefaultSampler"),
                              collate_fn=lambda batch: dict(x=torch.stack(batch))),
        train_cfg=dict(by_epoch=False, max_iters=last), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        param_scheduler=[dict(type="OneCycleLR", eta_max=0.1, total_steps=8, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=False),
                           logger=dict(type="LoggerHook", interval=1)),
        custom_hooks=[dict(type="EMAHook")], **options)
    runner.train()
    print(runner.iter, len(runner.message_hub.get_scalar("train/loss").data[0]))

train(2)
again = dict(resume=True, load_from="work/iter_2.pth")
try:
    train(4, **again)
except Exception as error:
    print(type(error).__name__)
mmdist.compat.apply()
train(4, **again, default_scope="mmengine")
"""


def test_a_runners_checkpoint_resumes_with_the_fix_and_not_without_it(run_python) -> None:
    from mmdist.compat import checkpoint

    if not checkpoint.needed():
        pytest.skip("this torch loads mmengine's checkpoints")
    done = run_python(RUN)
    # Iterations done, and how many of them the log history covers.
    lines = [line for line in done.stdout.splitlines() if not line.startswith("Loads checkpoint")]
    assert lines == ["2 2", "UnpicklingError", "4 4"], done.stdout + done.stderr


def test_the_loaders_are_registered_when_the_runner_is_imported_and_not_before(run_python) -> None:
    done = run_python("""
        import mmdist
        from mmdist.compat import checkpoint
        print(checkpoint.active())
        from mmengine.runner.checkpoint import CheckpointLoader
        for _ in range(2):
            mmdist.compat.apply()
        for name in ("a.pth", "http://b", "https://b", "torchvision://c", "open-mmlab://d", "mmcls://e"):
            print(CheckpointLoader._get_checkpoint_loader(name).__module__.startswith("mmdist.compat"))
        print(checkpoint.active())
    """)
    assert done.stdout.split() == ["False"] + ["True"] * 7, done.stderr


def test_it_is_not_needed_with_an_old_torch_or_without_mmengine(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmdist.compat import checkpoint, versions

    for torch, mmengine in (("2.5.1", "0.10.7"), ("2.13.0", None)):
        monkeypatch.setattr(versions, "installed", lambda name, *_, t=torch, m=mmengine: t if name == "torch" else m)
        assert not checkpoint.needed()
